import asyncpg
import pytest

from server.domain import ids
from tests.bench import active, copies, counters, data, endings
from tests.bench.copies import Run
from tests.bench.endings import History
from tests.bench.workspace import Listing
from tests.waiting import until

JOBS = 200
CONSTRAINED = """
SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint
WHERE contype = 'f' AND connamespace = 'public'::regnamespace
"""
OWN = ("id", "trainer_job_id", "mlflow_run_id", "client_mutation_id", "input_digest")


@pytest.mark.database
async def test_rows_are_counted_by_table(database_url: str) -> None:
    await data.fill(database_url, JOBS)
    before = await counters.written(database_url)

    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE training_jobs SET updated_at = now()")
    await connection.execute("INSERT INTO sheets (id, name, source) VALUES ('sheet_x', 'x', 'EXTERNAL')")
    await connection.execute("DELETE FROM sheets WHERE id = 'sheet_x'")
    await connection.close()

    async def counted() -> bool:
        return (await counters.written(database_url)).since(before).total_rows >= JOBS + 2

    await until(counted)
    grown = (await counters.written(database_url)).since(before)
    assert grown.rows == {"training_jobs": JOBS, "sheets": 2}
    assert (grown.total_rows, grown.rows_of_jobs) == (JOBS + 2, JOBS)
    assert grown.wal_bytes > 0


@pytest.mark.database
async def test_a_copied_job_has_all_that_the_first_has(database_url: str) -> None:
    await data.fill(database_url, JOBS)
    original = (await data.newest(database_url, 1))[0]
    runs = [Run(ids.new(ids.Kind.JOB), f"run-{number}", f"mlflow-{number}") for number in range(3)]
    connection = await asyncpg.connect(database_url)

    async def rows(job_id: str) -> dict[str, int]:
        tables = await connection.fetch(
            "SELECT table_name FROM information_schema.columns WHERE table_schema = 'public' AND column_name = 'job_id'"
        )
        counts = {
            table: await connection.fetchval(f"SELECT count(*) FROM {table} WHERE job_id = $1", job_id)
            for (table,) in tables
        }
        return {table: count for table, count in counts.items() if count}

    await copies.copy(database_url, original, runs)

    wanted = await rows(original)
    assert wanted["training_job_events"] == 20
    assert wanted["training_job_pairs"] == 20
    first = dict(await connection.fetchrow("SELECT * FROM training_jobs WHERE id = $1", original) or {})
    for run in runs:
        assert await rows(run.job_id) == wanted
        copied = dict(await connection.fetchrow("SELECT * FROM training_jobs WHERE id = $1", run.job_id) or {})
        assert [copied[name] for name in OWN] == [run.job_id, run.trainer_job_id, run.mlflow_run_id, None, None]
        assert {name: value for name, value in copied.items() if name not in OWN} == {
            name: value for name, value in first.items() if name not in OWN
        }
    for table, definition in await connection.fetch(CONSTRAINED):
        await connection.execute(f"ALTER TABLE {table} ADD CONSTRAINT checked {definition}")
        await connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT checked")
    await connection.close()


@pytest.mark.database
async def test_an_ending_is_right_when_one_event_tells_it_and_none_is_missing(database_url: str) -> None:
    await data.fill(database_url, JOBS)
    connection = await asyncpg.connect(database_url)
    ended = await connection.fetch(
        "SELECT id, trainer_job_id FROM training_jobs WHERE status = 'SUCCEEDED' ORDER BY created_at DESC LIMIT 4"
    )
    lost, doubled, shortened, _ = (row["id"] for row in ended)
    await connection.execute("UPDATE training_jobs SET status = 'FAILED' WHERE id = $1", lost)
    await connection.execute(
        "INSERT INTO training_job_events (id, job_id, sequence, event_type, old_status, new_status, message)"
        " VALUES ('evt_x', $1, 21, 'STATUS_CHANGE', 'RUNNING', 'SUCCEEDED', 'again')",
        doubled,
    )
    await connection.execute("UPDATE training_jobs SET last_sequence = 21 WHERE id = ANY($1)", [doubled, shortened])
    names = [row["trainer_job_id"] for row in ended]

    histories = await endings.histories(database_url, names)

    assert [histories[name].ended_as("SUCCEEDED") for name in names] == [False, False, False, True]
    assert histories[names[3]] == History("SUCCEEDED", 20, 20, 20, ("SUCCEEDED",))
    assert await endings.count_ended(database_url, [*names, "nobody"]) == 4
    await connection.close()


def test_a_gap_counts_from_before_the_window_to_its_end() -> None:
    assert active.longest_gap([5.0, 33.0, 60.0], 10.0, 70.0) == 28.0
    assert active.longest_gap([5.0, 12.0, 60.0], 10.0, 70.0) == 48.0
    assert active.longest_gap([5.0, 12.0], 10.0, 70.0) == 58.0
    assert active.longest_gap([], 10.0, 70.0) == 60.0


def test_pages_are_counted_for_a_pass_over_all_runs() -> None:
    twice = [[11.0, 21.0], [12.0, 22.0], [9.0, 13.0, 23.0]]

    assert active.calls_of_a_pass(4, twice, 10.0, 30.0) == 2.0
    assert active.calls_of_a_pass(12, twice, 10.0, 30.0) == 6.0


def test_every_run_must_have_been_listed_since() -> None:
    listings = {"a": Listing("a", "QUEUED", [1.0, 5.0]), "b": Listing("b", "QUEUED", [5.0])}

    assert active.listed_since(listings, ["a", "b"], 5.0)
    assert not active.listed_since(listings, ["a", "b"], 5.1)
    assert not active.listed_since(listings | {"c": Listing("c", "QUEUED", [])}, ["a", "c"], 0.0)
