"""The whole application: what it says of its parts."""

import asyncio
import resource
import socket
from pathlib import Path

import httpx
import pytest
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs
from websockets.asyncio.client import connect

from server.bus import Bus
from server.commands.serve import FRAME_BYTES, OTHER_FILES, _configuration, _room_for, _Server, open_app
from server.reconciler import mirror_loop
from server.settings import Settings

DEADLINE = 30.0


@pytest.mark.parametrize(
    ("part", "broken"),
    [
        ("poller", (Bus, "watch_due")),
        ("MLflow mirror", (mirror_loop, "Random")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.database
async def test_readyz_names_the_part_that_is_not_at_work(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str, broken: tuple[object, str]
) -> None:
    settings = Settings.model_validate({"DATABASE_URL": database_url, "data_dir": tmp_path})
    monkeypatch.setattr(*broken, None)
    with capture_logs():
        async with open_app(settings, asyncio.Event()) as app, asyncio.timeout(DEADLINE):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
                while (response := await client.get("/readyz")).status_code == 200:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                assert (await client.get("/healthz")).status_code == 200
    reason = f"the {part} ended unforeseen (TypeError) and is started again"
    assert response.status_code == 503
    assert response.json() == {"status": "not ready", "reason": reason, "parts": {part: reason}}


@pytest.mark.parametrize(("max_body", "largest"), [(16_777_216, FRAME_BYTES), (2_048, 2_048)])
def test_messages_of_websockets_are_no_larger_than_bodies(max_body: int, largest: int) -> None:
    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise AssertionError

    assert _configuration(app, Settings(max_body=max_body)).ws_max_size == largest


@pytest.mark.parametrize(
    ("soft", "hard", "raised_to", "room"),
    [
        (1_024, resource.RLIM_INFINITY, 10_000 + OTHER_FILES, 10_000),
        (1_024, 524_288, 10_000 + OTHER_FILES, 10_000),
        (1_024, 4_096, 4_096, 4_096 - OTHER_FILES),
        (20_000, 20_000, None, 10_000),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, None, 10_000),
        (256, 256, None, 1),
    ],
)
def test_connections_have_files(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, raised_to: int | None, room: int
) -> None:
    limits = []
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _which, given: limits.append(given))
    with capture_logs():
        assert _room_for(10_000) == room
    assert limits == ([] if raised_to is None else [(raised_to, hard)])


async def test_a_browser_that_offers_to_compress_costs_no_more_than_others() -> None:
    async def accept(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "websocket"
        await receive()
        await send({"type": "websocket.accept"})
        await receive()

    server = _Server(_configuration(accept, Settings()), asyncio.Event())
    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        async with connect(f"ws://127.0.0.1:{listening.getsockname()[1]}/", compression="deflate") as client:
            assert client.response is not None
            assert "Sec-WebSocket-Extensions" not in client.response.headers
        server.should_exit = True
        async with asyncio.timeout(DEADLINE):
            await serving
