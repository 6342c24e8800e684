"""What keeps a browser from being used against the server by the pages of others."""

import httpx
import pytest
from starlette.types import ASGIApp
from structlog.testing import LogCapture

from tests.server.web.standins import Connection


async def test_browsers_are_told_to_keep_others_out(client: httpx.AsyncClient) -> None:
    page = await client.get("/nothing")
    assert page.headers["content-type"] == "text/plain; charset=utf-8"
    for response in (page, await client.get("/graphql")):
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cross-origin-resource-policy"] == "same-origin"
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cross-origin-opener-policy"] == "same-origin"


async def test_what_the_application_says_itself_stays(client: httpx.AsyncClient) -> None:
    response = await client.get("/graphql")
    assert response.headers["content-type"] == "application/json"
    assert response.headers["referrer-policy"] == "origin"
    assert "x-frame-options" not in response.headers, "data is no page"
    posted = await client.post("/graphql")
    assert posted.headers["x-content-type-options"] == "nosniff"
    assert "cross-origin-resource-policy" not in posted.headers, "no page can embed what only a POST gets"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8000", 200),
        ("LocalHost", 200),
        ("[::1]:8000", 200),
        ("rebound.example", 421),
        ("localhost.rebound.example", 421),
        ("[broken", 421),
        ("", 421),
    ],
)
async def test_only_names_of_this_machine_are_answered(client: httpx.AsyncClient, host: str, status: int) -> None:
    response = await client.post("/graphql", headers={"Host": host})
    assert response.status_code == status
    if status == 421:
        assert response.json()["errors"][0]["extensions"] == {"code": "MISDIRECTED_REQUEST"}


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:5173", 200),
        ("http://127.0.0.1:8000", 200),
        ("https://page.example", 403),
        ("http://localhost.page.example", 403),
        ("null", 403),
    ],
)
async def test_pages_of_other_origins_may_not_ask(client: httpx.AsyncClient, origin: str, status: int) -> None:
    response = await client.post("/graphql", headers={"Origin": origin})
    assert response.status_code == status
    if status == 403:
        assert response.json()["errors"][0]["extensions"] == {"code": "FORBIDDEN"}


async def test_a_websocket_of_another_page_is_not_accepted(app: ASGIApp, logged: LogCapture) -> None:
    refused = await Connection(
        "websocket", {"type": "websocket.connect"}, headers=((b"origin", b"https://page.example"),)
    ).serve(app)
    assert refused[0]["type"] == "websocket.http.response.start"
    assert refused[0]["status"] == 403
    assert [line["status"] for line in logged.entries] == [403]
