"""The two ways to the database: an engine for writes, and read-only sessions for compiled reads."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, cast

import asyncpg
from sqlalchemy import AdaptedConnection, PoolProxiedConnection, event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from server.storage.migrations import driver_url
from server.storage.sessions import Sessions

CONNECT_SECONDS: Final = 10.0
PING_SECONDS: Final = 2.0
POOL_WAIT_SECONDS: Final = 10.0  # for a connection while all are at work
LOCK_SECONDS: Final = 5.0
WRITE_SECONDS: Final = 60.0
ANSWER_SECONDS: Final = 1.0  # for Postgres to say that it gave up; after that nobody waits any longer
STATEMENTS: Final = 2  # in a transaction that may each take all their time
KNOWS_TRANSACTION_TIMEOUT: Final = 17  # the first version of Postgres that does
# A session keeps the text, the parse tree and the plan of each statement: 45 to 60 bytes for a byte of SQL, measured
# with Postgres 18. A usual one of 4 kB takes 0.2 MB, so a full cache 20 MB; one of 64 kB takes 3.3 MB, so a session
# that met nothing else 330 MB, for the five minutes that asyncpg keeps a statement. Longer ones are planned each time.
CACHED_STATEMENTS = 100
LONGEST_CACHED_CHARACTERS = 64 * 1024


@dataclass(frozen=True, slots=True)
class Database:
    """What lives as long as the program."""

    engine: AsyncEngine
    reads: Sessions


async def _keep_session(_connection: object) -> None:
    """No read changes its session's state, and asyncpg's own reset is 40 % of a small read."""


@asynccontextmanager
async def connect(
    url: str,
    *,
    connections: int,
    statement_timeout: float,
    lock_timeout: float = LOCK_SECONDS,
    write_timeout: float = WRITE_SECONDS,
) -> AsyncIterator[Database]:
    """Open both; `connections` caps their sum.

    In seconds: `statement_timeout` ends reads, `write_timeout` statements of transactions that write, with the double
    for the transaction, and `lock_timeout` the wait for a lock. What is ended raises Postgres' own error (SQLSTATE
    57014, 55P03, 25P03, 25P04), or TimeoutError a second later where Postgres does not answer.
    """
    for_writes = max(2, connections // 2)
    for_reads = max(2, connections - for_writes)
    async with _pool(url, for_reads, statement_timeout) as pool:
        reads = Sessions(pool, for_reads, statement_timeout + ANSWER_SECONDS)
        async with pool.acquire() as connection:
            version = connection.get_server_version().major
        engine = create_async_engine(
            driver_url(url),
            pool_size=for_writes,
            max_overflow=0,
            pool_timeout=POOL_WAIT_SECONDS,
            connect_args={
                "timeout": CONNECT_SECONDS,
                "command_timeout": write_timeout + ANSWER_SECONDS,
                "server_settings": {
                    "application_name": "tunegraph",
                    "timezone": "UTC",
                    "lock_timeout": _milliseconds(lock_timeout),
                    **_limits_of_writes(version, write_timeout),
                },
            },
        )
        event.listen(engine.sync_engine, "checkout", _check)
        try:
            yield Database(engine, reads)
        finally:
            await reads.close()
            await engine.dispose()


def _check(dbapi_connection: PoolProxiedConnection, _record: object, _proxy: object) -> None:
    """Ask a connection that lay idle whether it is still there; the pool replaces one that is not.

    Stands for SQLAlchemy's pre-ping, which takes a transaction of three statements, and on a silent network as long as
    the longest statement may.
    """
    try:
        cast("AdaptedConnection", dbapi_connection).run_async(_ping)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise DisconnectionError(str(error) or type(error).__name__) from error


async def _ping(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    try:
        async with asyncio.timeout(PING_SECONDS):
            await connection.execute("SELECT 1")
    except TimeoutError:
        connection.terminate()
        raise


def _limits_of_writes(version: int, seconds: float) -> dict[str, str]:
    limits = {
        "statement_timeout": _milliseconds(seconds),
        "idle_in_transaction_session_timeout": _milliseconds(seconds),
    }
    if version >= KNOWS_TRANSACTION_TIMEOUT:
        # it ends the session, with words that no client understands: the statement's own limit has to come first
        limits["transaction_timeout"] = _milliseconds(STATEMENTS * seconds)
    return limits


def _milliseconds(seconds: float) -> str:
    return str(max(1, int(seconds * 1000)))


def _pool(url: str, most: int, statement_timeout: float) -> "asyncpg.Pool[asyncpg.Record]":
    return asyncpg.create_pool(
        url,
        min_size=1,
        max_size=most,
        timeout=CONNECT_SECONDS,
        reset=_keep_session,
        statement_cache_size=CACHED_STATEMENTS,
        max_cacheable_statement_size=LONGEST_CACHED_CHARACTERS,
        server_settings={
            "application_name": "tunegraph reads",
            "timezone": "UTC",
            "default_transaction_read_only": "on",
            "statement_timeout": _milliseconds(statement_timeout),
            # Each list is a range of an index in its own order. Where the average parent has few rows, Postgres
            # would rather collect them all and sort, which for one job with 100,000 pairs is 100,000 rows a page.
            "enable_bitmapscan": "off",
        },
    )
