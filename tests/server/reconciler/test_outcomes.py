"""Writing what came of the work, and what is done when the database does not take it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from server.domain.status import RunState
from server.reconciler.outcomes import Outcome, write
from server.reconciler.reconciler import Reconciler
from server.storage.migrations import driver_url
from tests.server.services.desk import ANNA
from tests.server.workshop import Workshop, succeed

pytestmark = pytest.mark.database

CREATED = ["CREATED >PENDING"]
QUEUED = [*CREATED, "SUBMITTED PENDING>QUEUED"]


@asynccontextmanager
async def replica(workshop: Workshop, **settings: Any) -> AsyncIterator[Reconciler]:  # noqa: ANN401  (of the engine)
    """A reconciler that has one connection to the database."""
    engine = create_async_engine(driver_url(workshop.url), pool_size=1, max_overflow=0, **settings)
    try:
        yield Reconciler(replace(workshop.reconciler.runtime, engine=engine))
    finally:
        await engine.dispose()


async def work_into(workshop: Workshop, reconciler: Reconciler, job_id: str, trouble: AsyncConnection) -> None:
    """Submit a job, and let the outcome meet the trouble."""
    accepted = workshop.trainer.fault("submit", hang=True)
    claim = await workshop.claim(job_id)
    working = asyncio.create_task(reconciler.work(claim))
    await accepted.reached.wait()
    async with trouble:
        await trouble.execute(text("SELECT id FROM training_jobs FOR UPDATE"))
        assert accepted.release is not None
        accepted.release.set()
        await working


async def test_a_full_pool_is_no_failure_of_the_job(workshop: Workshop) -> None:
    job_id = await workshop.create()
    async with replica(workshop, pool_timeout=0.05) as reconciler:
        await work_into(workshop, reconciler, job_id, reconciler.runtime.engine.connect())
    assert await workshop.history(job_id) == CREATED
    job = await workshop.job(job_id)
    assert (job["failures"], job["unreachable_since"]) == (0, None)
    assert job["lease_until"] is not None, "not even that could be written"
    await workshop.execute("UPDATE training_job_claims SET lease_until = clock_timestamp()")
    await workshop.poll()
    assert await workshop.history(job_id) == QUEUED
    assert len(workshop.trainer.requests) == 1


@pytest.mark.parametrize("limit", ["lock_timeout", "statement_timeout"])
async def test_a_time_limit_of_the_database_is_no_failure_of_the_job_which_is_soon_taken_again(
    workshop: Workshop, limit: str
) -> None:
    job_id = await workshop.create()
    settings = {"server_settings": {limit: "200"}}
    async with replica(workshop, connect_args=settings) as reconciler:
        await work_into(workshop, reconciler, job_id, workshop.engine.connect())
    assert await workshop.history(job_id) == CREATED
    job = await workshop.job(job_id)
    assert (job["failures"], job["unreachable_since"], job["lease_until"]) == (0, None, None)
    await workshop.poll()
    assert await workshop.history(job_id) == QUEUED


async def test_an_observation_that_a_cancel_has_overtaken_is_left_to_the_step_that_cancels(workshop: Workshop) -> None:
    job_id = await workshop.running()
    slow = workshop.trainer.fault("observe", hang=True)
    observing = asyncio.create_task(workshop.poll())
    await slow.reached.wait()
    await workshop.jobs.cancel(ANNA, job_id, "enough")
    workshop.trainer.say(job_id, RunState.CANCELLED)
    assert slow.release is not None
    slow.release.set()
    await observing
    assert (await workshop.history(job_id))[3:] == ["CANCEL_REQUESTED"]
    assert (await workshop.job(job_id))["due_at"] is not None
    await workshop.poll()
    event = await workshop.last_event(job_id)
    assert (event["message"], event["event_data"]) == ("Cancelled", {"requested_by": ANNA.name, "reason": "enough"})


async def test_a_step_that_a_cancel_has_overtaken_is_followed_by_it_at_once(workshop: Workshop) -> None:
    job_id = await workshop.running()
    succeed(workshop, job_id)
    await workshop.poll()
    claim = await workshop.claim(job_id)
    await workshop.jobs.cancel(ANNA, job_id)
    assert await write(workshop.reconciler.runtime, claim, Outcome(due_seconds=60.0, failed=True))
    now = await workshop.desk.value("SELECT clock_timestamp()")
    job = await workshop.job(job_id)
    assert (job["failures"], job["due_at"] <= now) == (1, True)
    claim = await workshop.claim(job_id)
    assert await write(workshop.reconciler.runtime, claim, Outcome(due_seconds=60.0))
    job = await workshop.job(job_id)
    assert (job["failures"], 50 < (job["due_at"] - now).total_seconds() < 70) == (0, True)


async def test_a_trainer_that_is_reached_again_is_told_of_without_an_event(workshop: Workshop) -> None:
    job_id = await workshop.running()
    await workshop.execute("UPDATE training_jobs SET unreachable_since = now()")
    before = await workshop.job(job_id)
    with workshop.bus.watch(job_id) as watch:
        await workshop.poll()
        changes = await watch.wait(5.0)
    after = await workshop.job(job_id)
    assert changes.job_ids == {job_id}
    assert (after["unreachable_since"], after["updated_at"] > before["updated_at"]) == (None, True)
    assert after["last_sequence"] == before["last_sequence"]
