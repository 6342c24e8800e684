"""Which jobs changed when; read through the sessions for reads, for whoever follows jobs."""

from collections.abc import Collection
from datetime import datetime
from typing import Final, NamedTuple

from server.storage.sessions import Sessions

NOW: Final = "SELECT clock_timestamp()"
OF_JOBS: Final = "SELECT id, updated_at FROM training_jobs WHERE id = ANY($1::text[]) ORDER BY updated_at, id"
BEHIND: Final = """
    SELECT id, updated_at FROM training_jobs WHERE (updated_at, id) > ($1::timestamptz, $2::text)
    ORDER BY updated_at, id LIMIT $3::int
"""


class Change(NamedTuple):
    """A job, and when it changed last, by the database's clock."""

    job_id: str
    at: datetime


async def moment(reads: Sessions) -> datetime:
    """The database's time."""
    now: datetime = await reads.value(NOW)
    return now


async def of_jobs(reads: Sessions, job_ids: Collection[str]) -> list[Change]:
    """The last change of each of these jobs, the longest ago first; ids that no job has are left out."""
    return [Change(*row) for row in await reads.rows(OF_JOBS, [list(job_ids)])]


async def behind(reads: Sessions, at: datetime, job_id: str, limit: int) -> list[Change]:
    """The last changes behind a place in their order, which is by time, then by id; the longest ago first."""
    return [Change(*row) for row in await reads.rows(BEHIND, [at, job_id, limit])]
