"""Databases filled for the purpose: as many jobs as are wanted, of which the newest are always the same."""

from pathlib import Path
from typing import Final

import asyncpg

from server.storage import migrations

FILL: Final = Path(__file__).parent / "fill.sql"
NEWEST = "2026-02-06T10:00:00.123456Z"
FEWEST = 10_000  # so that page 500 is there, with everything below its jobs
# not those of constraints; nor partial ones, which have few rows, and whose conditions would not read the same again
INDEXES = """
SELECT indexname, indexdef FROM pg_indexes
WHERE schemaname = 'public' AND indexname LIKE 'ix%' AND indexdef NOT LIKE '% WHERE %' ORDER BY indexname
"""


async def make(url: str, name: str, jobs: int) -> str:
    """Make a database `name` beside that at `url`, migrated and filled; its address."""
    made = await make_empty(url, name)
    await fill(made, jobs)
    return made


async def make_empty(url: str, name: str) -> str:
    """Make a database `name` beside that at `url`, migrated; its address."""
    made = await _create(url, f"CREATE DATABASE {name}", name)
    await migrations.upgrade(made)
    return made


async def copy(url: str, name: str) -> str:
    """Make a database `name` beside that at `url` with all its rows; its address. Nobody may be connected to it."""
    original = url.rsplit("/", 1)[1]
    return await _create(
        f"{url.rsplit('/', 1)[0]}/postgres", f"CREATE DATABASE {name} TEMPLATE {original} STRATEGY file_copy", name
    )


async def _create(url: str, statement: str, name: str) -> str:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
    return f"{url.rsplit('/', 1)[0]}/{name}"


async def fill(url: str, jobs: int) -> None:
    """Write the rows into an empty, migrated database."""
    connection = await asyncpg.connect(url)
    try:
        # indexes are made once the rows are there, which takes a quarter of the time
        indexes = await connection.fetch(INDEXES)
        await connection.execute(";".join(f"DROP INDEX {index['indexname']}" for index in indexes))
        statements = FILL.read_text(encoding="utf-8").replace("$JOBS", str(jobs)).replace("$NEWEST", NEWEST)
        await connection.execute(statements)
        await connection.execute("SET maintenance_work_mem = '512MB'")
        await connection.execute(";".join(index["indexdef"] for index in indexes))
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()


async def newest(url: str, count: int) -> list[str]:
    """The ids of the newest jobs."""
    connection = await asyncpg.connect(url)
    try:
        found = await connection.fetch("SELECT id FROM training_jobs ORDER BY created_at DESC LIMIT $1", count)
        return [row["id"] for row in found]
    finally:
        await connection.close()


async def version(url: str) -> str:
    """The version of the Postgres."""
    connection = await asyncpg.connect(url)
    try:
        return str(await connection.fetchval("SELECT split_part(current_setting('server_version'), ' ', 1)"))
    finally:
        await connection.close()
