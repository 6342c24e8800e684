"""An emulated workspace whose clock stands still until a test puts it forward."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.emulator.clients import PACE, START, Client, client_of
from tests.emulator.options import Options
from tests.emulator.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(Options(held_at=START, pace=PACE, page_max=3), tmp_path)


@pytest.fixture
async def client(world: World) -> AsyncIterator[Client]:
    async with client_of(world) as client:
        yield client
