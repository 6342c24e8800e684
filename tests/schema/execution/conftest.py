"""The API with a bus that listens, for what follows jobs."""

from collections.abc import AsyncIterator

import pytest

from tests.schema.clients import DEADLINE, eventually
from tests.schema.conftest import Api


@pytest.fixture
async def live(own: Api) -> AsyncIterator[Api]:
    """The API over an empty database, whose bus listens; no feed may be left over."""
    with own.bus.watch() as watch:
        async with own.bus:
            assert (await watch.wait(DEADLINE)).everything
            yield own
    await eventually(lambda: own.execution.subscriptions.feeds == 0)
