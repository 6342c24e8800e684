"""Several replicas on one database: each job is worked on by one, and a late writer writes nothing."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import event

from server.domain.status import EventType, JobStatus, RunState
from server.reconciler import poller
from server.reconciler.findings import find
from server.reconciler.observation import write
from server.storage import jobs, leases
from server.storage.events import Entry
from tests.server.scripted_trainer import ScriptedTrainer, point
from tests.server.workshop import Workshop, opened_workshop

pytestmark = pytest.mark.database

QUEUED = ["CREATED >PENDING", "SUBMITTED PENDING>QUEUED"]
RUNNING = [*QUEUED, "STATUS_CHANGE QUEUED>RUNNING"]


async def test_each_job_is_submitted_by_one_of_two_replicas(workshop: Workshop) -> None:
    job_ids = [await workshop.create() for _ in range(12)]
    workshop.trainer.capabilities = replace(workshop.trainer.capabilities, idempotent_submit=False)
    async with workshop.another() as other:

        async def work(reconciler: object) -> int:
            return await poller.poll_once(other if reconciler is other else workshop.reconciler)

        while sum(await asyncio.gather(*(work(one) for one in (workshop.reconciler, other) for _ in range(2)))):
            pass
    assert sorted(request.job_id for request in workshop.trainer.requests) == sorted(job_ids)
    for job_id in job_ids:
        assert (await workshop.history(job_id))[:2] == QUEUED


async def test_a_late_writer_writes_nothing(workshop: Workshop) -> None:
    job_id = await workshop.queued()
    late = await workshop.claim(job_id)
    await workshop.execute("UPDATE training_jobs SET lease_until = now()")
    current = await workshop.claim(job_id)
    assert current.fence == late.fence + 1
    before = await workshop.job(job_id)
    workshop.trainer.say(job_id, RunState.FAILED, points=[point(1, train_loss=1.0)])
    seen = workshop.trainer.runs[job_id]
    await write(workshop.reconciler.runtime, late, seen, find(late, seen), 1.0)
    entry = Entry(EventType.STATUS_CHANGE, "late")
    async with workshop.engine.begin() as connection:
        assert not await jobs.move(connection, job_id, JobStatus.RUNNING, entry, fence=late.fence)
        assert not await jobs.record(connection, job_id, entry, fence=late.fence)
        assert not await jobs.change(connection, job_id, fence=late.fence, columns={"progress_percent": 50})
        assert not await jobs.begin_submission(connection, job_id, fence=late.fence, dataset_digest="late")
        assert not await leases.postpone(connection, late, 1.0, entry)
        await leases.retry_registration(connection, late, 1.0, entry)
        for give_back in (leases.overlook, leases.abandon):
            await give_back(connection, [late])
        await leases.release(connection, [late], 1.0)
        await leases.extend(connection, [late], 999.0)
    assert await workshop.job(job_id) == before
    assert await workshop.desk.rows("SELECT * FROM training_job_metric_points") == []
    assert await workshop.history(job_id) == QUEUED


async def test_a_frozen_replica_that_wakes_after_its_lease_changes_nothing(workshop: Workshop) -> None:
    """It had asked the trainer, slept past its lease, and then gets an answer that is no longer true."""
    job_id = await workshop.queued()
    frozen = workshop.trainer.fault("observe", hang=True)
    async with workshop.another(lease=600.0) as sleeper:
        asleep = asyncio.create_task(workshop.poll(sleeper))
        await frozen.reached.wait()
        await workshop.execute("UPDATE training_jobs SET lease_until = now()")
        workshop.trainer.say(job_id, RunState.RUNNING, points=[point(1, train_loss=2.0)])
        assert await workshop.poll() == 1
        workshop.trainer.say(job_id, RunState.FAILED)
        assert frozen.release is not None
        frozen.release.set()
        await asleep
    assert await workshop.history(job_id) == [*RUNNING, "METRIC_UPDATE"]


async def test_a_lease_that_ran_out_is_taken_over(workshop: Workshop) -> None:
    job_id = await workshop.create()
    await workshop.claim(job_id, lease=600.0)
    assert await workshop.poll() == 0
    await workshop.execute("UPDATE training_jobs SET lease_until = now()")
    assert await workshop.poll() == 1
    assert await workshop.status(job_id) == "QUEUED"


async def test_a_run_that_this_server_can_not_see_is_left_to_the_one_that_can(workshop: Workshop) -> None:
    job_id = await workshop.running()
    trainer = ScriptedTrainer(hidden={job_id}, runs=workshop.trainer.runs)
    async with workshop.another(trainer) as blind:
        assert await workshop.poll(blind) == 1
        assert await workshop.poll(blind) == 0
        job = await workshop.job(job_id)
        assert (job["failures"], job["unreachable_since"], job["lease_until"]) == (1, None, None)
    assert await workshop.history(job_id) == RUNNING


async def test_a_run_that_nobody_sees_for_long_is_said_to_be_out_of_reach(database_url: str, tmp_path: Path) -> None:
    async with opened_workshop(database_url, tmp_path, out_of_sight=0.0) as workshop:
        job_id = await workshop.running()
        workshop.trainer.hidden.add(job_id)
        for _ in range(4):
            await workshop.poll()
        assert await workshop.history(job_id) == [*RUNNING, "ERROR TRAINER_UNAVAILABLE"]
        job = await workshop.job(job_id)
        assert (job["status"], job["failures"]) == ("RUNNING", 4)
        workshop.trainer.hidden.clear()
        await workshop.poll()
        job = await workshop.job(job_id)
        assert (job["failures"], job["unreachable_since"]) == (0, None)


async def test_a_job_of_a_trainer_that_this_server_lacks_keeps_its_status(workshop: Workshop) -> None:
    job_id = await workshop.running()
    await workshop.execute("UPDATE training_jobs SET trainer = 'FMAPI'")
    assert await workshop.poll() == 1
    assert await workshop.history(job_id) == [*RUNNING, "ERROR TRAINER_UNAVAILABLE"]
    assert (await workshop.last_event(job_id))["message"] == (
        "The FMAPI trainer is not configured on this server; it is tried again"
    )


@pytest.mark.parametrize("count", [3, 60])
async def test_looking_at_jobs_that_are_as_before_costs_the_same_however_many(workshop: Workshop, count: int) -> None:
    job_id = await workshop.running()
    await workshop.poll()
    columns = ", ".join(name for name in await workshop.job(job_id) if name != "id")
    await workshop.execute(
        f"INSERT INTO training_jobs (id, {columns}) SELECT id || '_' || n, {columns}"
        " FROM training_jobs, generate_series(1, :count) AS n",
        count=count,
    )
    for number in range(1, count + 1):
        workshop.trainer.runs[f"{job_id}_{number}"] = workshop.trainer.runs[job_id]
    await workshop.execute("UPDATE training_jobs SET next_poll_at = now()")
    statements: list[str] = []
    event.listen(
        workshop.engine.sync_engine,
        "before_cursor_execute",
        lambda _connection, _cursor, statement, *_rest: statements.append(statement.split()[0]),
    )
    assert await poller.poll_once(workshop.reconciler) == count + 1
    assert len(statements) == 4  # a claim for each of three lanes, and one release
    assert len(workshop.trainer.observed[-1]) == count + 1
