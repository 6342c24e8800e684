"""A long history of jobs, for tests of what reads and claims look at."""

from pathlib import Path

import asyncpg

FILL = Path(__file__).with_name("history.sql")
NEWEST = "2026-02-06T10:00:00Z"  # a second before it, the newest job was created
MIDDLE = "2026-02-06T07:13:20.000000Z"  # job 10,000 was created


async def fill(url: str) -> None:
    """Write the history into an empty, migrated database."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(FILL.read_text(encoding="utf-8"))
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()
