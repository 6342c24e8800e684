"""The MLflow run beside a job: it follows, and it never holds anything up."""

import asyncio
from pathlib import Path

import pytest

from server.domain.status import JobStatus, RunState
from server.storage import runs
from tests.server.scripted_trainer import point
from tests.server.services.desk import ANNA
from tests.server.workshop import Workshop, opened_workshop

pytestmark = pytest.mark.database

QUEUED = ["CREATED >PENDING", "SUBMITTED PENDING>QUEUED"]
BEGUN = "STATUS_CHANGE QUEUED>RUNNING"


async def opened(workshop: Workshop, job_id: str) -> None:
    async def noted() -> bool:
        return bool((await workshop.job(job_id))["mlflow_run_id"] == f"mlflow-{job_id}")

    await workshop.eventually(noted)


async def test_a_run_is_opened_once_the_job_is_queued_and_describes_it(workshop: Workshop) -> None:
    job_id = await workshop.queued()
    await opened(workshop, job_id)
    [facts] = workshop.registry.facts.values()
    job = await workshop.job(job_id)
    assert (facts.job_id, facts.trainer, facts.parameters) == (job_id, "LOCAL", {"epochs": 3})
    assert (facts.dataset_digest, facts.training_sheet_name) == (job["dataset_digest"], "invoice desk")
    assert (facts.train_pairs, facts.val_pairs, facts.created_by) == (4, 1, ANNA.name)
    assert facts.started_at == job["created_at"]
    assert await workshop.history(job_id) == QUEUED


async def test_metrics_are_mirrored_as_they_come(workshop: Workshop) -> None:
    job_id = await workshop.running()
    logged = workshop.registry.points[f"mlflow-{job_id}"]
    for step in (1, 2):
        workshop.trainer.add(job_id, points=[point(step, val_loss=float(step), odd=float("nan"))])
        await workshop.poll()
        await workshop.logged(lambda step=step: logged.get(step) == {"val_loss": float(step)})  # type: ignore[misc]


async def test_a_slow_registry_holds_up_neither_the_first_step_nor_the_looks(workshop: Workshop) -> None:
    workshop.registry.held["start_run"] = asyncio.Event()
    job_id = await workshop.running()
    workshop.trainer.add(job_id, points=[point(1, train_loss=1.0)])
    await workshop.poll()
    assert await workshop.history(job_id) == [*QUEUED, BEGUN, "METRIC_UPDATE"]
    assert workshop.registry.calls == ["start_run"]
    workshop.registry.held.pop("start_run").set()
    await workshop.logged(lambda: workshop.registry.points[f"mlflow-{job_id}"] == {1: {"train_loss": 1.0}})
    assert workshop.registry.calls.count("start_run") == 1


async def test_a_job_is_mirrored_by_one_task_at_a_time_which_misses_nothing(workshop: Workshop) -> None:
    job_id = await workshop.running()
    await opened(workshop, job_id)
    workshop.registry.held["log_points"] = asyncio.Event()
    for step in (1, 2, 3):
        workshop.trainer.add(job_id, points=[point(step, train_loss=float(step))])
        await workshop.poll()
    assert workshop.registry.calls.count("log_points") == 1
    assert len(workshop.reconciler.runtime.mirror._tasks) == 1
    workshop.registry.held.pop("log_points").set()
    await workshop.logged(lambda: sorted(workshop.registry.points[f"mlflow-{job_id}"]) == [1, 2, 3])


async def test_a_registry_that_is_away_is_told_once_and_caught_up_with_later(database_url: str, tmp_path: Path) -> None:
    async with opened_workshop(database_url, tmp_path, first_retry=0.01, longest_retry=0.02) as workshop:
        workshop.registry.fail("start_run")
        job_id = await workshop.running()
        workshop.trainer.add(job_id, points=[point(1, train_loss=1.0)])
        await workshop.poll()
        await workshop.logged(lambda: workshop.registry.calls.count("start_run") >= 4)
        history = await workshop.history(job_id)
        assert sorted(history) == sorted([*QUEUED, BEGUN, "METRIC_UPDATE", "ERROR MLFLOW_UNAVAILABLE"])
        said = "SELECT message FROM training_job_events WHERE event_type = 'ERROR'"
        assert await workshop.desk.value(said) == (
            "MLflow could not be reached; training goes on, and its metrics are sent later"
        )
        workshop.registry.mend()
        await workshop.logged(lambda: workshop.registry.points[f"mlflow-{job_id}"] == {1: {"train_loss": 1.0}})
        await opened(workshop, job_id)


async def test_the_run_of_a_failed_job_ends_as_the_job_did(workshop: Workshop) -> None:
    job_id = await workshop.running()
    await opened(workshop, job_id)
    workshop.trainer.say(job_id, RunState.FAILED, points=[point(1, train_loss=9.0)])
    await workshop.poll()
    await workshop.logged(lambda: workshop.registry.finished == {f"mlflow-{job_id}": JobStatus.FAILED})
    assert workshop.registry.points[f"mlflow-{job_id}"] == {1: {"train_loss": 9.0}}


async def test_the_run_of_an_ended_job_is_given_up_after_a_few_attempts(database_url: str, tmp_path: Path) -> None:
    async with opened_workshop(database_url, tmp_path, first_retry=0.001, longest_retry=0.002) as workshop:
        job_id = await workshop.running()
        await opened(workshop, job_id)
        workshop.registry.fail("finish")
        await workshop.jobs.cancel(ANNA, job_id)
        await workshop.poll()
        async with asyncio.timeout(20):
            await asyncio.gather(*workshop.reconciler.runtime.mirror._tasks.values())
        assert workshop.registry.calls.count("finish") == 5
        assert (await workshop.history(job_id))[-1] == "STATUS_CHANGE RUNNING>CANCELLED"


async def test_only_one_replica_opens_a_run(workshop: Workshop) -> None:
    workshop.registry.held["start_run"] = asyncio.Event()
    job_id = await workshop.queued()
    await workshop.logged(lambda: workshop.registry.calls == ["start_run"])
    async with workshop.another() as other:
        async with workshop.engine.begin() as connection:
            assert not await runs.lock_opening(connection, job_id, 60)
        waiting = asyncio.create_task(other.runtime.mirror.opened(job_id))
        workshop.registry.held.pop("start_run").set()
        assert await waiting == f"mlflow-{job_id}"
    assert workshop.registry.calls.count("start_run") == 1


async def test_a_replica_that_died_while_opening_is_followed_by_another(workshop: Workshop) -> None:
    workshop.registry.held["start_run"] = asyncio.Event()
    job_id = await workshop.queued()
    await workshop.logged(lambda: workshop.registry.calls == ["start_run"])
    await workshop.reconciler.runtime.mirror.close()
    workshop.registry.held.clear()
    await workshop.execute("UPDATE training_jobs SET mirror_lease_until = now()")
    async with workshop.another() as other:
        assert await other.runtime.mirror.opened(job_id) == f"mlflow-{job_id}"


async def test_closing_leaves_no_task_behind(workshop: Workshop) -> None:
    workshop.registry.held["start_run"] = asyncio.Event()
    async with workshop.another() as other:
        await workshop.create()
        await workshop.poll(other)
        tasks = list(other.runtime.mirror._tasks.values())
        assert [task.done() for task in tasks] == [False]
    assert [task.cancelled() for task in tasks] == [True]
    assert other.runtime.mirror._tasks == {}
