"""Each request has a name and a line in the log."""

import json

import httpx
import pytest
import structlog
from starlette.types import ASGIApp
from structlog.testing import LogCapture

from server.web import requests
from tests.server.web.standins import Around, Connection


async def test_a_sane_request_id_is_kept_and_in_every_line(client: httpx.AsyncClient, logged: LogCapture) -> None:
    response = await client.post("/graphql?query=secret", headers={"X-Request-Id": "abc-1.2_3"})
    assert response.headers["x-request-id"] == "abc-1.2_3"
    assert [(line["event"], line["request_id"]) for line in logged.entries] == [
        ("asked", "abc-1.2_3"),
        ("request", "abc-1.2_3"),
    ]
    line = logged.entries[1]
    assert (line["method"], line["path"], line["status"], line["log_level"]) == ("POST", "/graphql", 200, "info")
    assert line["ms"] >= 0
    assert structlog.contextvars.get_contextvars() == {}


@pytest.mark.parametrize("offered", ["", "with space", "x" * 129, "line\tbreak", "<script>"])
async def test_another_request_id_is_replaced(client: httpx.AsyncClient, offered: str) -> None:
    response = await client.get("/healthz", headers={"X-Request-Id": offered})
    assert len(response.headers["x-request-id"]) == 32
    assert response.headers["x-request-id"] != offered


async def test_a_request_that_fails_inside_is_logged_as_500(client: httpx.AsyncClient, logged: LogCapture) -> None:
    response = await client.post("/graphql", content=b"fail", headers={"X-Request-Id": "r-1"})
    assert response.status_code == 500
    assert response.json() == {"errors": [{"message": "Internal error.", "extensions": {"code": "INTERNAL_ERROR"}}]}
    assert response.headers["x-request-id"] == "r-1"
    assert [(line["event"], line["log_level"], line["request_id"]) for line in logged.entries] == [
        ("asked", "info", "r-1"),
        ("request failed", "error", "r-1"),
        ("request", "info", "r-1"),
    ]
    assert logged.entries[1]["exc_info"] is True
    assert logged.entries[2]["status"] == 500


async def test_what_goes_well_is_logged_only_when_all_is(around: Around, logged: LogCapture) -> None:
    transport = httpx.ASGITransport(around.app(log_requests=False), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
        await client.post("/graphql")
        await client.get("/nothing")
        await client.post("/graphql", content=b"fail")
    lines = [(line["path"], line["status"]) for line in logged.entries if line["event"] == "request"]
    assert lines == [("/nothing", 404), ("/graphql", 500)]


async def test_what_takes_long_is_logged(around: Around, logged: LogCapture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "SLOW_SECONDS", 0.0)
    transport = httpx.ASGITransport(around.app(log_requests=False))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
        await client.post("/graphql")
    assert [line["event"] for line in logged.entries] == ["asked", "request"]


async def test_health_pages_are_logged_at_debug_only(client: httpx.AsyncClient, logged: LogCapture) -> None:
    await client.get("/readyz")
    assert [line["log_level"] for line in logged.entries] == ["debug"]


async def test_a_websocket_has_a_name_too(app: ASGIApp, logged: LogCapture) -> None:
    accepted, greeting, closed = await Connection(
        "websocket", {"type": "websocket.connect"}, headers=((b"x-request-id", b"stream-1"),)
    ).serve(app)
    assert (accepted["type"], accepted["subprotocol"]) == ("websocket.accept", "graphql-transport-ws")
    assert (b"x-request-id", b"stream-1") in accepted["headers"]
    assert json.loads(greeting["text"]) == {"request_id": "stream-1"}
    assert closed["code"] == 4400
    (line,) = logged.entries
    assert (line["method"], line["path"], line["status"]) == ("WEBSOCKET", "/graphql", 4400)
