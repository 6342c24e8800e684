"""Read-only sessions for compiled reads."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeVar

import asyncpg
from asyncpg.pool import PoolConnectionProxy

T = TypeVar("T")

LOST: Final = (asyncpg.PostgresConnectionError, asyncpg.AdminShutdownError, asyncpg.InterfaceError, ConnectionError)
RELEASE_SECONDS: Final = 1.0  # for the server to confirm that it has given up a statement


class Sessions:
    """Reads that wait for a session when all are at work, over a pool that has `most`; each for at most `seconds`.

    A session that was used stays at hand for the next read: to give it back to asyncpg's pool and take it out again
    costs a task and as much as a small read. One that met an error goes back, and the pool sees to it.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", most: int, seconds: float) -> None:
        self._pool = pool
        self._seconds = seconds
        self._free = asyncio.Semaphore(most)
        self._idle: list[PoolConnectionProxy[asyncpg.Record]] = []

    async def value(self, statement: str, values: Sequence[object] = ()) -> Any:  # noqa: ANN401  (the statement's type)
        """The one value of a statement's result. A session that was lost while it lay idle costs a second attempt.

        Raises TimeoutError when there is none in time, also where no session became free or the network is silent.
        """
        return await self._read(PoolConnectionProxy.fetchval, statement, values)

    async def rows(self, statement: str, values: Sequence[object] = ()) -> "list[asyncpg.Record]":
        """The rows of a statement's result; lost sessions and time as for `value`."""
        return await self._read(PoolConnectionProxy.fetch, statement, values)

    async def _read(self, fetch: Callable[..., Awaitable[T]], statement: str, values: Sequence[object]) -> T:
        deadline = asyncio.timeout(self._seconds)
        try:
            async with deadline, self._free:
                try:
                    return await self._attempt(fetch, statement, values, deadline)
                except LOST:
                    return await self._attempt(fetch, statement, values, deadline)
        except TimeoutError as error:
            if not deadline.expired():
                raise
            raise TimeoutError(f"the database did not answer within {self._seconds:g} seconds") from error

    async def _attempt(
        self, fetch: Callable[..., Awaitable[T]], statement: str, values: Sequence[object], deadline: asyncio.Timeout
    ) -> T:
        session = await self._taken()
        try:
            result = await fetch(session, statement, *values)
        except BaseException:
            if deadline.expired():
                session.terminate()  # who has not answered until now need not be asked to cancel
            await self._released(session)
            raise
        self._idle.append(session)
        return result

    @asynccontextmanager
    async def session(self) -> "AsyncIterator[PoolConnectionProxy[asyncpg.Record]]":
        """A session for several statements. Raises TimeoutError when none becomes free in time."""
        async with asyncio.timeout(self._seconds):
            await self._free.acquire()
        try:
            async with asyncio.timeout(self._seconds):
                session = await self._taken()
            try:
                yield session
            finally:
                await self._released(session)
        finally:
            self._free.release()

    async def close(self) -> None:
        """Give back what is at hand, so that the pool can close."""
        while self._idle:
            await self._released(self._idle.pop())

    async def _taken(self) -> "PoolConnectionProxy[asyncpg.Record]":
        while self._idle:
            session = self._idle.pop()
            if not session.is_closed():
                return session
            await self._released(session)
        return await self._pool.acquire()

    async def _released(self, session: "PoolConnectionProxy[asyncpg.Record]") -> None:
        """Give a session back; the pool ends one that can't be given back in time."""
        with suppress(TimeoutError):
            await self._pool.release(session, timeout=RELEASE_SECONDS)
