"""Fixtures for tests of the work on jobs."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.server.workshop import Workshop, opened_workshop


@pytest.fixture
async def workshop(database_url: str, tmp_path: Path) -> AsyncIterator[Workshop]:
    async with opened_workshop(database_url, tmp_path / "exports") as workshop:
        yield workshop
