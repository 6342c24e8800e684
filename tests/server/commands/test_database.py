"""The database of a command: which one will do."""

import asyncpg
import pytest

from server.commands import database
from server.commands.running import Cannot
from server.settings import Settings
from server.storage import health

pytestmark = pytest.mark.database


def settings(url: str) -> Settings:
    return Settings.model_validate({"DATABASE_URL": url})


async def execute(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def test_an_empty_one_is_migrated(empty_database_url: str) -> None:
    async with database.migrated(settings(empty_database_url)) as url:
        assert url == empty_database_url
        assert await execute(url, "SELECT version_num FROM alembic_version") == health.newest_revision()


async def test_one_that_a_newer_version_has_migrated_is_refused(database_url: str) -> None:
    await execute(database_url, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(Cannot, match=r"can't be migrated: .*9999.* A newer version may have been here"):
        async with database.migrated(settings(database_url)):
            pass


async def test_one_that_is_too_old_is_refused(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "OLDEST_VERSION", 99)
    with pytest.raises(Cannot, match=r"The database is a Postgres \d+; 99 is the oldest that will do"):
        async with database.migrated(settings(database_url)):
            pass


@pytest.mark.parametrize("url", ["nothing", "mysql://h/d", "postgresql://127.0.0.1:1/d"])
async def test_one_that_is_not_there_is_refused(url: str) -> None:
    with pytest.raises(Cannot, match="The database of DATABASE_URL can't be reached: "):
        async with database.migrated(settings(url)):
            pass
