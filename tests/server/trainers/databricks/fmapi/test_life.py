"""A job from its creation to its end, through everything that can go wrong with FMAPI on the way."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from server.trainers.databricks.fmapi import submission
from server.trainers.databricks.fmapi.trainer import FmapiTrainer
from tests.server.services.desk import BEN
from tests.server.trainers.databricks.fmapi.bench import GRAPHQL, SMALL, TOKEN, Bench
from tests.server.workshop import Workshop, opened_workshop

pytestmark = pytest.mark.database

TO_UC: dict[str, Any] = {"register_to_uc": True, "uc_catalog": "main", "uc_schema": "ft"}
MODEL = "main.ft.desk-model"
POINTS: dict[str, dict[str, Any]] = {
    "upload": {"path": "/api/2.0/fs/files/*", "method": "PUT"},
    "submit": {"path": GRAPHQL, "operation": "CreateFinetune"},
    "observe": {"path": GRAPHQL, "operation": "GetFinetunesPaginated"},
    "metrics": {"path": "/api/2.0/mlflow/runs/get"},
    "register": {"path": "/api/2.1/unity-catalog/models/*/versions"},
    "alias": {"path": "/api/2.1/unity-catalog/models/*/aliases/*"},
}
FAULTS: list[dict[str, Any]] = [
    {"kind": "timeout"},
    {"kind": "reset"},
    {"kind": "reset", "after": True},
    {"kind": "429", "retry_after": 0},
    {"kind": "error", "status": 500},
    {"kind": "html"},
    {"kind": "truncated", "after": True},
    {"kind": "unknown_status"},
]
MOVES = [
    "CREATED >PENDING",
    "SUBMITTED PENDING>QUEUED",
    "STATUS_CHANGE QUEUED>RUNNING",
    "MODEL_REGISTERED",
    "STATUS_CHANGE RUNNING>SUCCEEDED",
]


@asynccontextmanager
async def at_work(database_url: str, bench: Bench, trainer: FmapiTrainer) -> AsyncIterator[Workshop]:
    async with opened_workshop(database_url, bench.folder / "exports", scripted=trainer) as workshop:
        yield workshop


async def to_the_end(workshop: Workshop, bench: Bench, job_id: str) -> None:
    """Poll and let time pass, until the job has ended."""
    for _ in range(60):
        await workshop.poll()
        if (await workshop.job(job_id))["completed_at"] is not None:
            return
        bench.advance(0.1)
    pytest.fail(f"{await workshop.history(job_id)}")


def troubles(history: list[str]) -> list[str]:
    """The outages that were told of. (The time that a version takes to become ready is none.)"""
    return [entry for entry in history if entry.startswith("ERROR") and "REGISTRATION" not in entry]


async def messages(workshop: Workshop, job_id: str) -> str:
    rows = await workshop.desk.rows(
        "SELECT coalesce(message, '') || coalesce(event_data::text, '') FROM training_job_events WHERE job_id = :id",
        id=job_id,
    )
    return "\n".join(row[0] for row in rows)


async def test_a_job_is_trained_followed_and_registered(database_url: str, bench: Bench) -> None:
    async with at_work(database_url, bench, bench.trainer()) as workshop:
        job_id = await workshop.create(base_model=SMALL, **TO_UC)
        await to_the_end(workshop, bench, job_id)
        job, history = await workshop.job(job_id), await workshop.history(job_id)
        [run] = bench.runs
        assert [entry for entry in history if entry in MOVES] == MOVES
        assert troubles(history) == [], await messages(workshop, job_id)
        assert (job["status"], job["uc_model_version"], job["progress_percent"]) == ("SUCCEEDED", "1", 100)
        assert (job["trainer_job_id"], job["mlflow_run_id"]) == (run.name, run.run.id)
        assert (job["current_epoch"], job["total_epochs"]) == (3, 3)
        told = await workshop.desk.rows(
            "SELECT event_data ->> 'trainer_event' FROM training_job_events"
            " WHERE job_id = :id AND event_data ->> 'trainer_event' IS NOT NULL ORDER BY sequence",
            id=job_id,
        )
        assert [kind for (kind,) in told] == [kind for kind, _, _ in run.events]
        assert len(job["trainer_events"]) == len(run.events)
        series = await workshop.desk.rows(
            "SELECT key, count(*) FROM training_job_metric_points WHERE job_id = :id AND key LIKE '%loss' GROUP BY key",
            id=job_id,
        )
        assert dict(tuple(row) for row in series) == {
            "train_loss": len(run.run.metrics["loss/train/total"]),
            "val_loss": len(run.run.metrics["metrics/eval/LanguageCrossEntropy"]),
        }
        assert bench.databricks.world.registry.models[MODEL].aliases == {"champion": 1}
        assert workshop.registry.points == {}  # the service keeps the run


@pytest.mark.parametrize("fault", FAULTS, ids=str)
@pytest.mark.parametrize("point", POINTS)
async def test_a_fault_costs_time_and_nothing_else(
    database_url: str, bench: Bench, monkeypatch: pytest.MonkeyPatch, point: str, fault: dict[str, Any]
) -> None:
    monkeypatch.setattr(submission, "OTHERS_RUN_SECONDS", 0.1)
    async with at_work(database_url, bench, bench.trainer(settle=0.0)) as workshop:
        job_id = await workshop.create(base_model=SMALL, **TO_UC)
        bench.databricks.faults.script(**POINTS[point], times=2, **fault)
        await to_the_end(workshop, bench, job_id)
        job, history = await workshop.job(job_id), await workshop.history(job_id)
        assert [entry for entry in history if entry in MOVES] == MOVES
        assert len(troubles(history)) <= 1
        assert (job["status"], job["uc_model_version"]) == ("SUCCEEDED", "1")
        assert len(bench.runs) == 1
        assert len(job["trainer_events"]) == len(bench.runs[0].events)
        assert bench.databricks.world.registry.models[MODEL].aliases == {"champion": 1}
        assert {call.fault for call in bench.databricks.requests if call.fault} == {fault["kind"]}
        assert TOKEN not in await messages(workshop, job_id)


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault["kind"] != "unknown_status"], ids=str)
async def test_a_fault_while_cancelling_costs_time_and_nothing_else(
    database_url: str, bench: Bench, fault: dict[str, Any]
) -> None:
    async with at_work(database_url, bench, bench.trainer()) as workshop:
        job_id = await workshop.create(base_model=SMALL, **TO_UC)
        await workshop.poll()
        bench.advance(0.5)
        await workshop.poll()
        bench.databricks.faults.script(path=GRAPHQL, operation="StopFinetunes", times=2, **fault)
        await workshop.jobs.cancel(BEN, job_id)
        await to_the_end(workshop, bench, job_id)
        history = await workshop.history(job_id)
        assert history[-1] == "STATUS_CHANGE RUNNING>CANCELLED"
        assert len(troubles(history)) <= 1
        assert [run.status for run in bench.runs] == ["STOPPED"]


async def test_a_job_that_fmapi_no_longer_takes_says_where_to_go(database_url: str, bench: Bench) -> None:
    async with at_work(database_url, bench, bench.trainer()) as workshop:
        bench.databricks.faults.script("error", GRAPHQL, status=404, times=None)
        job_id = await workshop.create(base_model=SMALL, **TO_UC)
        await workshop.poll()
        job = await workshop.job(job_id)
        assert (job["status"], job["error_code"]) == ("FAILED", "TRAINER_UNAVAILABLE")
        assert "AI_RUNTIME" in job["error_message"]
        assert await workshop.history(job_id) == [
            "CREATED >PENDING",
            "STATUS_CHANGE PENDING>FAILED",
        ]


async def test_a_job_whose_run_is_not_certain_waits_and_says_why(
    database_url: str, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submission, "OTHERS_RUN_SECONDS", 0.1)
    trainer = bench.trainer()
    async with at_work(database_url, bench, trainer) as workshop:
        bench.databricks.faults.script("reset", GRAPHQL, operation="CreateFinetune")
        job_id = await workshop.create(base_model=SMALL, **TO_UC)
        for _ in range(3):
            await workshop.poll()
            assert await workshop.status(job_id) == "PENDING"
        assert await workshop.history(job_id) == ["CREATED >PENDING", "ERROR TRAINER_UNAVAILABLE"]
        assert len(bench.creations()) == 1
        trainer._submissions._doubts._since[job_id] -= submission.SETTLE_SECONDS
        await workshop.poll()
        assert await workshop.status(job_id) == "QUEUED"
        assert len(bench.runs) == 1


async def test_a_server_that_ended_before_it_recorded_the_run_leaves_one_run(database_url: str, bench: Bench) -> None:
    first = bench.trainer()
    async with at_work(database_url, bench, first) as workshop:
        job_id = await workshop.create(base_model=SMALL)
        await workshop.execute("UPDATE training_jobs SET submit_started_at = now()")
        request = bench.request(job_id)
        name = await first.submit(request)
        await workshop.poll()
        assert (await workshop.job(job_id))["trainer_job_id"] == name
        assert len(bench.runs) == 1
