"""What /readyz is told of the database."""

import asyncpg
import pytest

from server.storage import health
from server.storage.database import connect
from server.storage.sessions import Sessions

pytestmark = pytest.mark.database

NOTHING_THERE = "postgresql://someone:hunter2@127.0.0.1:1/nothing"


async def test_a_migrated_database_is_fine(database_url: str) -> None:
    async with connect(database_url, connections=4, statement_timeout=5) as database:
        assert await health.what_is_wrong(database.reads, health.newest_revision()) is None


async def test_another_revision_is_not(database_url: str) -> None:
    newest = health.newest_revision()
    async with connect(database_url, connections=4, statement_timeout=5) as database:
        reason = await health.what_is_wrong(database.reads, "9999")
    assert reason == f"the database is at revision {newest}, not at 9999"


async def test_no_tables_are_not(empty_database_url: str) -> None:
    async with connect(empty_database_url, connections=4, statement_timeout=5) as database:
        reason = await health.what_is_wrong(database.reads, health.newest_revision())
    assert reason == "the database can't be asked (UndefinedTableError)"


async def test_a_database_that_is_away_is_not_and_its_password_stays_secret(database_url: str) -> None:
    async with asyncpg.create_pool(database_url, min_size=0, max_size=1) as pool:
        pool.set_connect_args(NOTHING_THERE)
        reason = await health.what_is_wrong(Sessions(pool, 1, 10), health.newest_revision())
    assert reason == "the database can't be asked (ConnectionRefusedError)"


async def test_a_database_that_hangs_is_not(database_url: str) -> None:
    async with asyncpg.create_pool(database_url, min_size=1, max_size=1) as pool:
        blocker = await asyncpg.connect(database_url)
        transaction = blocker.transaction()
        await transaction.start()
        await blocker.execute("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE")
        reason = await health.what_is_wrong(Sessions(pool, 1, 10), health.newest_revision())
        await transaction.rollback()
        await blocker.close()
    assert reason == "the database did not answer within 2 s"
