"""The two ways to the database: an engine for writes, and a pool of read-only sessions for compiled reads."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from server.storage.migrations import driver_url

CONNECT_TIMEOUT = 10.0
CACHED_STATEMENTS = 512


@dataclass(frozen=True, slots=True)
class Database:
    """What lives as long as the program."""

    engine: AsyncEngine
    reads: "asyncpg.Pool[asyncpg.Record]"


async def _keep_session(_connection: object) -> None:
    """No read changes its session's state, and asyncpg's own reset is 40 % of a small read."""


@asynccontextmanager
async def connect(url: str, *, connections: int, statement_timeout: float) -> AsyncIterator[Database]:
    """Open both; `connections` caps their sum. `statement_timeout` (seconds) ends reads that take too long."""
    for_writes = max(2, connections // 2)
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
            max_size=max(2, connections - for_writes),
            timeout=CONNECT_TIMEOUT,
            command_timeout=statement_timeout + 5,
            reset=_keep_session,
            statement_cache_size=CACHED_STATEMENTS,
            max_cacheable_statement_size=0,
            server_settings={
                "application_name": "tunegraph reads",
                "timezone": "UTC",
                "default_transaction_read_only": "on",
                "statement_timeout": str(int(statement_timeout * 1000)),
            },
        ) as reads:
            yield Database(engine, reads)
    finally:
        await engine.dispose()
