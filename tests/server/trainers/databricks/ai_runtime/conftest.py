from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.emulator.served import emulator
from tests.server.trainers.databricks.ai_runtime.desk import PACE, Desk


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """A workspace whose clock stands still."""
    async with emulator(held_at=1_795_000_000.0, pace=PACE) as databricks:
        yield Desk(databricks, tmp_path)
