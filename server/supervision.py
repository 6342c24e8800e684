"""Work that has to go on for as long as the server lives: started again when it ends, and known while it is down."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random
from typing import Final

import structlog

from server.domain import backoff

FIRST_RETRY_SECONDS: Final = 0.5
LONGEST_RETRY_SECONDS: Final = 30.0
STEADY_SECONDS: Final = 5.0  # of work, after which earlier ends no longer count

log: structlog.typing.FilteringBoundLogger = structlog.get_logger(__name__)


class Supervised:
    """Calls `work` again, with back-off, whenever it ends before `stop` is set: by an error, or by returning.

    One event loop; `run` once.
    """

    def __init__(self, name: str, work: Callable[[], Awaitable[None]], stop: asyncio.Event | None = None) -> None:
        self.name = name
        self._work = work
        self._stop = stop or asyncio.Event()
        self._failures = 0
        self._reason: str | None = None

    def what_is_wrong(self) -> str | None:
        """Why the work is not done, or None; fit for strangers. After an end, until it has gone on for a while."""
        return self._reason

    async def run(self) -> None:
        """Work until `stop` is set, or until this is cancelled."""
        draw = Random()  # noqa: S311  (spreads retries)
        while not self._stop.is_set():
            error = await self._outcome()
            if error is not None or not self._stop.is_set():
                self._failures += 1
                self._reason = f"the {self.name} ended unforeseen ({_kind(error)}) and is started again"
                log.error("a part of the server ended", part=self.name, failures=self._failures, exc_info=error)
                await self._pause(draw)

    async def _outcome(self) -> BaseException | None:
        """Work once; the error that ended it, or None when it returned."""
        steady = asyncio.get_running_loop().call_later(STEADY_SECONDS, self._note_steady)
        try:
            await self._work()
        except asyncio.CancelledError as cancelled:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
            return cancelled  # somebody's inside, which was let through
        except Exception as error:  # noqa: BLE001  (unforeseen: that is what this is for)
            return error
        finally:
            steady.cancel()
        return None

    def _note_steady(self) -> None:
        self._failures, self._reason = 0, None

    async def _pause(self, draw: Random) -> None:
        first, longest = FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS
        with suppress(TimeoutError):
            async with asyncio.timeout(backoff.delay(self._failures, first=first, longest=longest, draw=draw)):
                await self._stop.wait()


def _kind(error: BaseException | None) -> str:
    """The type of an error; of those of a task group that of the first."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return "it returned" if error is None else type(error).__name__
