"""Whether jobs that ended did so as they should: the status, one terminal event, and sequences without a gap."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import asyncpg

TERMINAL: Final = ("SUCCEEDED", "FAILED", "CANCELLED")
ENDED: Final = "SELECT count(*) FROM training_jobs WHERE trainer_job_id = ANY($1) AND completed_at IS NOT NULL"
HISTORIES: Final = """
SELECT jobs.trainer_job_id, jobs.status, jobs.last_sequence, count(*) AS events, max(events.sequence) AS last,
  array_remove(array_agg(CASE WHEN events.new_status = ANY($2) THEN events.new_status END), NULL) AS endings
FROM training_jobs jobs JOIN training_job_events events ON events.job_id = jobs.id
WHERE jobs.trainer_job_id = ANY($1) GROUP BY jobs.id
"""


@dataclass(frozen=True, slots=True)
class History:
    """How a job stands, and what its events say."""

    status: str
    last_sequence: int
    events: int
    last: int
    endings: tuple[str, ...]

    def ended_as(self, status: str) -> bool:
        """Whether it has this status, told by one event, and none of its events is missing."""
        return self.status == status and self.endings == (status,) and self.events == self.last == self.last_sequence


async def count_ended(url: str, trainer_job_ids: Collection[str]) -> int:
    """How many jobs of these runs have ended."""
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval(ENDED, list(trainer_job_ids)))
    finally:
        await connection.close()


async def histories(url: str, trainer_job_ids: Collection[str]) -> dict[str, History]:
    """The jobs of these runs, by run."""
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(HISTORIES, list(trainer_job_ids), list(TERMINAL))
    finally:
        await connection.close()
    return {
        row["trainer_job_id"]: History(
            row["status"], row["last_sequence"], row["events"], row["last"], tuple(row["endings"])
        )
        for row in rows
    }
