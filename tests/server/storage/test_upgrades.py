"""A database of the first version becomes one of this version, with all that is in it, and work goes on."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import asyncpg
import pytest

from server.domain.status import RunState
from server.storage import migrations
from server.trainers.trainer import Capabilities
from tests.server.scripted_trainer import ARTIFACT, ScriptedTrainer
from tests.server.services.desk import DEADLINE
from tests.server.workshop import Workshop, opened_workshop

pytestmark = pytest.mark.database

FIRST = "0001"
FILL = Path(__file__).with_name("first_version.sql")
KEYS = {
    "training_job_pairs": ("job_id", "position"),
    "training_job_metric_points": ("job_id", "key", "step"),
    "training_job_lineage": ("job_id",),
    "training_job_metrics": ("job_id",),
    "training_job_claims": ("job_id",),
    "mlflow_mirrors": ("job_id",),
}
DERIVED = {"qa_pairs": {"defect", "question_digest", "line_digest"}}
"""What is derived again from the columns beside it."""
MOVED = {
    "training_jobs": {
        *("next_poll_at", "lease_until", "fence", "failures", "registration_failures"),
        *("mirror_lease_until", "trainer_events"),
    },
    "training_job_claims": {"due_at", "lease_until", "fence"},
    "mlflow_mirrors": {"due_at", "lease_until", "fence"},
}
"""Who works on a job, and when: may stand elsewhere, and is nobody's data."""
TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
ENDED = ("succeeded", "failed", "failed_unsubmitted", "cancelled")
SENT_BEFORE = (
    "pending_lost",
    "queued",
    "queued_unreachable",
    "queued_held",
    "running",
    "running_claimed",
    "running_cancelled",
    "running_trained",
)

Rows: TypeAlias = Mapping[tuple[object, ...], Mapping[str, object]]


async def contents(url: str) -> dict[str, Rows]:
    """All rows of all tables, by their keys."""
    connection = await asyncpg.connect(url)
    try:
        found: dict[str, Rows] = {}
        for (table,) in await connection.fetch(TABLES):
            rows = await connection.fetch(f"SELECT * FROM {table}")
            key = KEYS.get(table, ("id",) if rows and "id" in rows[0] else ())
            found[table] = {tuple(row[column] for column in key or row.keys()): dict(row) for row in rows}
        return found
    finally:
        await connection.close()


def assert_kept(before: Mapping[str, Rows], after: Mapping[str, Rows]) -> None:
    """Each row is there with each value that it had; there may be more of both."""
    for table, rows in before.items():
        for key, row in rows.items():
            now = after[table][key]
            assert row.keys() - now.keys() <= MOVED.get(table, set()), table
            changing = DERIVED.get(table, set()) | MOVED.get(table, set())
            kept = {name: value for name, value in row.items() if name in now and name not in changing}
            assert {name: now[name] for name in kept} == kept, (table, key)


async def first_version(url: str) -> dict[str, Rows]:
    await migrations.upgrade(url, FIRST)
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(FILL.read_text(encoding="utf-8"))
    finally:
        await connection.close()
    return await contents(url)


def trainer_of_before() -> ScriptedTrainer:
    """The trainer as the killed server left it: it has the runs, and would train twice if it were asked twice."""
    trainer = ScriptedTrainer(
        capabilities=Capabilities(observe_interval=0.5, observe_batch=100, idempotent_submit=False)
    )
    for name in SENT_BEFORE:
        trainer.say(f"job_{name}", RunState.RUNNING if name.startswith("running") else RunState.QUEUED)
    trainer.say("job_running_trained", RunState.SUCCEEDED, artifact=ARTIFACT, progress_percent=100)
    return trainer


async def statuses(workshop: Workshop) -> dict[str, str]:
    rows = await workshop.desk.rows("SELECT id, status FROM training_jobs ORDER BY split_seed")
    return {job_id.removeprefix("job_"): status for job_id, status in rows}


async def polled_until(workshop: Workshop, wanted: Mapping[str, str]) -> None:
    """Poll until jobs have these statuses: a lease of the killed server has still to end."""
    async with asyncio.timeout(DEADLINE):
        while {name: (await statuses(workshop))[name] for name in wanted} != wanted:
            await workshop.poll()


async def test_everything_is_kept_up_down_and_up_again(empty_database_url: str) -> None:
    before = await first_version(empty_database_url)
    assert {table for table, rows in before.items() if not rows} == set()
    await migrations.upgrade(empty_database_url)
    first = await contents(empty_database_url)
    assert_kept(before, first)
    await migrations.downgrade(empty_database_url, FIRST)
    back = await contents(empty_database_url)
    assert {table: len(rows) for table, rows in back.items()} == {table: len(rows) for table, rows in before.items()}
    assert_kept(before, back)
    await migrations.upgrade(empty_database_url)
    assert_kept(first, await contents(empty_database_url))


async def test_each_job_goes_on_from_where_it_stood(empty_database_url: str, tmp_path: Path) -> None:
    await first_version(empty_database_url)
    await migrations.upgrade(empty_database_url)
    trainer = trainer_of_before()
    ended = {name: name.partition("_")[0].upper() for name in ENDED}
    async with opened_workshop(empty_database_url, tmp_path, pairs=0, scripted=trainer) as workshop:
        moved = {
            "pending": "QUEUED",
            "pending_claimed": "QUEUED",
            "pending_lost": "QUEUED",
            "pending_cancelled": "CANCELLED",
            "queued": "QUEUED",
            "queued_unreachable": "QUEUED",
            "queued_held": "QUEUED",
            "running": "RUNNING",
            "running_claimed": "RUNNING",
            "running_cancelled": "CANCELLED",
            "running_trained": "SUCCEEDED",
        }
        await polled_until(workshop, {**moved, **ended})
        assert sorted(request.job_id for request in trainer.requests) == ["job_pending", "job_pending_claimed"]
        assert _answers(tmp_path / "job_pending") == ['"Anna."}]}\n', '"Ben.\u2028"}]}\n']
        trained = await workshop.job("job_running_trained")
        assert trained["uc_model_version"] == "1"
        going = [name for name, status in moved.items() if status in ("QUEUED", "RUNNING")]
        for name in going:
            trainer.say(f"job_{name}", RunState.SUCCEEDED, artifact=ARTIFACT, progress_percent=100)
        await polled_until(workshop, {**dict.fromkeys(going, "SUCCEEDED"), **ended})
        for name in (*moved, *ended):
            history = await workshop.history(f"job_{name}")
            assert history[0] == "CREATED >PENDING"
            assert len(history) == 2 or name not in ended
    await migrations.downgrade(empty_database_url, FIRST)
    await migrations.upgrade(empty_database_url)
    jobs = (await contents(empty_database_url))["training_jobs"].values()
    assert {row["id"]: row["status"] for row in jobs} == {
        f"job_{name}": status for name, status in {**moved, **ended, **dict.fromkeys(going, "SUCCEEDED")}.items()
    }


def _answers(folder: Path) -> list[str]:
    """What stands behind the last key of each file, as it was written."""
    lines = [(folder / name).read_text(encoding="utf-8") for name in ("train.jsonl", "validation.jsonl")]
    return [line.rpartition('"content":')[2] for line in lines]
