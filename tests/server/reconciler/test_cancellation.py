"""Cancelling: what the trainer says stands, and it always ends."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from server.domain.status import RunState
from tests.server.scripted_trainer import away, refused
from tests.server.services.desk import ANNA, BEN
from tests.server.workshop import Workshop, opened_workshop, succeed

pytestmark = pytest.mark.database

RUNNING = ["CREATED >PENDING", "SUBMITTED PENDING>QUEUED", "STATUS_CHANGE QUEUED>RUNNING"]
LONG_AGO = "UPDATE training_jobs SET cancel_requested_at = cancel_requested_at - interval '301 seconds'"


async def test_a_job_that_was_never_submitted_is_cancelled_without_its_trainer(workshop: Workshop) -> None:
    job_id = await workshop.create()
    await workshop.jobs.cancel(ANNA, job_id, "wrong 'rate'; DROP TABLE")
    await workshop.poll()
    assert await workshop.history(job_id) == [
        "CREATED >PENDING",
        "CANCEL_REQUESTED",
        "STATUS_CHANGE PENDING>CANCELLED",
    ]
    assert workshop.trainer.calls == []
    job = await workshop.job(job_id)
    assert (job["cancel_reason"], job["cancel_requested_by"]) == ("wrong 'rate'; DROP TABLE", ANNA.name)
    event = await workshop.last_event(job_id)
    assert event["event_data"] == {"requested_by": ANNA.name, "reason": "wrong 'rate'; DROP TABLE"}


@pytest.mark.parametrize("found", [False, True])
async def test_a_job_that_may_have_been_submitted_is_searched_before_it_is_cancelled(
    workshop: Workshop, *, found: bool
) -> None:
    job_id = await workshop.create()
    workshop.trainer.fault("submit", away(), after=found)
    await workshop.poll()
    await workshop.jobs.cancel(ANNA, job_id)
    await workshop.poll()
    await workshop.poll()
    ends = (
        ["SUBMITTED PENDING>QUEUED", "STATUS_CHANGE QUEUED>CANCELLED"] if found else ["STATUS_CHANGE PENDING>CANCELLED"]
    )
    assert await workshop.history(job_id) == [
        "CREATED >PENDING",
        "ERROR TRAINER_UNAVAILABLE",
        "CANCEL_REQUESTED",
        *ends,
    ]
    assert workshop.trainer.calls.count("submit") == 1


async def test_the_trainer_is_asked_and_confirms(workshop: Workshop) -> None:
    job_id = await workshop.running()
    await workshop.jobs.cancel(BEN, job_id, "enough")
    await workshop.poll()
    assert await workshop.history(job_id) == [*RUNNING, "CANCEL_REQUESTED", "STATUS_CHANGE RUNNING>CANCELLED"]
    event = await workshop.last_event(job_id)
    assert (event["message"], event["event_data"]) == ("Cancelled", {"requested_by": BEN.name, "reason": "enough"})


async def test_a_cancel_that_is_not_confirmed_yet_is_asked_again_soon(workshop: Workshop) -> None:
    workshop.trainer.cancel_works = False
    job_id = await workshop.running()
    await workshop.jobs.cancel(ANNA, job_id)
    await workshop.poll()
    await workshop.poll()
    assert workshop.trainer.calls.count("cancel") == 2
    job = await workshop.job(job_id)
    assert (job["status"], job["failures"], job["unreachable_since"]) == ("RUNNING", 0, None)
    workshop.trainer.cancel_works = True
    await workshop.poll()
    assert await workshop.history(job_id) == [*RUNNING, "CANCEL_REQUESTED", "STATUS_CHANGE RUNNING>CANCELLED"]


@pytest.mark.parametrize("error", [away, refused])
async def test_a_cancel_that_does_not_get_through_is_tried_again(
    workshop: Workshop, error: Callable[[], Exception]
) -> None:
    job_id = await workshop.running()
    await workshop.jobs.cancel(ANNA, job_id)
    workshop.trainer.fault("cancel", error(), times=2)
    for failures in (1, 2):
        await workshop.poll()
        assert (await workshop.job(job_id))["failures"] == failures
    await workshop.poll()
    assert await workshop.history(job_id) == [
        *RUNNING,
        "CANCEL_REQUESTED",
        "ERROR TRAINER_UNAVAILABLE",
        "STATUS_CHANGE RUNNING>CANCELLED",
    ]


@pytest.mark.parametrize("trouble", ["says it runs", "away", "hidden", "not configured"])
async def test_a_cancel_that_is_never_confirmed_ends_with_a_warning(workshop: Workshop, trouble: str) -> None:
    job_id = await workshop.running()
    workshop.trainer.cancel_works = False
    if trouble == "away":
        workshop.trainer.fault("observe", away(), times=9)
    if trouble == "hidden":
        workshop.trainer.hidden.add(job_id)
    if trouble == "not configured":
        await workshop.execute("UPDATE training_jobs SET trainer = 'FMAPI'")
    await workshop.jobs.cancel(ANNA, job_id)
    await workshop.execute(LONG_AGO)
    await workshop.poll()
    assert await workshop.history(job_id) == [*RUNNING, "CANCEL_REQUESTED", "STATUS_CHANGE RUNNING>CANCELLED"]
    event = await workshop.last_event(job_id)
    assert event["message"].endswith("trainer did not confirm it: the run may still be going")
    assert event["event_data"]["warning"] == "CANCEL_NOT_CONFIRMED"
    assert event["event_data"]["trainer_job_id"] == f"run-{job_id}"


async def test_the_wait_for_a_trainer_that_is_away_never_passes_the_deadline(workshop: Workshop) -> None:
    job_id = await workshop.running()
    await workshop.jobs.cancel(ANNA, job_id)
    await workshop.execute("UPDATE training_jobs SET cancel_requested_at = now() - interval '299.5 seconds'")
    await workshop.execute("UPDATE training_job_claims SET failures = 20")
    workshop.trainer.fault("cancel", away())
    workshop.trainer.fault("observe", away())
    await workshop.poll()
    job = await workshop.job(job_id)
    assert 299.5 < (job["due_at"] - job["cancel_requested_at"]).total_seconds() < 310


async def test_a_job_that_finished_first_stays_finished(workshop: Workshop) -> None:
    job_id = await workshop.running()
    workshop.trainer.on_cancel = lambda job_id: succeed(workshop, job_id)
    await workshop.jobs.cancel(ANNA, job_id)
    await workshop.poll()
    await workshop.poll()
    assert await workshop.history(job_id) == [
        *RUNNING,
        "CANCEL_REQUESTED",
        "PROGRESS_UPDATE",
        "STATUS_CHANGE RUNNING>SUCCEEDED",
    ]


@pytest.mark.parametrize("round_", range(3))
async def test_a_race_of_cancel_and_end_leaves_one_terminal_event_the_trainers_word(
    database_url: str, tmp_path: Path, round_: int
) -> None:
    """Two replicas work on the same jobs while people cancel them and runs end as they like."""
    ends = [RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED]
    async with opened_workshop(database_url, tmp_path) as workshop, workshop.another() as other:
        job_ids = [await workshop.running() for _ in range(6)]
        workshop.trainer.cancel_works = False

        async def finish(job_id: str, turn: int) -> None:
            for _ in range((turn + round_) % 5):
                await asyncio.sleep(0)
            workshop.trainer.say(job_id, ends[(turn + round_) % 3])

        async def polling(reconciler: object) -> None:
            for _ in range(4):
                await workshop.poll(other if reconciler is other else None)

        await asyncio.gather(
            *(workshop.jobs.cancel(ANNA, job_id) for job_id in job_ids),
            *(finish(job_id, turn) for turn, job_id in enumerate(job_ids)),
            polling(other),
            polling(workshop.reconciler),
            return_exceptions=True,
        )
        await workshop.poll()
        for job_id in job_ids:
            history = await workshop.history(job_id)
            terminal = [line for line in history if line.endswith((">SUCCEEDED", ">FAILED", ">CANCELLED"))]
            assert terminal == [f"STATUS_CHANGE RUNNING>{workshop.trainer.runs[job_id].state}"]
            assert history[-1] == terminal[0]
