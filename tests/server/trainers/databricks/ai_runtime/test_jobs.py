"""Jobs that AI Runtime trains, worked on by the services: whatever goes wrong on the way, they end as they should."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.server.trainers.databricks.ai_runtime.desk import MLFLOW, MODEL, OUTAGES, RUNS, UNITY_CATALOG, Desk, called
from tests.server.workshop import Workshop, opened_workshop

pytestmark = pytest.mark.database

TO_UC: dict[str, Any] = {"register_to_uc": True, "uc_catalog": "main", "uc_schema": "ft"}
SUCCEEDED = ["STATUS_CHANGE RUNNING>SUCCEEDED"]
DELAYED = "ERROR TRAINER_UNAVAILABLE"


@dataclass(frozen=True)
class There:
    """The services, and the workspace that their trainer calls."""

    workshop: Workshop
    desk: Desk

    async def create(self) -> str:
        return await self.workshop.create(base_model=MODEL, **TO_UC)

    async def go(self, share: float, looks: int = 1) -> None:
        """Let time pass in the workspace, and have the services look."""
        self.desk.passes(share)
        for _ in range(looks):
            await self.workshop.poll()

    async def errors(self, job_id: str) -> list[str]:
        return [told for told in await self.workshop.history(job_id) if told.startswith("ERROR")]


@pytest.fixture
async def there(database_url: str, tmp_path: Path, desk: Desk) -> AsyncIterator[There]:
    trainer = desk.trainer()
    async with opened_workshop(database_url, tmp_path / "exports", scripted=trainer, submitting=30.0) as workshop:
        yield There(workshop, desk)


async def test_a_job_is_trained_and_its_model_registered(there: There) -> None:
    job_id = await there.create()
    await there.go(0)
    assert (await there.workshop.job(job_id))["trainer_job_id"] == str(there.desk.runs()[0].run_id)
    await there.go(0.15, looks=2)
    await there.go(0.4, looks=2)
    await there.go(0.7, looks=2)
    job = await there.workshop.job(job_id)
    tracked = there.desk.runs()[0].tracked
    assert tracked is not None
    assert (job["status"], job["mlflow_run_id"], job["uc_model_version"]) == ("SUCCEEDED", tracked.id, "1")
    assert (job["current_epoch"], job["total_epochs"], job["progress_percent"]) == (3, 3, 100)
    points = await there.workshop.desk.rows("SELECT key, step, value FROM training_job_metric_points")
    logged = there.desk.logged()
    assert {(key, step): value for key, step, value in points} == {
        (key, step): value for step, values in logged.items() for key, value in values.items()
    }
    assert [told for told in await there.workshop.history(job_id) if "METRIC" not in told] == [
        "CREATED >PENDING",
        "SUBMITTED PENDING>QUEUED",
        "PROGRESS_UPDATE",
        "STATUS_CHANGE QUEUED>RUNNING",
        "PROGRESS_UPDATE",
        "MODEL_REGISTERED",
        *SUCCEEDED,
    ]


@pytest.mark.parametrize("fault", OUTAGES, ids=called)
async def test_a_lost_submission_is_said_once_and_made_good(there: There, fault: dict[str, Any]) -> None:
    there.desk.databricks.faults.script(path=f"{RUNS}/submit", **fault, times=2)
    job_id = await there.create()
    await there.go(0, looks=2)
    assert await there.workshop.status(job_id) == "PENDING"
    await there.go(0)
    await there.go(1.3, looks=2)
    assert await there.workshop.status(job_id) == "SUCCEEDED"
    assert await there.errors(job_id) == [DELAYED]
    assert len(there.desk.runs()) == 1


@pytest.mark.parametrize(
    ("path", "told"),
    [
        (f"{RUNS}/get", [DELAYED]),
        (f"{MLFLOW}/runs/get", []),  # the metrics come with the next look
    ],
)
@pytest.mark.parametrize("fault", OUTAGES[::3], ids=called)
async def test_an_outage_while_it_trains_changes_no_status(
    there: There, fault: dict[str, Any], path: str, told: list[str]
) -> None:
    job_id = await there.create()
    await there.go(0)
    await there.go(0.4)
    assert await there.workshop.status(job_id) == "RUNNING"
    there.desk.databricks.faults.script(path=path, **fault, times=2)
    await there.go(0.1, looks=2)
    assert (await there.workshop.status(job_id), await there.errors(job_id)) == ("RUNNING", told)
    await there.go(0.8, looks=2)
    assert await there.workshop.status(job_id) == "SUCCEEDED"
    assert await there.errors(job_id) == told


@pytest.mark.parametrize("fault", OUTAGES[::3], ids=called)
async def test_an_outage_while_it_is_cancelled_changes_no_status(there: There, fault: dict[str, Any]) -> None:
    job_id = await there.create()
    await there.go(0)
    await there.go(0.4)
    there.desk.databricks.faults.script(path=f"{RUNS}/cancel", **fault)
    there.desk.databricks.faults.script(path=f"{RUNS}/get", **fault)
    await there.workshop.execute("UPDATE training_jobs SET cancel_requested_at = now(), cancel_requested_by = 'anna'")
    await there.go(0)
    assert (await there.workshop.status(job_id), await there.errors(job_id)) == ("RUNNING", [DELAYED])
    await there.go(0)
    await there.go(0.03)
    assert await there.workshop.status(job_id) == "CANCELLED"
    assert await there.errors(job_id) == [DELAYED]


@pytest.mark.parametrize("path", [f"{UNITY_CATALOG}/*/versions", f"{UNITY_CATALOG}/*/aliases/*"])
@pytest.mark.parametrize("fault", OUTAGES[::3], ids=called)
async def test_an_outage_while_it_registers_is_said_once(there: There, fault: dict[str, Any], path: str) -> None:
    job_id = await there.create()
    await there.go(0)
    there.desk.databricks.faults.script(path=path, **fault, times=2)
    await there.go(1.3, looks=3)
    assert (await there.workshop.status(job_id), await there.errors(job_id)) == (
        "RUNNING",
        ["ERROR REGISTRATION_DELAYED"],
    )
    await there.go(0)
    job = await there.workshop.job(job_id)
    assert (job["status"], job["uc_model_version"]) == ("SUCCEEDED", "1")
    assert await there.errors(job_id) == ["ERROR REGISTRATION_DELAYED"]


async def test_a_failure_is_told_with_its_code_and_the_end_of_its_log(there: There) -> None:
    there.desk.databricks.outcomes.script(fails_at=0.5, reason="CUDA out of memory.")
    job_id = await there.create()
    await there.go(0)
    await there.go(1)
    job = await there.workshop.job(job_id)
    assert (job["status"], job["error_code"], job["error_message"]) == (
        "FAILED",
        "RUN_EXECUTION_ERROR",
        "CUDA out of memory.",
    )
    tail = (await there.workshop.last_event(job_id))["event_data"]["log_tail"]
    assert tail.splitlines()[-1] == "RuntimeError: CUDA out of memory."


async def test_a_workspace_without_ai_runtime_fails_the_job_at_once(there: There) -> None:
    there.desk.databricks.faults.script("feature_disabled", f"{RUNS}/submit")
    job_id = await there.create()
    await there.go(0)
    job = await there.workshop.job(job_id)
    assert (job["status"], job["error_code"]) == ("FAILED", "TRAINER_UNAVAILABLE")
    assert job["error_message"].startswith("AI Runtime is not enabled in this Databricks workspace")


async def test_a_job_that_is_cancelled_after_a_lost_submission_leaves_no_run_going(there: There) -> None:
    there.desk.databricks.faults.script("reset", f"{RUNS}/submit", after=True)
    job_id = await there.create()
    await there.go(0)
    await there.workshop.execute("UPDATE training_jobs SET cancel_requested_at = now(), cancel_requested_by = 'anna'")
    await there.go(0, looks=2)
    await there.go(0.03)
    assert await there.workshop.status(job_id) == "CANCELLED"
    assert [run.state for run in there.desk.runs()] == ["TERMINATED"]
