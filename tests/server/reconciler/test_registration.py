"""Registering a trained model before its job ends."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from server.domain.status import JobStatus, RunState
from tests.server.scripted_trainer import ARTIFACT, away, point
from tests.server.services.desk import ANNA, BEN
from tests.server.workshop import Workshop, opened_workshop, succeed

pytestmark = pytest.mark.database

TO_UC: dict[str, Any] = {"register_to_uc": True, "uc_catalog": "main", "uc_schema": "desk"}
TRAINED = [
    "CREATED >PENDING",
    "SUBMITTED PENDING>QUEUED",
    "STATUS_CHANGE QUEUED>RUNNING",
    "PROGRESS_UPDATE",
]
SUCCEEDED = "STATUS_CHANGE RUNNING>SUCCEEDED"
LONG_AGO = "UPDATE training_jobs SET trained_at = trained_at - interval '601 seconds'"


async def trained(workshop: Workshop, **changes: Any) -> str:  # noqa: ANN401
    job_id = await workshop.running(**changes)
    succeed(workshop, job_id)
    await workshop.poll()
    return job_id


async def test_a_trained_job_stays_running_until_its_model_is_registered(workshop: Workshop) -> None:
    job_id = await trained(workshop, **TO_UC)
    workshop.registry.fail("register", times=2)
    for failures in (1, 2):
        await workshop.poll()
        job = await workshop.job(job_id)
        assert (job["status"], job["progress_percent"], job["failures"]) == ("RUNNING", 99, failures)
        assert (job["uc_model_version"], job["unreachable_since"], job["lease_until"]) == (None, None, None)
    await workshop.poll()
    assert await workshop.history(job_id) == [*TRAINED, "ERROR REGISTRATION_DELAYED", "MODEL_REGISTERED", SUCCEEDED]
    assert (await workshop.job(job_id))["uc_model_version"] == "1"
    assert workshop.registry.versions == {"main.desk.desk-model": [job_id]}
    said = "SELECT message, event_data FROM training_job_events WHERE event_type = 'MODEL_REGISTERED'"
    assert await workshop.desk.one(said) == (
        "Registered as main.desk.desk-model, version 1",
        {"model_name": "main.desk.desk-model", "model_version": "1"},
    )


async def test_registering_is_given_up_in_time_and_the_job_succeeds_without_a_version(workshop: Workshop) -> None:
    job_id = await trained(workshop, **TO_UC)
    workshop.registry.fail("register")
    await workshop.poll()
    await workshop.execute(LONG_AGO)
    await workshop.poll()
    assert await workshop.history(job_id) == [
        *TRAINED,
        "ERROR REGISTRATION_DELAYED",
        "ERROR REGISTRATION_GIVEN_UP",
        SUCCEEDED,
    ]
    assert (await workshop.job(job_id))["uc_model_version"] is None
    assert await workshop.desk.value("SELECT model_version FROM training_job_lineage") is None
    assert workshop.registry.versions == {}
    await workshop.logged(lambda: workshop.registry.finished == {f"mlflow-{job_id}": JobStatus.SUCCEEDED})


async def test_a_model_that_is_not_registered_is_logged_or_said_to_be_missing(workshop: Workshop) -> None:
    logged = await trained(workshop)
    await workshop.poll()
    assert await workshop.history(logged) == [*TRAINED, SUCCEEDED]
    assert workshop.registry.models == {f"mlflow-{logged}": ARTIFACT}
    assert workshop.registry.versions == {}
    missing = await trained(workshop)
    workshop.registry.fail("log_model")
    await workshop.poll()
    assert await workshop.history(missing) == [*TRAINED, "ERROR MODEL_NOT_LOGGED", SUCCEEDED]


async def test_every_point_is_logged_before_the_end_whatever_was_mirrored(workshop: Workshop) -> None:
    job_id = await workshop.running()
    workshop.registry.fail("log_points")
    workshop.trainer.add(job_id, points=[point(step, train_loss=1 / step) for step in range(1, 4)])
    await workshop.poll()
    succeed(workshop, job_id)
    await workshop.poll()
    workshop.registry.mend()
    await workshop.poll()
    assert workshop.registry.points[f"mlflow-{job_id}"] == {step: {"train_loss": 1 / step} for step in range(1, 4)}
    assert workshop.registry.finished == {f"mlflow-{job_id}": JobStatus.SUCCEEDED}


async def test_a_cancel_while_registering_fails_ends_the_job_as_what_it_is_succeeded(workshop: Workshop) -> None:
    job_id = await trained(workshop, **TO_UC)
    workshop.registry.fail("register")
    await workshop.poll()
    await workshop.jobs.cancel(BEN, job_id)
    await workshop.poll()
    assert (await workshop.history(job_id))[4:] == [
        "ERROR REGISTRATION_DELAYED",
        "CANCEL_REQUESTED",
        "ERROR REGISTRATION_GIVEN_UP",
        SUCCEEDED,
    ]
    assert "cancel" not in workshop.trainer.calls


async def test_a_trainer_that_is_away_delays_the_registration_only(workshop: Workshop) -> None:
    job_id = await trained(workshop, **TO_UC)
    workshop.trainer.fault("observe", away())
    await workshop.poll()
    assert await workshop.history(job_id) == [*TRAINED, "ERROR REGISTRATION_DELAYED"]
    await workshop.poll()
    assert (await workshop.history(job_id))[-2:] == ["MODEL_REGISTERED", SUCCEEDED]


async def test_a_model_that_only_another_server_sees_is_left_to_it_for_its_time(workshop: Workshop) -> None:
    job_id = await trained(workshop, **TO_UC)
    workshop.trainer.hidden.add(job_id)
    for _ in range(4):
        await workshop.poll()
    assert await workshop.history(job_id) == TRAINED
    async with workshop.another() as other:
        workshop.trainer.hidden.clear()
        assert await workshop.poll(other) == 1
    assert (await workshop.history(job_id))[-2:] == ["MODEL_REGISTERED", SUCCEEDED]


async def test_a_server_that_dies_while_registering_is_followed_by_one_that_finds_the_version(
    workshop: Workshop,
) -> None:
    job_id = await trained(workshop, **TO_UC)
    workshop.registry.held["finish"] = asyncio.Event()
    working = asyncio.create_task(workshop.poll())
    await workshop.logged(lambda: "finish" in workshop.registry.calls)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    workshop.registry.held.clear()
    async with workshop.another() as other:
        await workshop.poll(other)
    assert await workshop.history(job_id) == [*TRAINED, "MODEL_REGISTERED", SUCCEEDED]
    assert workshop.registry.versions == {"main.desk.desk-model": [job_id]}


async def test_a_registry_that_hangs_is_given_up_in_time(database_url: str, tmp_path: Path) -> None:
    async with opened_workshop(database_url, tmp_path, registry=0.05) as workshop:
        job_id = await trained(workshop)
        workshop.registry.held["log_model"] = asyncio.Event()
        await workshop.poll()
        assert await workshop.history(job_id) == [*TRAINED, "ERROR MODEL_NOT_LOGGED", SUCCEEDED]
        said = "SELECT message FROM training_job_events WHERE event_type = 'ERROR'"
        assert await workshop.desk.value(said) == (
            "The model could not be logged: MLflow did not answer within 0.05 seconds"
        )


async def test_what_the_trainer_says_after_the_end_of_training_no_longer_matters(workshop: Workshop) -> None:
    job_id = await trained(workshop)
    workshop.trainer.say(job_id, RunState.FAILED, message="the machine went away")
    await workshop.poll()
    assert await workshop.history(job_id) == [*TRAINED, SUCCEEDED]


async def test_versions_of_one_name_count_over_jobs(workshop: Workshop) -> None:
    for version in ("1", "2"):
        job_id = await trained(workshop, **TO_UC)
        await workshop.poll()
        assert (await workshop.job(job_id))["uc_model_version"] == version
    assert await workshop.jobs.poll(ANNA, job_id) == job_id
