"""Trainers that tell their own history, keep an MLflow run of their own, and register the model themselves."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from server.domain.errors import InvalidInput, TrainerUnavailable
from server.domain.status import RunState
from server.reconciler.findings import MAX_TRAINER_EVENTS
from server.trainers.trainer import Registering, TrainerEvent
from tests.server.scripted_trainer import NOON, RegisteringTrainer, away, point
from tests.server.workshop import Workshop, opened_workshop

pytestmark = pytest.mark.database

TO_UC: dict[str, Any] = {"register_to_uc": True, "uc_catalog": "main", "uc_schema": "ft"}
TOLD = """
    SELECT event_type, message, event_data FROM training_job_events
    WHERE event_data ->> 'trainer_event' IS NOT NULL ORDER BY sequence
"""
LONG_AGO = "UPDATE training_jobs SET trained_at = trained_at - interval '601 seconds'"


@dataclass(frozen=True)
class There:
    """A workshop, and its trainer as what it is."""

    workshop: Workshop
    trainer: RegisteringTrainer


@pytest.fixture
async def there(database_url: str, tmp_path: Path) -> AsyncIterator[There]:
    trainer = RegisteringTrainer()
    assert isinstance(trainer, Registering)
    async with opened_workshop(database_url, tmp_path / "exports", scripted=trainer) as workshop:
        yield There(workshop, trainer)


def event(minute: int, kind: str, message: str = "", *, bad: bool = False) -> TrainerEvent:
    return TrainerEvent(NOON + timedelta(minutes=minute), kind, message, bad)


async def test_its_own_events_are_recorded_once_each(there: There) -> None:
    job_id = await there.workshop.running()
    there.trainer.events[job_id] = [event(0, "CREATED"), event(1, "CHECK_FAILED", "no\x00space", bad=True)]
    for _ in range(3):
        await there.workshop.poll()
    there.trainer.events[job_id].append(event(2, "CHECKPOINT_SAVED", "ep1-ba10"))
    await there.workshop.poll()
    rows = await there.workshop.desk.rows(TOLD)
    assert [tuple(row) for row in rows] == [
        (
            "PROGRESS_UPDATE",
            "The trainer: CREATED",
            {"trainer_event": "CREATED", "at": "2026-11-23T12:00:00+00:00"},
        ),
        (
            "ERROR",
            "The trainer: no\ufffdspace",
            {"trainer_event": "CHECK_FAILED", "at": "2026-11-23T12:01:00+00:00", "code": "TRAINER_EVENT"},
        ),
        (
            "PROGRESS_UPDATE",
            "The trainer: ep1-ba10",
            {"trainer_event": "CHECKPOINT_SAVED", "at": "2026-11-23T12:02:00+00:00"},
        ),
    ]
    assert len((await there.workshop.job(job_id))["trainer_events"]) == 3


async def test_its_guess_of_the_end_is_kept_and_follows_what_matters(there: There) -> None:
    job_id = await there.workshop.running()

    async def guessed(seconds: int) -> timedelta:
        there.trainer.add(job_id, estimated_end=NOON + timedelta(seconds=seconds))
        await there.workshop.poll()
        guess: timedelta = (await there.workshop.job(job_id))["estimated_end_at"] - NOON
        return guess

    assert await guessed(600) == timedelta(seconds=600)
    assert await guessed(629) == timedelta(seconds=600), "hardly another"
    assert await guessed(631) == timedelta(seconds=631)
    assert await guessed(300) == timedelta(seconds=300)


async def test_no_run_of_ours_is_opened_beside_its_own(there: There) -> None:
    workshop, job_id = there.workshop, await there.workshop.running()
    there.trainer.add(job_id, mlflow_run_id="its-own", points=[point(1, train_loss=2.0)])
    await workshop.poll()
    there.trainer.say(job_id, RunState.SUCCEEDED)
    await workshop.poll()
    await workshop.poll()
    job = await workshop.job(job_id)
    assert (job["status"], job["mlflow_run_id"]) == ("SUCCEEDED", "its-own")
    assert workshop.registry.calls == []
    assert await workshop.desk.value("SELECT count(*) FROM mlflow_mirrors") == 0


async def test_the_job_waits_for_the_version_that_it_registers(there: There) -> None:
    workshop, job_id = there.workshop, await there.workshop.running(**TO_UC)
    assert there.trainer.requests[0].register_as == "main.ft.desk-model"
    there.trainer.say(job_id, RunState.SUCCEEDED)
    await workshop.poll()
    await workshop.poll()
    assert (await workshop.status(job_id), (await workshop.history(job_id))[-1]) == (
        "RUNNING",
        "ERROR REGISTRATION_DELAYED",
    )
    there.trainer.versions[f"run-{job_id}"] = "7"
    await workshop.poll()
    assert (await workshop.history(job_id))[-2:] == ["MODEL_REGISTERED", "STATUS_CHANGE RUNNING>SUCCEEDED"]
    assert (await workshop.job(job_id))["uc_model_version"] == "7"
    assert await workshop.desk.value("SELECT model_version FROM training_job_lineage") == "7"


async def test_a_version_that_never_comes_is_given_up(there: There) -> None:
    workshop, job_id = there.workshop, await there.workshop.running(**TO_UC)
    there.trainer.say(job_id, RunState.SUCCEEDED)
    there.trainer.fault("registered", InvalidInput("the registration failed"), times=9)
    await workshop.poll()
    await workshop.poll()
    await workshop.execute(LONG_AGO)
    await workshop.poll()
    assert (await workshop.history(job_id))[-2:] == ["ERROR REGISTRATION_GIVEN_UP", "STATUS_CHANGE RUNNING>SUCCEEDED"]
    assert (await workshop.job(job_id))["uc_model_version"] is None


async def test_a_job_that_is_not_to_be_registered_asks_for_no_version(there: There) -> None:
    job_id = await there.workshop.running()
    assert there.trainer.requests[0].register_as is None
    there.trainer.say(job_id, RunState.SUCCEEDED)
    await there.workshop.poll()
    await there.workshop.poll()
    assert await there.workshop.status(job_id) == "SUCCEEDED"
    assert "registered" not in there.trainer.calls


async def test_a_trainer_that_is_retired_ends_the_job_and_says_what_to_do(there: There) -> None:
    there.trainer.fault("submit", TrainerUnavailable("it is retired here; use AI_RUNTIME"))
    job_id = await there.workshop.create()
    await there.workshop.poll()
    job = await there.workshop.job(job_id)
    assert (job["status"], job["error_code"], job["error_message"]) == (
        "FAILED",
        "TRAINER_UNAVAILABLE",
        "it is retired here; use AI_RUNTIME",
    )


async def test_an_outage_while_it_is_observed_changes_no_status(there: There) -> None:
    job_id = await there.workshop.running()
    there.trainer.fault("observe", away(), times=3)
    for _ in range(3):
        await there.workshop.poll()
    assert await there.workshop.status(job_id) == "RUNNING"
    await there.workshop.poll()
    assert (await there.workshop.job(job_id))["unreachable_since"] is None


async def test_an_event_that_comes_late_is_told_and_no_other_is_told_again(there: There) -> None:
    job_id = await there.workshop.running()
    first, late, last = event(0, "A"), event(1, "B"), event(2, "C")
    for told in ([first, last], [first, late, last], [late, last, event(3, "D")], [first, late, last]):
        there.trainer.events[job_id] = told
        await there.workshop.poll()
    async with there.workshop.another(there.trainer) as restarted:
        await there.workshop.poll(restarted)
    rows = await there.workshop.desk.rows(TOLD)
    assert [row[1] for row in rows] == [f"The trainer: {kind}" for kind in "ACBD"]


async def test_only_the_newest_of_very_many_events_are_told(there: There) -> None:
    job_id = await there.workshop.running()
    there.trainer.events[job_id] = [event(minute, "STEP", str(minute)) for minute in range(MAX_TRAINER_EVENTS + 5)]
    for _ in range(2):
        await there.workshop.poll()
    there.trainer.events[job_id].append(event(2_000, "STEP", "2000"))
    await there.workshop.poll()
    messages = [row[1] for row in await there.workshop.desk.rows(TOLD)]
    assert messages == [f"The trainer: {minute}" for minute in [*range(5, MAX_TRAINER_EVENTS + 5), 2_000]]
