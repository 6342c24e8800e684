"""The whole application: what it says of its parts."""

import asyncio
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from server.bus import Bus
from server.commands.serve import open_app
from server.settings import Settings

pytestmark = pytest.mark.database

DEADLINE = 30.0


async def test_readyz_names_the_part_that_is_not_at_work(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings.model_validate({"DATABASE_URL": database_url, "data_dir": tmp_path})
    monkeypatch.setattr(Bus, "watch_due", None)
    with capture_logs():
        async with open_app(settings, asyncio.Event()) as app, asyncio.timeout(DEADLINE):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
                while (response := await client.get("/readyz")).status_code == 200:
                    await asyncio.sleep(0.01)
                assert (await client.get("/healthz")).status_code == 200
    reason = "the poller ended unforeseen (TypeError) and is started again"
    assert response.status_code == 503
    assert response.json() == {"status": "not ready", "reason": reason, "parts": {"poller": reason}}
