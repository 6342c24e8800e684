"""Many jobs from one: rows that the program wrote itself, copied to other ids with all that belongs to them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg

COLUMNS: Final = """
SELECT table_name, array_agg(column_name::text ORDER BY ordinal_position) AS names FROM information_schema.columns
WHERE table_schema = 'public' AND is_generated = 'NEVER' GROUP BY table_name
"""
JOBS: Final = "training_jobs"
# what is each job's own; all else is as the first one has it
OF_JOBS: Final = {
    "id": "copies.job_id",
    "trainer_job_id": "copies.trainer_job_id",
    "mlflow_run_id": "copies.mlflow_run_id",
    "client_mutation_id": "NULL",
    "input_digest": "NULL",
}
OF_OTHERS: Final = {"job_id": "copies.job_id", "id": "'evt_' || md5(copies.job_id || original.id)"}
WAKE: Final = "SELECT pg_notify('tunegraph_due', '')"


@dataclass(frozen=True, slots=True)
class Run:
    """A trainer's run, for which there is to be a job."""

    job_id: str
    trainer_job_id: str
    mlflow_run_id: str


async def copy(url: str, job_id: str, runs: Sequence[Run]) -> None:
    """A copy of a job for each of these runs: its row, and every row of a table that has its id in `job_id`.

    Triggers and foreign keys are left out: what they would write or refuse is among the rows already. Whoever polls is
    woken.
    """
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction(isolation="repeatable_read"):  # the program may be writing to the first one
            await connection.execute("SET LOCAL session_replication_role = replica")
            await connection.execute(
                "CREATE TEMPORARY TABLE copies (job_id text, trainer_job_id text, mlflow_run_id text) ON COMMIT DROP"
            )
            records = [(run.job_id, run.trainer_job_id, run.mlflow_run_id) for run in runs]
            await connection.copy_records_to_table("copies", records=records)
            tables = {row["table_name"]: row["names"] for row in await connection.fetch(COLUMNS)}
            for table, names in tables.items():
                if table == JOBS:
                    await connection.execute(statement(table, names, OF_JOBS, "id"), job_id)
                elif "job_id" in names:
                    await connection.execute(statement(table, names, OF_OTHERS, "job_id"), job_id)
        await connection.execute("ANALYZE")
        await connection.execute(WAKE)
    finally:
        await connection.close()


def statement(table: str, names: Iterable[str], own: Mapping[str, str], key: str) -> str:
    """The statement that copies the rows of a table whose `key` is $1."""
    names = list(names)
    values = ", ".join(own.get(name, f"original.{name}") for name in names)
    rows = f"SELECT {values} FROM {table} original, copies WHERE original.{key} = $1"
    return f"INSERT INTO {table} ({', '.join(names)}) {rows}"
