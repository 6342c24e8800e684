"""Clients that go away while they are served."""

import asyncio
from collections.abc import Awaitable
from typing import Final, TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

T = TypeVar("T")

PATIENCE: Final = 0.05  # seconds; to watch costs as much as a small answer, and most are there before


async def unless_gone(receive: Receive, work: Awaitable[T]) -> T:
    """What the work comes to; a client that goes away takes it along. Then raises ClientDisconnect, once it has ended.

    The request's body must have been read. Whether the client is there is looked at once the work takes longer than
    `PATIENCE`.
    """
    watch = _Watch(receive)
    try:
        return await work
    except asyncio.CancelledError:
        if watch.ended_the_work():
            raise ClientDisconnect from None
        raise
    finally:
        await watch.close()


class _Watch:
    """Cancels the task that made it once its client has gone."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._worker = asyncio.current_task()
        self._watching: asyncio.Task[None] | None = None
        self._gone = self._closed = False
        self._timer = asyncio.get_running_loop().call_later(PATIENCE, self._begin)

    def ended_the_work(self) -> bool:
        """Whether the cancellation came from here, and from nowhere else."""
        return self._gone and self._worker is not None and self._worker.uncancel() == 0

    async def close(self) -> None:
        """Watch no longer."""
        self._closed = True
        self._timer.cancel()
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    def _begin(self) -> None:
        self._watching = asyncio.create_task(self._wait())
        self._watching.add_done_callback(self._end)

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def _end(self, watching: "asyncio.Task[None]") -> None:
        if not self._closed and not watching.cancelled() and self._worker is not None:
            self._gone = True
            self._worker.cancel()
