"""Events of jobs, each written by one transaction as the program writes them: change, event and notification."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg

BEGIN: Final = """
UPDATE training_jobs SET status = 'RUNNING', completed_at = NULL, progress_percent = 40, error_code = NULL,
  error_message = NULL WHERE id = ANY($1)
"""
APPEND: Final = """
WITH changed AS (
  UPDATE training_jobs SET last_sequence = last_sequence + 1, updated_at = clock_timestamp() WHERE id = $1
  RETURNING id, last_sequence, updated_at
), appended AS (
  INSERT INTO training_job_events (id, job_id, sequence, created_at, event_type, message, event_data)
  SELECT 'evt_' || md5(id || ' of the benchmark ' || last_sequence), id, last_sequence, updated_at, 'PROGRESS_UPDATE',
    'Epoch 3 of 20, 15 % done', '{"epoch": 3, "epochs": 20, "percent": 15}'
  FROM changed RETURNING job_id, sequence
)
SELECT sequence, pg_notify('tunegraph', job_id) FROM appended
"""


class Writer:
    """Writes events of jobs over a few sessions of its own."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def begin(self, job_ids: Sequence[str]) -> None:
        """Let jobs be RUNNING."""
        await self._pool.execute(BEGIN, list(job_ids))

    async def append(self, job_id: str) -> float:
        """Commit an event of a job; the moment of `time.perf_counter` at which that was known."""
        await self._pool.fetchval(APPEND, job_id)
        return time.perf_counter()


@asynccontextmanager
async def writing(url: str, sessions: int) -> AsyncIterator[Writer]:
    """A writer to the database at `url`."""
    async with asyncpg.create_pool(url, min_size=sessions, max_size=sessions, reset=_keep) as pool:
        yield Writer(pool)


async def _keep(_connection: Any) -> None:  # noqa: ANN401  (asyncpg's)
    """No event changes its session's state."""
