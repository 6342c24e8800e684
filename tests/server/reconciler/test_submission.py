"""Submissions that go wrong: before the trainer has the job, after it, and when nobody knows."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from server.domain.errors import Unavailable
from tests.server.scripted_trainer import away, refused
from tests.server.services.desk import ANNA, DEADLINE
from tests.server.workshop import Workshop, opened_workshop

pytestmark = pytest.mark.database

SUBMITTED = ["CREATED >PENDING", "SUBMITTED PENDING>QUEUED"]
AFTER_AN_OUTAGE = ["CREATED >PENDING", "ERROR TRAINER_UNAVAILABLE", "SUBMITTED PENDING>QUEUED"]


def not_idempotent(workshop: Workshop) -> None:
    workshop.trainer.capabilities = replace(workshop.trainer.capabilities, idempotent_submit=False)


async def test_the_move_out_of_pending_is_carried_by_one_event_with_what_was_submitted(workshop: Workshop) -> None:
    job_id = await workshop.queued()
    assert await workshop.history(job_id) == SUBMITTED
    event = await workshop.last_event(job_id)
    assert (event["message"], event["actor"]) == ("The LOCAL trainer accepted the job", None)
    job = await workshop.job(job_id)
    assert event["event_data"] == {"trainer_job_id": f"run-{job_id}"}
    assert (job["failures"], job["lease_until"]) == (0, None)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("idempotent", [False, True])
async def test_a_submission_without_an_answer_is_never_trained_twice(
    workshop: Workshop, *, after: bool, idempotent: bool
) -> None:
    if not idempotent:
        not_idempotent(workshop)
    job_id = await workshop.create()
    workshop.trainer.fault("submit", away(), after=after, times=2)
    for failures in (1, 2):
        if workshop.trainer.faults["submit"]:
            await workshop.poll()
        job = await workshop.job(job_id)
        assert job["submit_started_at"] is not None
        assert job["status"] == ("QUEUED" if failures == 2 and after and not idempotent else "PENDING")
    await workshop.poll()
    assert await workshop.history(job_id) == AFTER_AN_OUTAGE
    assert len(workshop.trainer.requests) == 1
    expected = {(False, False): 2, (False, True): 1, (True, False): 0, (True, True): 0}[idempotent, after]
    assert workshop.trainer.calls.count("find") == expected


async def test_a_trainer_that_can_not_be_searched_is_not_given_the_job_again(workshop: Workshop) -> None:
    not_idempotent(workshop)
    job_id = await workshop.create()
    workshop.trainer.fault("submit", away(), after=True)
    workshop.trainer.fault("find", away(), times=2)
    for _ in range(4):
        await workshop.poll()
    assert workshop.trainer.calls.count("submit") == 1
    assert await workshop.history(job_id) == AFTER_AN_OUTAGE


async def test_a_trainer_that_hangs_is_given_up_in_time(database_url: str, tmp_path: Path) -> None:
    async with opened_workshop(database_url, tmp_path, submitting=0.05) as workshop:
        job_id = await workshop.create()
        workshop.trainer.fault("submit", hang=True)
        await workshop.poll()
        assert await workshop.history(job_id) == ["CREATED >PENDING", "ERROR TRAINER_UNAVAILABLE"]
        event = await workshop.last_event(job_id)
        assert event["message"] == "The LOCAL trainer did not answer within 0.05 seconds; it is tried again"
        await workshop.poll()
        assert await workshop.history(job_id) == AFTER_AN_OUTAGE


async def test_an_outage_backs_off_as_long_as_the_trainer_asks(workshop: Workshop) -> None:
    job_id = await workshop.create()
    workshop.trainer.fault("submit", Unavailable("slow down", retry_after=120.0))
    await workshop.poll()
    job = await workshop.job(job_id)
    assert (job["due_at"] - job["updated_at"]).total_seconds() == pytest.approx(120, abs=1)
    workshop.trainer.fault("submit", away(), times=12)
    waits = []
    for _ in range(12):
        before = await workshop.desk.value("SELECT clock_timestamp()")
        await workshop.poll()
        waits.append(((await workshop.job(job_id))["due_at"] - before).total_seconds())
    assert all(1 <= wait < 4.5 for wait in waits[:1])
    assert all(30 <= wait < 61 for wait in waits[6:])
    assert await workshop.history(job_id) == ["CREATED >PENDING", "ERROR TRAINER_UNAVAILABLE"]


async def test_a_request_that_the_trainer_will_never_take_fails_the_job(workshop: Workshop) -> None:
    job_id = await workshop.create()
    workshop.trainer.fault("submit", refused())
    await workshop.poll()
    assert await workshop.history(job_id) == ["CREATED >PENDING", "STATUS_CHANGE PENDING>FAILED"]
    job = await workshop.job(job_id)
    assert (job["error_code"], job["error_message"]) == ("INVALID_INPUT", "the base model is retired")
    assert (job["started_at"], job["trainer_job_id"]) == (None, None)


async def test_files_that_can_not_be_written_are_told_and_tried_again(database_url: str, tmp_path: Path) -> None:
    folder = tmp_path / "exports"
    folder.write_text("in the way")
    async with opened_workshop(database_url, folder) as workshop:
        job_id = await workshop.create()
        await workshop.poll()
        assert await workshop.history(job_id) == ["CREATED >PENDING", "ERROR EXPORT_FAILED"]
        assert (await workshop.job(job_id))["submit_started_at"] is None
        folder.unlink()
        await workshop.poll()
        assert await workshop.status(job_id) == "QUEUED"
        assert workshop.trainer.calls == ["submit"]


async def test_a_server_that_dies_between_submitting_and_recording_is_followed_by_one_that_finishes(
    workshop: Workshop,
) -> None:
    not_idempotent(workshop)
    job_id = await workshop.create()
    workshop.trainer.fault("submit", asyncio.CancelledError(), after=True)
    with pytest.raises(asyncio.CancelledError):
        await workshop.poll()
    assert await workshop.status(job_id) == "PENDING"
    assert (await workshop.job(job_id))["lease_until"] is None
    async with workshop.another() as reconciler:
        assert await workshop.poll(reconciler) == 1
    assert await workshop.history(job_id) == SUBMITTED
    assert len(workshop.trainer.requests) == 1


async def test_a_job_cancelled_while_it_is_exported_is_not_submitted(workshop: Workshop) -> None:
    job_id = await workshop.create()
    claim = await workshop.claim(job_id)
    await workshop.jobs.cancel(ANNA, job_id)
    await workshop.reconciler.work(claim)
    assert workshop.trainer.calls == []
    assert await workshop.status(job_id) == "PENDING"
    await workshop.poll()
    assert await workshop.history(job_id) == [
        "CREATED >PENDING",
        "CANCEL_REQUESTED",
        "STATUS_CHANGE PENDING>CANCELLED",
    ]


async def test_a_lease_is_kept_while_a_submission_takes_longer_than_it(database_url: str, tmp_path: Path) -> None:
    async with opened_workshop(database_url, tmp_path, lease=3.0) as workshop, workshop.another() as other:
        job_id = await workshop.create()
        slow = workshop.trainer.fault("submit", hang=True)
        assert slow.release is not None
        working = asyncio.create_task(workshop.poll())
        await slow.reached.wait()
        try:
            first = (await workshop.job(job_id))["lease_until"]
            async with asyncio.timeout(DEADLINE):
                while (await workshop.job(job_id))["lease_until"] == first:  # noqa: ASYNC110  (nothing tells of it)
                    await asyncio.sleep(0.05)
            assert await other.work_now(job_id) is None
        finally:
            slow.release.set()
            await working
        assert await workshop.history(job_id) == SUBMITTED
