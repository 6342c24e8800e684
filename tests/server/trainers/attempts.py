"""Calling until it works, as the poller does."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from server.domain.errors import Refused, Unavailable

Answer = TypeVar("Answer")
MOST = 5


async def attempts(call: Callable[[], Awaitable[Answer]]) -> tuple[Answer, list[str]]:
    """The first answer, and what was said of every attempt before it."""
    said: list[str] = []
    while True:
        try:
            return await call(), said
        except (Unavailable, Refused) as error:
            said.append(str(error))
            assert len(said) < MOST, said
