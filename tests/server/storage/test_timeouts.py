"""Every statement has an end: reads, writes, waits for locks, transactions that nobody ends, and silent networks."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
import sqlalchemy.exc
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.export.jsonl import LENGTHEN
from server.storage import database as storage
from server.storage.database import Database, connect

pytestmark = pytest.mark.database

SHORT = 0.2
LONG = 60.0


def sqlstate(error: BaseException) -> object:
    """Of the driver's error that SQLAlchemy has wrapped."""
    wrapped = getattr(error, "orig", None)
    return getattr(wrapped, "sqlstate", None)


@asynccontextmanager
async def opened(url: str, **limits: float) -> AsyncIterator[Database]:
    all_limits = {"statement_timeout": LONG, "lock_timeout": LONG, "write_timeout": LONG} | limits
    async with connect(url, connections=4, **all_limits) as database:
        yield database


@asynccontextmanager
async def locked(url: str) -> AsyncIterator[None]:
    holder = await asyncpg.connect(url)
    await holder.execute("BEGIN; LOCK TABLE sheets IN ACCESS EXCLUSIVE MODE")
    yield
    await holder.close()


async def test_a_write_does_not_wait_for_a_lock_for_ever(database_url: str) -> None:
    async with opened(database_url, lock_timeout=SHORT) as database, locked(database_url):
        with pytest.raises(sqlalchemy.exc.DBAPIError) as ended:
            async with database.engine.begin() as connection:
                await connection.execute(text("DELETE FROM sheets"))
    assert sqlstate(ended.value) == "55P03"


async def test_a_write_ends(database_url: str) -> None:
    async with opened(database_url, write_timeout=SHORT) as database:
        with pytest.raises(sqlalchemy.exc.DBAPIError) as ended:
            async with database.engine.begin() as connection:
                await connection.execute(text("SELECT pg_sleep(60)"))
    assert sqlstate(ended.value) == "57014"


async def state(connection: AsyncConnection, name: str) -> object:
    return await connection.scalar(text("SELECT current_setting(:name, true)"), {"name": name})


async def test_a_transaction_that_nobody_ends_is_ended(database_url: str) -> None:
    async with opened(database_url, write_timeout=SHORT) as database, database.engine.connect() as connection:
        raw = (await connection.get_raw_connection()).driver_connection
        assert isinstance(raw, asyncpg.Connection)
        ended = asyncio.Event()
        await connection.execute(text("SELECT 1"))
        raw.add_termination_listener(lambda _connection: ended.set())
        async with asyncio.timeout(LONG):
            await ended.wait()
        with pytest.raises(sqlalchemy.exc.DBAPIError):
            await connection.execute(text("SELECT 1"))
        await connection.invalidate()


async def test_an_export_has_more_time_than_a_write_and_only_in_its_transaction(database_url: str) -> None:
    async with opened(database_url) as database, database.engine.connect() as connection:
        version = await connection.scalar(text("SELECT current_setting('server_version_num')::int"))
        whole = "transaction_timeout"
        names = ("statement_timeout", "idle_in_transaction_session_timeout", whole)
        before = [await state(connection, name) for name in names]
        await connection.execute(LENGTHEN)
        within = [await state(connection, name) for name in names]
        await connection.rollback()
        after = [await state(connection, name) for name in names]
    known = isinstance(version, int) and version >= 170_000
    assert before == after == ["1min", "1min", "2min" if known else None]
    assert within == ["10min", "10min", "0" if known else None]


async def test_who_waits_for_a_connection_is_told_in_time(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "POOL_WAIT_SECONDS", SHORT)
    async with (
        opened(database_url) as database,
        database.engine.connect(),
        database.engine.connect(),
    ):
        with pytest.raises(sqlalchemy.exc.TimeoutError):
            await database.engine.connect().__aenter__()


async def test_who_waits_for_a_session_is_told_in_time(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "ANSWER_SECONDS", 0.0)
    async with opened(database_url, statement_timeout=SHORT) as database:
        async with database.reads.session(), database.reads.session():
            with pytest.raises(TimeoutError, match=r"^the database did not answer within 0\.2 seconds$"):
                await database.reads.value("SELECT 1")
            with pytest.raises(TimeoutError):
                async with database.reads.session():
                    pass
        assert await database.reads.value("SELECT 1") == 1


class SilentProxy:
    """Carries bytes to a database until it falls silent: connections stay open, and nothing comes through."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._speaks = asyncio.Event()
        self._speaks.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self.port = 0

    def fall_silent(self) -> None:
        self._speaks.clear()

    def speak(self) -> None:
        self._speaks.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["SilentProxy"]:
        server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for writer in self._writers:
                writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._host, self._port)
        self._writers += [writer, back]
        for source, target in ((reader, back), (there, writer)):
            task = asyncio.create_task(self._copy(source, target))
            self._tasks.add(task)

    async def _copy(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65_536):
                await self._speaks.wait()
                target.write(data)
                await target.drain()
            target.close()


@asynccontextmanager
async def behind_proxy(url: str) -> AsyncIterator[tuple[SilentProxy, str]]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    user, _, _ = parts.netloc.rpartition("@")
    async with SilentProxy(parts.hostname, parts.port).running() as proxy:
        yield proxy, urlunsplit(parts._replace(netloc=f"{user}@127.0.0.1:{proxy.port}"))


async def test_a_read_on_a_silent_network_ends_in_time_and_reads_work_again_after_it(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "ANSWER_SECONDS", 0.1)
    async with behind_proxy(database_url) as (proxy, url), opened(url, statement_timeout=0.4) as database:
        assert await database.reads.value("SELECT 1") == 1
        proxy.fall_silent()
        for _ in range(2):  # a session that lay idle, and one that has to be opened
            began = time.monotonic()
            reads = [database.reads.value("SELECT 1") for _ in range(5)]
            results = await asyncio.gather(*reads, return_exceptions=True)
            assert [type(result) for result in results] == [TimeoutError] * 5
            assert time.monotonic() - began < 3
        proxy.speak()
        assert await database.reads.value("SELECT 1") == 1


async def test_a_write_on_a_silent_network_ends(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "ANSWER_SECONDS", 0.1)
    async with behind_proxy(database_url) as (proxy, url), opened(url, write_timeout=0.4) as database:
        async with asyncio.timeout(10), database.engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
            proxy.fall_silent()
            with pytest.raises((TimeoutError, sqlalchemy.exc.DBAPIError)):
                await connection.execute(text("SELECT 1"))
            await connection.invalidate()
        proxy.speak()
        async with database.engine.connect() as connection:
            assert await connection.scalar(text("SELECT 1")) == 1


async def test_a_write_that_begins_on_a_silent_network_ends_long_before_its_own_limit(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "PING_SECONDS", 0.1)
    monkeypatch.setattr(storage, "CONNECT_SECONDS", 0.3)
    async with behind_proxy(database_url) as (proxy, url), opened(url) as database:
        async with database.engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
        proxy.fall_silent()
        async with asyncio.timeout(10):
            with pytest.raises((TimeoutError, sqlalchemy.exc.DBAPIError)):
                await database.engine.connect().__aenter__()
        proxy.speak()
        async with database.engine.connect() as connection:
            assert await connection.scalar(text("SELECT 1")) == 1


async def test_a_connection_that_was_lost_while_it_lay_idle_is_replaced(database_url: str) -> None:
    own = text("SELECT pg_backend_pid()")
    async with opened(database_url) as database:
        async with database.engine.connect() as connection:
            lost = await connection.scalar(own)
        other = await asyncpg.connect(database_url)
        await other.execute("SELECT pg_terminate_backend($1, 5000)", lost)
        await other.close()
        async with database.engine.connect() as connection:
            assert await connection.scalar(own) != lost
