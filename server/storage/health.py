"""Whether the database can be worked with now."""

import asyncio

import asyncpg
from alembic.script import ScriptDirectory

from server.storage import migrations
from server.storage.sessions import Sessions

TIMEOUT_SECONDS = 2.0


def newest_revision() -> str | None:
    """The revision that this version's tables have; reads the migrations from disk."""
    return ScriptDirectory.from_config(migrations.config()).get_current_head()


async def what_is_wrong(reads: Sessions, revision: str | None) -> str | None:
    """Why requests can't be answered, or None. The reason is fit for strangers: no address, no password."""
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            current = await reads.value("SELECT version_num FROM alembic_version")
    except TimeoutError:
        return f"the database did not answer within {TIMEOUT_SECONDS:g} s"
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return f"the database can't be asked ({type(error).__name__})"
    return None if current == revision else f"the database is at revision {current}, not at {revision}"
