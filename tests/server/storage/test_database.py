"""The sessions for reads: what they may do, and what they keep."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from server.storage.database import CACHED_STATEMENTS, LONGEST_CACHED_CHARACTERS, connect

pytestmark = pytest.mark.database


@pytest.fixture
async def reads(database_url: str) -> AsyncIterator["asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"]:
    async with (
        connect(database_url, connections=4, statement_timeout=5) as database,
        database.reads.session() as connection,
    ):
        yield connection


def of_length(length: int) -> str:
    return "SELECT 1 --".ljust(length, "x")


async def kept(connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]") -> list[int]:
    """How long the statements are that a session keeps, this one aside."""
    own = "SELECT statement FROM pg_prepared_statements"
    return sorted(len(row[0]) for row in await connection.fetch(own) if row[0] != own)


async def test_a_read_writes_nothing(reads: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]") -> None:
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await reads.execute("INSERT INTO sheets (id, name, source) VALUES ('sheet_1', 's', 'EXTERNAL')")


async def test_a_session_keeps_its_statements_up_to_a_length(
    reads: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]",
) -> None:
    for length in (20_000, LONGEST_CACHED_CHARACTERS, LONGEST_CACHED_CHARACTERS + 1):
        assert await reads.fetchval(of_length(length)) == 1
    assert await kept(reads) == [20_000, LONGEST_CACHED_CHARACTERS]


async def test_and_up_to_a_number_the_latest_used(
    reads: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]",
) -> None:
    for length in range(100, 100 + CACHED_STATEMENTS + 20):
        await reads.fetchval(of_length(length))
    assert await kept(reads) == list(range(121, 120 + CACHED_STATEMENTS))
