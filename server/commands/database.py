"""The database of a command: reached or started, of a version that will do, and migrated."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from alembic.util import CommandError

from server import postgres
from server.commands.running import Cannot
from server.settings import Settings
from server.storage import migrations

CONNECT_SECONDS = 10.0
OLDEST_VERSION = 16


@asynccontextmanager
async def migrated(settings: Settings) -> AsyncIterator[str]:
    """The address of the database, at the tables of this version.

    Raises:
        Cannot: there is none to be reached, it is too old, or a newer version of the program has migrated it.
        PostgresError: the embedded one does not start.
    """
    async with postgres.database(settings.data_dir, url=settings.database_url, pg_bin=settings.pg_bin) as url:
        version = await _version(url)
        if version < OLDEST_VERSION:
            raise Cannot(f"The database is a Postgres {version}; {OLDEST_VERSION} is the oldest that will do")
        try:
            await migrations.upgrade(url)
        except CommandError as error:
            raise Cannot(f"The database can't be migrated: {error}. A newer version may have been here") from error
        yield url


async def _version(url: str) -> int:
    try:
        connection = await asyncpg.connect(url, timeout=CONNECT_SECONDS)
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        why = str(error) or type(error).__name__
        raise Cannot(f"The database of DATABASE_URL can't be reached: {why}") from error
    try:
        return connection.get_server_version().major
    finally:
        await connection.close(timeout=CONNECT_SECONDS)
