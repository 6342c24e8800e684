"""Waiting for what another process does."""

import asyncio
from collections.abc import Awaitable, Callable

BETWEEN_LOOKS = 0.02


async def until(condition: Callable[[], Awaitable[object]], within: float = 60.0, every: float = BETWEEN_LOOKS) -> None:
    """Return once `condition` is true, asked `every` so many seconds, and fail when it is not `within` so many."""
    async with asyncio.timeout(within):
        while not await condition():  # noqa: ASYNC110  (other processes set no event)
            await asyncio.sleep(every)
