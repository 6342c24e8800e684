"""Which pages of a browser may use the server."""

import httpx
import pytest
from starlette.types import ASGIApp, Message
from structlog.testing import LogCapture

from tests.server.web.standins import Connection

OPEN: Message = {"type": "websocket.connect"}
ASK: Message = {"type": "http.request", "body": b""}


def code(response: httpx.Response) -> object:
    return response.json()["errors"][0]["extensions"]["code"]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8000", 200),
        ("LocalHost", 200),
        ("localhost:9999", 200),
        ("[::1]:8000", 200),
        ("desk.example", 200),
        ("rebound.example", 421),
        ("localhost.rebound.example", 421),
        ("evil@localhost", 421),
        ("evil:pass@localhost:8000", 421),
        ("localhost/path", 421),
        ("localhost?query", 421),
        ("localhost#fragment", 421),
        ("localhost\\evil", 421),
        ("localhost:port", 421),
        ("localhost:99999", 421),
        ("local%68ost", 421),
        ("[broken", 421),
        ("", 421),
    ],
)
async def test_only_names_of_this_machine_are_answered(client: httpx.AsyncClient, host: str, status: int) -> None:
    response = await client.post("/graphql", headers={"Host": host})
    assert response.status_code == status
    if status == 421:
        assert code(response) == "MISDIRECTED_REQUEST"


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("127.0.0.1:8000", "http://127.0.0.1:8000", 200),
        ("[::1]:8000", "http://[::1]:8000", 200),
        ("localhost", "http://localhost:80", 200),
        ("localhost:80", "http://LOCALHOST", 200),
        ("127.0.0.1:8000", "https://desk.example", 200),
        ("127.0.0.1:8000", "https://desk.example:443", 200),
        ("127.0.0.1:8000", "http://127.0.0.1:9999", 403),
        ("localhost:8000", "http://localhost", 403),
        ("localhost:8000", "http://127.0.0.1:8000", 403),
        ("localhost", "https://localhost:80", 403),
        ("127.0.0.1:8000", "http://desk.example", 403),
        ("127.0.0.1:8000", "https://desk.example:8443", 403),
        ("127.0.0.1:8000", "https://page.example", 403),
        ("localhost:8000", "http://localhost.page.example:8000", 403),
        ("localhost:8000", "http://evil@localhost:8000", 403),
        ("localhost:8000", "http://localhost:8000/", 403),
        ("localhost:8000", "null", 403),
        ("localhost:8000", "", 403),
    ],
)
async def test_pages_of_other_origins_may_not_ask(
    client: httpx.AsyncClient, method: str, host: str, origin: str, status: int
) -> None:
    response = await client.request(method, "/graphql", headers={"Host": host, "Origin": origin})
    assert response.status_code == status
    if status == 403:
        assert code(response) == "FORBIDDEN"


@pytest.mark.parametrize(
    "headers",
    [
        [("Host", "localhost"), ("Host", "localhost")],
        [("Host", "page.example"), ("Host", "localhost")],
        [("Host", "localhost"), ("Origin", "https://page.example"), ("Origin", "http://localhost")],
    ],
)
async def test_several_hosts_or_origins_are_a_bad_request(
    client: httpx.AsyncClient, headers: list[tuple[str, str]]
) -> None:
    response = await client.post("/graphql", headers=headers)
    assert (response.status_code, code(response)) == (400, "BAD_REQUEST")


async def test_a_request_without_a_host_is_a_bad_request(app: ASGIApp, logged: LogCapture) -> None:
    connection = Connection("http", ASK)
    connection.scope["headers"] = []
    start, _ = await connection.serve(app)
    assert start["status"] == 400


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://desk.example"}, 200),
    ],
)
async def test_an_element_of_another_site_s_page_may_not_ask(
    client: httpx.AsyncClient, headers: dict[str, str], status: int
) -> None:
    response = await client.get("/graphql?query={__typename}", headers=headers)
    assert response.status_code == status


async def test_a_link_of_another_site_leads_to_the_page(client: httpx.AsyncClient) -> None:
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert (await client.get("/graphql", headers=link)).status_code == 200
    assert (await client.post("/graphql", headers=link)).status_code == 403


async def test_a_page_of_an_allowed_origin_may_ask_over_cors(client: httpx.AsyncClient) -> None:
    page = {"Origin": "https://desk.example"}
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    preflight = await client.options("/graphql", headers=page | asked)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "https://desk.example"
    assert "content-type" in preflight.headers["access-control-allow-headers"].lower()
    response = await client.post("/graphql", headers=page)
    assert response.headers["access-control-allow-origin"] == "https://desk.example"
    foreign = await client.options("/graphql", headers={"Origin": "https://page.example"} | asked)
    assert foreign.status_code == 403
    assert "access-control-allow-origin" not in foreign.headers


@pytest.mark.parametrize(
    ("origin", "accepted"),
    [
        (b"http://localhost", True),
        (b"https://desk.example", True),
        (b"http://localhost:9999", False),
        (b"https://page.example", False),
        (b"null", False),
    ],
)
async def test_a_websocket_of_another_page_is_not_accepted(
    app: ASGIApp, logged: LogCapture, origin: bytes, *, accepted: bool
) -> None:
    first, *_ = await Connection("websocket", OPEN, headers=((b"origin", origin),)).serve(app)
    if accepted:
        assert first["type"] == "websocket.accept"
    else:
        assert (first["type"], first["status"]) == ("websocket.http.response.start", 403)
        assert [line["status"] for line in logged.entries] == [403]


async def test_a_websocket_s_scheme_is_that_of_its_page(app: ASGIApp, logged: LogCapture) -> None:
    for scheme, kind in (("wss", "websocket.accept"), ("ws", "websocket.http.response.start")):
        connection = Connection("websocket", OPEN, headers=((b"origin", b"https://localhost"),))
        connection.scope["scheme"] = scheme
        first, *_ = await connection.serve(app)
        assert first["type"] == kind
