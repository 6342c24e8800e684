"""Read-only sessions for compiled reads."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import asyncpg
from asyncpg.pool import PoolConnectionProxy

T = TypeVar("T")

LOST: Final = (asyncpg.PostgresConnectionError, asyncpg.AdminShutdownError, asyncpg.InterfaceError, ConnectionError)


class Sessions:
    """Reads that wait for a session when all are at work, over a pool that has `most`.

    A session that was used stays at hand for the next read: to give it back to asyncpg's pool and take it out again
    costs a task and as much as a small read. One that met an error goes back, and the pool sees to it.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", most: int) -> None:
        self._pool = pool
        self._free = asyncio.Semaphore(most)
        self._idle: list[PoolConnectionProxy[asyncpg.Record]] = []

    async def value(self, statement: str, values: Sequence[object] = ()) -> Any:  # noqa: ANN401  (the statement's type)
        """The one value that a statement answers. A session that was lost while it lay idle costs a second attempt."""
        async with self._free:
            try:
                return await self._read(PoolConnectionProxy.fetchval, statement, values)
            except LOST:
                return await self._read(PoolConnectionProxy.fetchval, statement, values)

    async def rows(self, statement: str, values: Sequence[object] = ()) -> "list[asyncpg.Record]":
        """The rows that a statement answers; a lost session as for `value`."""
        async with self._free:
            try:
                return await self._read(PoolConnectionProxy.fetch, statement, values)
            except LOST:
                return await self._read(PoolConnectionProxy.fetch, statement, values)

    async def _read(self, fetch: Callable[..., Awaitable[T]], statement: str, values: Sequence[object]) -> T:
        session = await self._taken()
        try:
            result = await fetch(session, statement, *values)
        except BaseException:
            await self._pool.release(session)
            raise
        self._idle.append(session)
        return result

    @asynccontextmanager
    async def session(self) -> "AsyncIterator[PoolConnectionProxy[asyncpg.Record]]":
        """A session for several statements."""
        async with self._free:
            session = await self._taken()
            try:
                yield session
            finally:
                await self._pool.release(session)

    async def close(self) -> None:
        """Give back what is at hand, so that the pool can close."""
        while self._idle:
            await self._pool.release(self._idle.pop())

    async def _taken(self) -> "PoolConnectionProxy[asyncpg.Record]":
        while self._idle:
            session = self._idle.pop()
            if not session.is_closed():
                return session
            await self._pool.release(session)
        return await self._pool.acquire()
