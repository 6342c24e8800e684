"""The two ways to the database: an engine for writes, and read-only sessions for compiled reads."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from server.storage.migrations import driver_url
from server.storage.sessions import Sessions

CONNECT_TIMEOUT = 10.0
# A session keeps the text, the parse tree and the plan of each statement: 45 to 60 bytes for a byte of SQL, measured
# with Postgres 18. A usual one of 4 kB takes 0.2 MB, so a full cache 20 MB; one of 64 kB takes 3.3 MB, so a session
# that met nothing else 330 MB, for the five minutes that asyncpg keeps a statement. Longer ones are planned each time.
CACHED_STATEMENTS = 100
LONGEST_CACHED = 64 * 1024


@dataclass(frozen=True, slots=True)
class Database:
    """What lives as long as the program."""

    engine: AsyncEngine
    reads: Sessions


async def _keep_session(_connection: object) -> None:
    """No read changes its session's state, and asyncpg's own reset is 40 % of a small read."""


@asynccontextmanager
async def connect(url: str, *, connections: int, statement_timeout: float) -> AsyncIterator[Database]:
    """Open both; `connections` caps their sum. `statement_timeout` (seconds) ends reads that take too long."""
    for_writes = max(2, connections // 2)
    for_reads = max(2, connections - for_writes)
    engine = create_async_engine(
        driver_url(url),
        pool_size=for_writes,
        max_overflow=0,
        pool_pre_ping=True,
        connect_args={
            "timeout": CONNECT_TIMEOUT,
            "server_settings": {"application_name": "tunegraph", "timezone": "UTC"},
        },
    )
    try:
        async with asyncpg.create_pool(
            url,
            min_size=1,
            max_size=for_reads,
            timeout=CONNECT_TIMEOUT,
            command_timeout=statement_timeout + 5,
            reset=_keep_session,
            statement_cache_size=CACHED_STATEMENTS,
            max_cacheable_statement_size=LONGEST_CACHED,
            server_settings={
                "application_name": "tunegraph reads",
                "timezone": "UTC",
                "default_transaction_read_only": "on",
                "statement_timeout": str(int(statement_timeout * 1000)),
                # Each list is a range of an index in its own order. Where the average parent has few rows, Postgres
                # would rather collect them all and sort, which for one job with 100,000 pairs is 100,000 rows a page.
                "enable_bitmapscan": "off",
            },
        ) as pool:
            reads = Sessions(pool, for_reads)
            try:
                yield Database(engine, reads)
            finally:
                await reads.close()
    finally:
        await engine.dispose()
