"""The whole application: what it says of its parts."""

import asyncio
import resource
from pathlib import Path

import httpx
import pytest
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from server.bus import Bus
from server.commands.serve import FRAME_BYTES, OTHER_FILES, _configuration, _room_for, open_app
from server.settings import Settings

DEADLINE = 30.0


@pytest.mark.database
async def test_readyz_names_the_part_that_is_not_at_work(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings.model_validate({"DATABASE_URL": database_url, "data_dir": tmp_path})
    monkeypatch.setattr(Bus, "watch_due", None)
    with capture_logs():
        async with open_app(settings, asyncio.Event()) as app, asyncio.timeout(DEADLINE):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
                while (response := await client.get("/readyz")).status_code == 200:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                assert (await client.get("/healthz")).status_code == 200
    reason = "the poller ended unforeseen (TypeError) and is started again"
    assert response.status_code == 503
    assert response.json() == {"status": "not ready", "reason": reason, "parts": {"poller": reason}}


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
