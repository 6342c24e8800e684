"""Several replicas on one database: each job is worked on by one, and a late writer writes nothing."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import event

from server.domain.status import EventType, JobStatus, RunState
from server.reconciler import observation
from server.reconciler.findings import find
from server.reconciler.outcomes import Change, Outcome, write
from server.reconciler.reconciler import Reconciler
from server.storage import claims, holding
from server.storage.events import Entry
from server.storage.lanes import LaneLease
from server.storage.metrics import Point
from tests.server.scripted_trainer import NOON, PlacedTrainer, point
from tests.server.workshop import NOBODY_HOLDS, Workshop, opened_workshop

pytestmark = pytest.mark.database

QUEUED = ["CREATED >PENDING", "SUBMITTED PENDING>QUEUED"]
RUNNING = [*QUEUED, "STATUS_CHANGE QUEUED>RUNNING"]
LEASES_RUN_OUT = "UPDATE training_job_claims SET lease_until = clock_timestamp()"
NOBODY_HELD = "UPDATE observation_lanes SET lease_until = now() - interval '31 seconds'"
COLUMNS = "SELECT column_name FROM information_schema.columns WHERE table_name = 'training_jobs'"
WRITTEN = "SELECT relname, n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_user_tables ORDER BY relname"
EVERYTHING = Outcome(
    [
        Change(Entry(EventType.STATUS_CHANGE, "late"), JobStatus.RUNNING),
        Change(Entry(EventType.ERROR, "late"), once={"code": "LATE"}),
        Change(columns={"current_epoch": 7}),
    ],
    points=[Point("train_loss", 1, 1.0, NOON)],
    latest={"train_loss": 1.0},
    due_seconds=0.0,
    failed=True,
    lane="another",
    model_version="7",
)


async def work_on_steps(workshop: Workshop, reconciler: Reconciler) -> int:
    steps, _ = workshop.workers(reconciler)
    begun = await steps.begin()
    await asyncio.gather(*steps.tasks)
    return begun


async def test_each_job_is_submitted_by_one_of_two_replicas(workshop: Workshop) -> None:
    job_ids = [await workshop.create() for _ in range(12)]
    workshop.trainer.capabilities = replace(workshop.trainer.capabilities, idempotent_submit=False)
    async with workshop.another() as other:
        replicas = (workshop.reconciler, other)
        while sum(await asyncio.gather(*(work_on_steps(workshop, one) for one in replicas for _ in range(2)))):
            pass
    assert sorted(request.job_id for request in workshop.trainer.requests) == sorted(job_ids)
    for job_id in job_ids:
        assert await workshop.history(job_id) == QUEUED


async def test_a_late_writer_writes_nothing(workshop: Workshop) -> None:
    job_id = await workshop.queued()
    late = await workshop.claim(job_id)
    await workshop.execute(LEASES_RUN_OUT)
    current = await workshop.claim(job_id)
    assert current.fence == late.fence + 1
    before = await workshop.job(job_id)
    assert not await write(workshop.reconciler.runtime, late, EVERYTHING)
    async with workshop.engine.begin() as connection:
        assert await holding.hold(connection, late) is None
        assert not await holding.extend(connection, late, 999.0)
        await holding.abandon(connection, late)
    assert await workshop.job(job_id) == before
    assert await workshop.desk.rows("SELECT * FROM training_job_metric_points") == []
    assert await workshop.desk.rows("SELECT * FROM training_job_metrics") == []
    assert await workshop.history(job_id) == QUEUED


async def test_an_outcome_is_written_once(workshop: Workshop) -> None:
    """A claim ends with its outcome, and so does what was read for an observation."""
    job_id = await workshop.queued()
    claim = await workshop.claim(job_id)
    failed = Outcome([Change(Entry(EventType.ERROR, "away"))], failed=True)
    written = [await write(workshop.reconciler.runtime, claim, failed) for _ in range(2)]
    assert (written, await workshop.history(job_id)) == ([True, False], [*QUEUED, "ERROR"])


async def test_an_observation_is_dropped_when_anything_was_written_since_or_the_lane_is_anothers(
    workshop: Workshop,
) -> None:
    job_id = await workshop.queued()
    await workshop.poll()
    workshop.trainer.say(job_id, RunState.RUNNING)

    async def observed(fence: int) -> bool:
        async with workshop.engine.connect() as connection:
            [claim] = await claims.read_observed(connection, [job_id], LaneLease("LOCAL", fence))
        findings = find(claim, workshop.trainer.runs[job_id])
        runtime = workshop.reconciler.runtime
        outcome = await observation.outcome(runtime, claim, workshop.trainer.runs[job_id], findings)
        return await write(runtime, claim, outcome) and not await write(runtime, claim, outcome)

    fence = await workshop.desk.value("SELECT fence FROM observation_lanes WHERE name = 'LOCAL'")
    before = await workshop.job(job_id)
    assert not await observed(fence - 1)
    assert await workshop.job(job_id) == before
    assert await observed(fence)
    assert await workshop.history(job_id) == RUNNING


async def test_a_frozen_replica_that_wakes_after_its_lease_changes_nothing(workshop: Workshop) -> None:
    """It had asked the trainer, slept past its lease, and then gets an answer that is no longer true."""
    job_id = await workshop.queued()
    frozen = workshop.trainer.fault("observe", hang=True)
    async with workshop.another(lease=600.0) as sleeper:
        asleep = asyncio.create_task(workshop.poll(sleeper))
        await frozen.reached.wait()
        workshop.trainer.say(job_id, RunState.RUNNING, points=[point(1, train_loss=2.0)])
        assert await workshop.poll() == 1
        workshop.trainer.say(job_id, RunState.FAILED)
        assert frozen.release is not None
        frozen.release.set()
        await asleep
    assert await workshop.history(job_id) == [*RUNNING, "METRIC_UPDATE"]


async def test_a_replica_that_has_lost_its_lane_begins_nothing_and_takes_it_again_later(workshop: Workshop) -> None:
    job_id = await workshop.running()
    async with workshop.another() as other:
        assert await workshop.poll(other) == 1
        _, [observer] = workshop.workers(workshop.reconciler)
        observer._renew_at = 0.0
        assert not await observer.hold()
        assert (await observer.begin(), observer.schedule.turns) == (0, {})
        await workshop.execute(NOBODY_HOLDS)
        observer._take_at = 0.0
        assert await observer.begin() == 1
        await asyncio.gather(*observer.tasks)
    assert await workshop.history(job_id) == RUNNING


async def test_a_lane_is_kept_as_long_as_it_is_renewed(database_url: str, tmp_path: Path) -> None:
    async with opened_workshop(database_url, tmp_path, lease=1.5) as workshop, workshop.another() as other:
        await workshop.running()
        _, [holder] = workshop.workers(workshop.reconciler)
        _, [waiting] = workshop.workers(other)
        fence = "SELECT fence FROM observation_lanes"
        taken = await workshop.desk.value(fence)
        ends = asyncio.get_running_loop().time() + 3.0  # twice its lease
        while asyncio.get_running_loop().time() < ends:
            assert await holder.hold()
            assert not await waiting.hold()
            await asyncio.sleep(0.1)
        assert await workshop.desk.value(fence) == taken


async def test_a_lease_that_ran_out_is_taken_over(workshop: Workshop) -> None:
    job_id = await workshop.create()
    await workshop.claim(job_id, lease=600.0)
    assert await workshop.poll() == 0
    await workshop.execute(LEASES_RUN_OUT)
    assert await workshop.poll() == 1
    assert await workshop.status(job_id) == "QUEUED"


async def test_a_replica_that_learns_that_its_claim_is_lost_stops_the_work_at_once(
    database_url: str, tmp_path: Path
) -> None:
    async with opened_workshop(database_url, tmp_path, lease=3.0) as workshop:
        job_id = await workshop.create()
        upload = workshop.trainer.fault("submit", hang=True)
        claim = await workshop.claim(job_id, lease=3.0)
        working = asyncio.create_task(workshop.reconciler.work(claim))
        await upload.reached.wait()
        await workshop.execute(LEASES_RUN_OUT)
        later = await workshop.claim(job_id)
        async with asyncio.timeout(20):
            await working  # the upload still hangs
        job = await workshop.job(job_id)
        assert (job["fence"], job["status"]) == (later.fence, "PENDING")
        assert job["lease_until"] is not None
        assert upload.release is not None
        assert not upload.release.is_set()


async def test_a_run_is_left_to_the_replica_that_can_see_it(database_url: str, tmp_path: Path) -> None:
    trainer, elsewhere = PlacedTrainer(), PlacedTrainer(where="elsewhere")
    async with (
        opened_workshop(database_url, tmp_path, scripted=trainer) as workshop,
        workshop.another(elsewhere) as blind,
    ):
        job_id = await workshop.running()
        assert (await workshop.job(job_id))["lane"] == "LOCAL here"
        before = await workshop.job(job_id)
        assert await workshop.poll(blind) == 0
        await workshop.execute("UPDATE training_jobs SET trained_at = now()")
        await workshop.execute("UPDATE training_job_claims SET due_at = now()")
        assert await work_on_steps(workshop, blind) == 0
        await workshop.execute("UPDATE training_jobs SET trained_at = NULL")
        await workshop.execute("UPDATE training_job_claims SET due_at = NULL")
        assert await workshop.job(job_id) == before
        workshop.trainer.say(job_id, RunState.FAILED)
        assert await workshop.poll() == 1
    assert elsewhere.calls == []


async def test_runs_in_a_lane_that_nobody_serves_any_longer_are_said_to_be_out_of_reach(
    database_url: str, tmp_path: Path
) -> None:
    trainer, elsewhere = PlacedTrainer(), PlacedTrainer(where="elsewhere")
    async with (
        opened_workshop(database_url, tmp_path, scripted=trainer) as workshop,
        workshop.another(elsewhere) as blind,
    ):
        job_id = await workshop.running()
        elsewhere.hidden.add(job_id)
        steps, _ = workshop.workers(blind)
        steps._unserved_from = 0.0
        assert await work_on_steps(workshop, blind) == 0, "it was served just now"
        await workshop.execute(NOBODY_HELD)
        for jobs in (1, 0):
            steps._sweep_at = 0.0
            assert await work_on_steps(workshop, blind) == jobs
        assert await workshop.history(job_id) == [*RUNNING, "ERROR TRAINER_UNAVAILABLE"]
        assert (await workshop.last_event(job_id))["message"] == (
            "The LOCAL trainer can't see the run from this server; it is tried again"
        )
        job = await workshop.job(job_id)
        assert (job["status"], job["due_at"], job["lease_until"]) == ("RUNNING", None, None)
        await workshop.poll()
        assert (await workshop.job(job_id))["unreachable_since"] is None


async def test_a_run_that_its_trainer_does_not_show_for_long_is_said_to_be_out_of_reach(workshop: Workshop) -> None:
    job_id = await workshop.running()
    workshop.trainer.hidden.add(job_id)
    for times in range(1, 5):
        await workshop.poll()
        assert await workshop.history(job_id) == [*RUNNING, *["ERROR TRAINER_UNAVAILABLE"] * (times >= 3)]
    assert (await workshop.job(job_id))["status"] == "RUNNING"
    workshop.trainer.hidden.clear()
    await workshop.poll()
    job = await workshop.job(job_id)
    assert (job["failures"], job["unreachable_since"]) == (0, None)


async def test_a_job_of_a_trainer_that_this_server_lacks_keeps_its_status(workshop: Workshop) -> None:
    job_id = await workshop.running()
    await workshop.execute("UPDATE training_jobs SET trainer = 'FMAPI'")
    await workshop.execute("UPDATE training_job_claims SET lane = 'FMAPI'")
    workshop.workers(workshop.reconciler)[0]._unserved_from = 0.0
    assert await workshop.poll() == 1
    assert await workshop.poll() == 0
    assert await workshop.history(job_id) == [*RUNNING, "ERROR TRAINER_UNAVAILABLE"]
    assert (await workshop.last_event(job_id))["message"] == (
        "The FMAPI trainer is not configured on this server; it is tried again"
    )


async def many(workshop: Workshop, count: int) -> str:
    """A running job and so many others like it; the first one's id, with which theirs begin."""
    job_id = await workshop.running()
    await workshop.poll()
    columns = [str(name) for (name,) in await workshop.desk.rows(COLUMNS)]
    listed = ", ".join(name for name in columns if name != "id")
    await workshop.execute(
        f"INSERT INTO training_jobs (id, {listed}) SELECT id || '_' || n, {listed}"
        " FROM training_jobs, generate_series(1, :count) AS n",
        count=count,
    )
    await workshop.execute(
        "INSERT INTO training_job_claims (job_id, lane) SELECT id, trainer FROM training_jobs WHERE id <> :id",
        id=job_id,
    )
    for number in range(1, count + 1):
        workshop.trainer.runs[f"{job_id}_{number}"] = workshop.trainer.runs[job_id]
    return job_id


@pytest.mark.parametrize("count", [3, 60])
async def test_observing_jobs_that_are_as_before_costs_the_same_however_many_and_writes_nothing(
    workshop: Workshop, count: int
) -> None:
    await many(workshop, count)
    await workshop.poll()
    _, [observer] = workshop.workers(workshop.reconciler)
    observer.schedule.hasten(list(observer.schedule.turns), 0.0)
    statements: list[str] = []
    event.listen(
        workshop.engine.sync_engine,
        "before_cursor_execute",
        lambda _connection, _cursor, statement, *_rest: statements.append(statement.split()[0]),
    )
    assert await observer.begin() == count + 1
    await asyncio.gather(*observer.tasks)
    assert statements == ["SELECT"]
    assert len(workshop.trainer.observed[-1]) == count + 1


async def test_passes_over_unchanged_jobs_update_no_row(workshop: Workshop) -> None:
    workshop.trainer.capabilities = replace(workshop.trainer.capabilities, observe_interval=3600.0)
    job_id = await many(workshop, 200)
    await workshop.poll()
    before = await written(workshop)
    _, [observer] = workshop.workers(workshop.reconciler)
    for _ in range(20):
        observer.schedule.hasten(list(observer.schedule.turns), 0.0)
        observer._list_at = 0.0
        begun = await observer.begin()
        while observer.tasks:
            await asyncio.gather(*observer.tasks)
            begun += observer.start()
        assert begun == 201
        assert await work_on_steps(workshop, workshop.reconciler) == 0
    assert await written(workshop) == before
    workshop.trainer.add(job_id, current_epoch=1)
    observer.schedule.hasten([job_id], 0.0)
    assert await observer.begin() == 1
    await asyncio.gather(*observer.tasks)
    changed = {table for table, count in (await written(workshop)).items() if count != before[table]}
    assert changed == {"training_jobs", "training_job_claims"}


async def written(workshop: Workshop) -> dict[str, int]:
    """How many rows were ever written, by table."""
    async with workshop.engine.connect() as connection:
        await connection.exec_driver_sql("SELECT pg_stat_force_next_flush()")
        await connection.commit()
        await connection.exec_driver_sql("SELECT pg_stat_clear_snapshot()")
    await workshop.engine.dispose()  # a session tells its counts when it ends
    rows = await workshop.desk.rows(WRITTEN)
    return {str(table): count for table, count in rows}
