"""Retention: what nobody needs any longer goes, and nothing else."""

import asyncio
import fcntl
import itertools
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.status import JobStatus
from server.reconciler.retention import JobFolders, Retention, remove_folder
from server.storage import metrics, retention
from server.storage.metrics import Point
from server.storage.retention import POINTS_KEPT, Kind
from server.trainers.local import run
from tests.server.scripted_trainer import NOON
from tests.server.services.desk import ANNA
from tests.server.workshop import Workshop, succeed

pytestmark = pytest.mark.database

DAYS = 7
AGED = "UPDATE training_jobs SET completed_at = now() - make_interval(days => :days) WHERE id = :id"
STEPS = "SELECT step FROM training_job_metric_points WHERE job_id = :id AND key = :key ORDER BY step"
SEQUENCES = "SELECT sequence FROM training_job_events WHERE job_id = :id ORDER BY sequence"
TYPES = "SELECT event_type FROM training_job_events WHERE job_id = :id ORDER BY sequence"
PROGRESS = ("PROGRESS_UPDATE", "METRIC_UPDATE")
AUDIT = ["CREATED", "SUBMITTED", "STATUS_CHANGE", "STATUS_CHANGE"]


def clearing(workshop: Workshop, path: Path, *, keep_days: int = DAYS) -> Retention:
    exports = JobFolders("exports", path / "exports", keep_days, retention.without_exports, remove_folder)
    runs = JobFolders("runs", path / "runs", keep_days, retention.without_runs, run.remove)
    return Retention(workshop.engine, [exports, runs], {})


def thinning(workshop: Workshop, **days: int) -> Retention:
    return Retention(workshop.engine, [], {Kind[kind.upper()]: number for kind, number in days.items()})


async def ended(workshop: Workshop, days: int = DAYS + 1) -> str:
    job_id = await workshop.running()
    succeed(workshop, job_id)
    await workshop.poll()
    await workshop.poll()
    await workshop.mirrored()
    assert await workshop.status(job_id) == JobStatus.SUCCEEDED
    await workshop.execute(AGED, days=days, id=job_id)
    return job_id


def folders(path: Path, *job_ids: str) -> None:
    for job_id in job_ids:
        for kind in ("exports", "runs"):
            (path / kind / job_id / "model").mkdir(parents=True)
            (path / kind / job_id / "model" / "file").write_text("bytes")


def left(path: Path) -> dict[str, list[str]]:
    return {kind: sorted(one.name for one in (path / kind).iterdir()) for kind in ("exports", "runs")}


async def test_folders_of_jobs_that_ended_long_ago_are_deleted(workshop: Workshop, tmp_path: Path) -> None:
    old, young, active = await ended(workshop), await ended(workshop, DAYS - 1), await workshop.running()
    folders(tmp_path / "data", old, young, active, "not-of-a-job", ".queue")
    removed = await clearing(workshop, tmp_path / "data").work()
    kept = sorted([young, active, "not-of-a-job", ".queue"])
    assert removed == {"exports": 1, "runs": 1}
    assert left(tmp_path / "data") == {"exports": kept, "runs": kept}


async def test_nothing_is_deleted_where_the_setting_is_zero_or_the_folder_is_not_there(
    workshop: Workshop, tmp_path: Path
) -> None:
    folders(tmp_path / "data", await ended(workshop))
    before = left(tmp_path / "data")
    assert await clearing(workshop, tmp_path / "data", keep_days=0).work() == {}
    assert left(tmp_path / "data") == before
    assert await clearing(workshop, tmp_path / "nowhere").work() == {"exports": 0, "runs": 0}


async def test_a_run_that_is_still_needed_stays(workshop: Workshop, tmp_path: Path) -> None:
    lacking, unlogged, alive = await ended(workshop), "", await ended(workshop)
    workshop.registry.fail("log_model", times=1)
    unlogged = await ended(workshop)
    assert "ERROR MODEL_NOT_LOGGED" in await workshop.history(unlogged)
    await workshop.execute("INSERT INTO mlflow_mirrors (job_id) VALUES (:id)", id=lacking)
    folders(tmp_path, lacking, unlogged, alive)
    with (tmp_path / "runs" / alive / "run.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        removed = await clearing(workshop, tmp_path).work()
    assert removed == {"exports": 3, "runs": 0}
    assert left(tmp_path)["runs"] == sorted([lacking, unlogged, alive])
    await workshop.execute("DELETE FROM mlflow_mirrors")
    assert await clearing(workshop, tmp_path).work() == {"exports": 0, "runs": 2}
    assert left(tmp_path)["runs"] == [unlogged]


async def test_a_folder_that_can_not_be_deleted_holds_up_no_other(workshop: Workshop, tmp_path: Path) -> None:
    job_ids = sorted([await ended(workshop), await ended(workshop)])
    folders(tmp_path, *job_ids)

    def refuse(folder: Path) -> bool:
        if folder.name == job_ids[0]:
            raise PermissionError(folder)
        return remove_folder(folder)

    async def broken(_connection: AsyncConnection, _job_ids: Sequence[str], _days: int) -> list[str]:
        raise ValueError("a fault of ours")

    faulty = JobFolders("runs", tmp_path / "runs", DAYS, broken, remove_folder)
    exports = JobFolders("exports", tmp_path / "exports", DAYS, retention.without_exports, refuse)
    assert await Retention(workshop.engine, [faulty, exports], {}).work() == {"runs": 0, "exports": 1}
    assert left(tmp_path) == {"exports": [job_ids[0]], "runs": job_ids}


async def test_series_are_thinned_evenly_with_their_ends_and_extremes(workshop: Workshop) -> None:
    job_id, young, many = await ended(workshop), await ended(workshop, DAYS - 1), 10_000
    points = [Point("loss", step, 1 / (step + 1), NOON + timedelta(seconds=step)) for step in range(many)]
    points[7_001] = Point("loss", 7_001, 99.0, NOON)
    points[7_003] = Point("loss", 7_003, -99.0, NOON)
    short = [Point("val_loss", step, None, NOON) for step in range(POINTS_KEPT)]
    async with workshop.engine.begin() as connection:
        await metrics.insert_points(connection, job_id, [*points, *short])
        await metrics.insert_points(connection, young, points)
    removed = await thinning(workshop, points=DAYS).work()
    steps = [step for (step,) in await workshop.desk.rows(STEPS, id=job_id, key="loss")]
    assert removed == {Kind.POINTS: many - len(steps)}
    assert POINTS_KEPT - 4 <= len(steps) <= POINTS_KEPT
    assert {0, 7_001, 7_003, many - 1} <= set(steps)
    assert max(later - earlier for earlier, later in itertools.pairwise(steps)) <= 11
    assert len(await workshop.desk.rows(STEPS, id=job_id, key="val_loss")) == POINTS_KEPT
    assert len(await workshop.desk.rows(STEPS, id=young, key="loss")) == many
    assert await thinning(workshop, points=DAYS).work() == {Kind.POINTS: 0}


async def test_progress_events_go_and_the_audit_trail_stays(workshop: Workshop) -> None:
    job_id, young = await ended(workshop), await ended(workshop, DAYS - 1)
    before = [kind for (kind,) in await workshop.desk.rows(TYPES, id=job_id)]
    removed = await thinning(workshop, progress_events=DAYS).work()
    assert removed == {Kind.PROGRESS_EVENTS: sum(kind in PROGRESS for kind in before)}
    assert [kind for (kind,) in await workshop.desk.rows(TYPES, id=job_id)] == AUDIT
    assert [kind for (kind,) in await workshop.desk.rows(TYPES, id=young)] == before
    assert await workshop.desk.rows(SEQUENCES, id=job_id) == [(1,), (2,), (3,), (len(before),)], "numbers never change"


async def test_the_database_itself_keeps_the_audit_trail(workshop: Workshop) -> None:
    job_id = await workshop.running()
    connection = await asyncpg.connect(workshop.url)
    try:
        for statement in ("DELETE FROM training_job_events", "UPDATE training_job_events SET message = ''"):
            with pytest.raises(asyncpg.RestrictViolationError, match="never change once stored"):
                await connection.execute(statement)
    finally:
        await connection.close()
    assert len(await workshop.history(job_id)) == 3


async def test_one_server_thins_at_a_time_and_the_next_goes_on_where_it_was(workshop: Workshop) -> None:
    first = await ended(workshop, DAYS + 2)
    async with workshop.engine.begin() as connection:
        assert await retention.lock(connection)
        assert await thinning(workshop, progress_events=DAYS).work() == {Kind.PROGRESS_EVENTS: 0}
    assert await thinning(workshop, progress_events=DAYS).work() == {Kind.PROGRESS_EVENTS: 1}
    second = await ended(workshop, DAYS + 1)
    async with workshop.engine.connect() as connection:
        left_to_do = await retention.next_ended(connection, Kind.PROGRESS_EVENTS, DAYS, 10)
    assert [job.job_id for job in left_to_do] == [second]
    assert [kind for (kind,) in await workshop.desk.rows(TYPES, id=first)] == AUDIT


async def test_a_job_that_is_under_way_is_never_thinned(workshop: Workshop) -> None:
    job_id = await workshop.running()
    await workshop.jobs.cancel(ANNA, job_id)
    before = await workshop.history(job_id)
    assert await thinning(workshop, progress_events=DAYS, points=DAYS).work() == {
        Kind.PROGRESS_EVENTS: 0,
        Kind.POINTS: 0,
    }
    assert await workshop.history(job_id) == before


async def test_the_lane_ends_with_its_context(workshop: Workshop, tmp_path: Path) -> None:
    async with clearing(workshop, tmp_path):
        assert [task for task in asyncio.all_tasks() if task.get_name() == "retention"]
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "retention"]
