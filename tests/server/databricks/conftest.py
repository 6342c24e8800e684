from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.emulator.served import Emulator, emulator

TOKEN = "dapi-0123456789abcdef"  # noqa: S105  (opens nothing but an emulator)


@pytest.fixture
async def databricks(tmp_path: Path) -> AsyncIterator[Emulator]:
    async with emulator(folder=tmp_path, token=TOKEN) as databricks:
        yield databricks
