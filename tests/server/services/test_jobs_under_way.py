"""Jobs under way, as a person deals with them: waiting for the first step, cancelling, asking the trainer now."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from server.domain.errors import InvalidInput, InvalidTransition, NotFound
from server.domain.status import JobStatus, RunState
from server.reconciler import poller
from tests.server.scripted_trainer import away, point
from tests.server.services.desk import ANNA, BEN, NUL, refusal
from tests.server.workshop import Workshop, opened_workshop, succeed

pytestmark = pytest.mark.database


@asynccontextmanager
async def polled(database_url: str, folder: Path, **changes: Any) -> AsyncIterator[Workshop]:  # noqa: ANN401
    """A workshop with its poller at work, and mutations that wait as they do for people."""
    async with (
        opened_workshop(database_url, folder, first_step=10.0, **changes) as workshop,
        poller.running(workshop.reconciler, workshop.bus),
    ):
        yield workshop


async def test_a_create_waits_for_the_first_step(database_url: str, tmp_path: Path) -> None:
    async with polled(database_url, tmp_path) as workshop:
        async with asyncio.timeout(5):
            job_id = await workshop.create()
        assert (await workshop.job(job_id))["trainer_job_id"] == f"run-{job_id}"


async def test_a_create_answers_at_once_when_the_trainer_is_away(database_url: str, tmp_path: Path) -> None:
    async with polled(database_url, tmp_path, first_retry=60.0) as workshop:
        workshop.trainer.fault("submit", away())
        async with asyncio.timeout(5):
            job_id = await workshop.create()
        job = await workshop.job(job_id)
        assert (job["status"], job["failures"]) == ("PENDING", 1)


async def test_a_cancel_waits_until_the_trainer_confirms(database_url: str, tmp_path: Path) -> None:
    async with polled(database_url, tmp_path) as workshop:
        job_id = await workshop.create()
        async with asyncio.timeout(5):
            assert await workshop.jobs.cancel(ANNA, job_id, "enough") == job_id
        assert await workshop.status(job_id) == "CANCELLED"
        assert await workshop.jobs.cancel(BEN, job_id, "me too") == job_id
        assert (await workshop.history(job_id))[-2:] == ["CANCEL_REQUESTED", "STATUS_CHANGE QUEUED>CANCELLED"]


async def test_a_cancel_answers_at_once_when_the_trainer_is_away(database_url: str, tmp_path: Path) -> None:
    async with polled(database_url, tmp_path, first_retry=60.0) as workshop:
        job_id = await workshop.create()
        workshop.trainer.fault("cancel", away())
        workshop.trainer.fault("observe", away(), times=100)
        async with asyncio.timeout(5):
            await workshop.jobs.cancel(ANNA, job_id)
        job = await workshop.job(job_id)
        assert (job["status"], job["cancel_requested_by"]) == ("QUEUED", ANNA.name)


async def test_cancelling_twice_is_told_once(workshop: Workshop) -> None:
    job_id = await workshop.create()
    for caller in (ANNA, BEN):
        assert await workshop.jobs.cancel(caller, job_id, " ") == job_id
    assert await workshop.history(job_id) == ["CREATED >PENDING", "CANCEL_REQUESTED"]
    event = await workshop.last_event(job_id)
    assert (event["actor"], event["event_data"], event["message"]) == (
        ANNA.name,
        {"reason": None},
        "Cancelling was asked for",
    )


@pytest.mark.parametrize("state", [RunState.SUCCEEDED, RunState.FAILED])
async def test_a_job_that_has_ended_otherwise_can_not_be_cancelled(workshop: Workshop, state: RunState) -> None:
    job_id = await workshop.running()
    workshop.trainer.say(job_id, state)
    for _ in range(2):
        await workshop.poll()
    before = await workshop.history(job_id)
    with pytest.raises(InvalidTransition) as refused:
        await workshop.jobs.cancel(ANNA, job_id)
    assert (refused.value.status, refused.value.path) == (JobStatus(state), ("input", "jobId"))
    assert await workshop.history(job_id) == before


@pytest.mark.parametrize("job_id", ["job_none", "a\x00", "\ud800"])
async def test_an_unknown_job_is_not_found(workshop: Workshop, job_id: str) -> None:
    with pytest.raises(NotFound) as refused:
        await workshop.jobs.cancel(ANNA, job_id)
    assert refused.value.path == ("input", "jobId")
    with pytest.raises(NotFound) as refused:
        await workshop.jobs.poll(ANNA, job_id)
    assert refused.value.path == ("jobId",)


@pytest.mark.parametrize(
    ("reason", "message"),
    [("x" * 2_001, "reason: has 2,001 characters; at most 2,000 are allowed"), ("\x00", f"reason: {NUL}")],
)
async def test_a_reason_that_can_not_be_kept_is_refused(workshop: Workshop, reason: str, message: str) -> None:
    job_id = await workshop.create()
    with pytest.raises(InvalidInput) as refused:
        await workshop.jobs.cancel(ANNA, job_id, reason)
    assert refusal(refused) == ("input.reason", message)
    assert (await workshop.job(job_id))["cancel_requested_at"] is None


async def test_a_poll_looks_at_the_trainer_now(database_url: str, tmp_path: Path) -> None:
    async with opened_workshop(database_url, tmp_path, first_step=10.0) as workshop:
        workshop.trainer.fault("submit", away())
        async with poller.running(workshop.reconciler, workshop.bus):
            job_id = await workshop.create()
        await workshop.execute("UPDATE training_job_claims SET due_at = now() + interval '1 hour'")
        assert await workshop.jobs.poll(ANNA, job_id) == job_id
        assert await workshop.status(job_id) == "QUEUED"
        workshop.trainer.say(job_id, RunState.RUNNING, points=[point(1, train_loss=1.0)])
        await workshop.execute("UPDATE training_job_claims SET due_at = now() + interval '1 hour'")
        await workshop.jobs.poll(ANNA, job_id)
        assert (await workshop.history(job_id))[-2:] == ["STATUS_CHANGE QUEUED>RUNNING", "METRIC_UPDATE"]


async def test_a_poll_waits_for_the_one_who_is_just_looking(database_url: str, tmp_path: Path) -> None:
    async with opened_workshop(database_url, tmp_path, first_step=10.0) as workshop, workshop.another() as other:
        async with poller.running(workshop.reconciler, workshop.bus):
            job_id = await workshop.create()
        slow = workshop.trainer.fault("observe", hang=True)
        look = await other.work_now(job_id)
        assert look is not None
        await slow.reached.wait()
        polling = asyncio.create_task(workshop.jobs.poll(ANNA, job_id))
        workshop.trainer.say(job_id, RunState.RUNNING)
        assert slow.release is not None
        slow.release.set()
        await polling
        assert workshop.trainer.calls[-2:] == ["observe", "observe"]
        assert await workshop.status(job_id) == "RUNNING"


async def test_a_poll_whose_client_has_left_goes_on(database_url: str, tmp_path: Path) -> None:
    async with opened_workshop(database_url, tmp_path, first_step=10.0) as workshop:
        async with poller.running(workshop.reconciler, workshop.bus):
            job_id = await workshop.create()
        slow = workshop.trainer.fault("observe", hang=True)
        workshop.trainer.say(job_id, RunState.RUNNING)
        polling = asyncio.create_task(workshop.jobs.poll(ANNA, job_id))
        await slow.reached.wait()
        polling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await polling
        assert slow.release is not None
        slow.release.set()
        await workshop.becomes(job_id, JobStatus.RUNNING)


async def test_a_poll_of_an_ended_job_just_answers(workshop: Workshop) -> None:
    job_id = await workshop.running()
    succeed(workshop, job_id)
    for _ in range(2):
        await workshop.poll()
    calls = list(workshop.trainer.calls)
    assert await workshop.jobs.poll(ANNA, job_id) == job_id
    assert workshop.trainer.calls == calls
