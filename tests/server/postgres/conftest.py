"""A data folder for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.database import throwaway_folder


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with throwaway_folder() as folder:
        yield folder
