"""The poller: it takes what is due at once, one slow job holds up no other, and it ends when told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from server.domain.status import JobStatus, RunState
from server.reconciler import poller
from server.reconciler.observer import Observer
from server.reconciler.steps import STEPS_AT_ONCE, Steps
from tests.server.outages import unreachable
from tests.server.scripted_trainer import away, point
from tests.server.services.desk import ANNA, DEADLINE
from tests.server.workshop import Workshop, opened_workshop, succeed

pytestmark = pytest.mark.database

STARTED = ["CREATED >PENDING", "SUBMITTED PENDING>QUEUED", "STATUS_CHANGE QUEUED>RUNNING"]


@asynccontextmanager
async def polled(database_url: str, folder: Path, **changes: Any) -> AsyncIterator[Workshop]:  # noqa: ANN401
    async with (
        opened_workshop(database_url, folder, **changes) as workshop,
        poller.running(workshop.reconciler, workshop.bus),
    ):
        yield workshop


async def test_a_job_goes_to_its_end_by_itself(database_url: str, tmp_path: Path) -> None:
    async with polled(database_url, tmp_path) as workshop:
        job_id = await workshop.create()
        await workshop.becomes(job_id, JobStatus.QUEUED)
        workshop.trainer.say(job_id, RunState.RUNNING, points=[point(1, train_loss=1.0)])
        await workshop.becomes(job_id, JobStatus.RUNNING)
        succeed(workshop, job_id)
        await workshop.becomes(job_id, JobStatus.SUCCEEDED)
        history = await workshop.history(job_id)
    assert history == [*STARTED, "METRIC_UPDATE", "PROGRESS_UPDATE", "STATUS_CHANGE RUNNING>SUCCEEDED"]


async def test_running_jobs_are_looked_at_in_their_interval(database_url: str, tmp_path: Path) -> None:
    async with polled(database_url, tmp_path) as workshop:
        workshop.trainer.capabilities = replace(workshop.trainer.capabilities, observe_interval=0.05)
        job_id = await workshop.create()
        await workshop.becomes(job_id, JobStatus.QUEUED)
        begun = asyncio.get_running_loop().time()
        looks = len(workshop.trainer.observed)

        async def looked() -> bool:
            return len(workshop.trainer.observed) >= looks + 10

        await workshop.eventually(looked)
        assert asyncio.get_running_loop().time() - begun < 5


async def test_submissions_that_hang_hold_up_neither_looks_nor_the_end(database_url: str, tmp_path: Path) -> None:
    async with polled(database_url, tmp_path) as workshop:
        watched = await workshop.create()
        await workshop.becomes(watched, JobStatus.QUEUED)
        hung = workshop.trainer.fault("submit", hang=True, times=STEPS_AT_ONCE - 1)
        for _ in range(STEPS_AT_ONCE - 1):
            await workshop.create()
        await hung.reached.wait()
        workshop.trainer.say(watched, RunState.RUNNING)
        await workshop.becomes(watched, JobStatus.RUNNING)
        quick = await workshop.create()
        await workshop.becomes(quick, JobStatus.QUEUED)
        assert hung.release is not None
        hung.release.set()


async def test_what_goes_wrong_with_one_job_concerns_no_other(database_url: str, tmp_path: Path) -> None:
    async with polled(database_url, tmp_path, first_retry=60.0) as workshop:
        broken, healthy = await workshop.create(), await workshop.create()
        await workshop.becomes(broken, JobStatus.QUEUED)
        await workshop.becomes(healthy, JobStatus.QUEUED)
        with capture_logs() as logs:
            await workshop.execute(f"ALTER TABLE training_jobs ADD CHECK (id <> '{broken}' OR status = 'QUEUED')")
            workshop.trainer.say(broken, RunState.RUNNING)
            workshop.trainer.say(healthy, RunState.RUNNING)
            await workshop.becomes(healthy, JobStatus.RUNNING)

            async def backed_off() -> bool:
                return bool((await workshop.job(broken))["failures"])

            await workshop.eventually(backed_off)
        failed = {"event": "the work on a job failed", "job": broken, "exc_info": True, "log_level": "error"}
        assert [line for line in logs if line["log_level"] == "error"] == [failed]
        assert await workshop.history(broken) == [*STARTED[:2], "ERROR INTERNAL_ERROR"]
        assert (await workshop.last_event(broken))[
            "message"
        ] == "Something went wrong on this server; it is tried again"
        assert (await workshop.job(broken))["status"] == "QUEUED"
        succeed(workshop, healthy)
        await workshop.becomes(healthy, JobStatus.SUCCEEDED)


async def test_the_poller_goes_on_when_the_database_comes_back(database_url: str, tmp_path: Path) -> None:
    async with polled(database_url, tmp_path, lease=1.0) as workshop:
        job_id = await workshop.create()
        await workshop.becomes(job_id, JobStatus.QUEUED)
        slow = workshop.trainer.fault("observe", hang=True)
        assert slow.release is not None
        async with asyncio.timeout(DEADLINE):
            await slow.reached.wait()
        workshop.trainer.say(job_id, RunState.RUNNING)
        async with unreachable(database_url):
            slow.release.set()  # what it was told can't be written now
            with workshop.bus.watch() as watch:
                await watch.wait(0.5)
        await workshop.becomes(job_id, JobStatus.RUNNING)
        assert await workshop.history(job_id) == STARTED


async def test_stopping_gives_back_what_can_not_end_now(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poller, "GRACE_SECONDS", 0.05)
    async with opened_workshop(database_url, tmp_path) as workshop:
        hung = workshop.trainer.fault("submit", hang=True)
        async with poller.running(workshop.reconciler, workshop.bus):
            job_id = await workshop.create()
            await hung.reached.wait()
        job = await workshop.job(job_id)
        assert (job["status"], job["lease_until"], job["failures"]) == ("PENDING", None, 0)
        assert await workshop.poll() == 1
        assert await workshop.status(job_id) == "QUEUED"


async def test_stopping_lets_work_end_that_is_about_to(database_url: str, tmp_path: Path) -> None:
    async with opened_workshop(database_url, tmp_path) as workshop:
        slow = workshop.trainer.fault("submit", hang=True)
        stop = asyncio.Event()
        polling = asyncio.create_task(poller.poll_forever(workshop.reconciler, workshop.bus, stop))
        job_id = await workshop.create()
        await slow.reached.wait()
        stop.set()
        await asyncio.sleep(0)
        assert slow.release is not None
        slow.release.set()
        async with asyncio.timeout(5):
            await polling
        assert await workshop.history(job_id) == STARTED[:2]


async def test_two_pollers_share_the_work_and_one_goes_on_alone(database_url: str, tmp_path: Path) -> None:
    async with polled(database_url, tmp_path) as workshop, workshop.another() as other:
        async with poller.running(other, workshop.bus):
            job_ids = [await workshop.create() for _ in range(10)]
            for job_id in job_ids:
                await workshop.becomes(job_id, JobStatus.QUEUED)
        assert sorted(request.job_id for request in workshop.trainer.requests) == job_ids
        for job_id in job_ids:
            workshop.trainer.say(job_id, RunState.FAILED)
        for job_id in job_ids:
            await workshop.becomes(job_id, JobStatus.FAILED)
            assert await workshop.history(job_id) == [*STARTED[:2], "STATUS_CHANGE QUEUED>FAILED"]


async def test_a_cancel_reaches_a_job_in_the_middle_of_its_back_off(database_url: str, tmp_path: Path) -> None:
    async with polled(database_url, tmp_path, first_retry=600.0, longest_retry=600.0) as workshop:
        job_id = await workshop.create()
        await workshop.becomes(job_id, JobStatus.QUEUED)
        workshop.trainer.fault("observe", away())

        async def backed_off() -> bool:
            return bool((await workshop.job(job_id))["failures"])

        await workshop.eventually(backed_off)
        await workshop.jobs.cancel(ANNA, job_id)
        await workshop.becomes(job_id, JobStatus.CANCELLED)


async def test_steps_of_all_trainers_share_a_worker_and_each_trainer_has_one_for_its_runs(workshop: Workshop) -> None:
    workers = poller.workers(workshop.reconciler)
    assert [(type(worker), worker.name) for worker in workers] == [(Steps, "steps"), (Observer, "observer LOCAL")]


@pytest.fixture
async def workshop(database_url: str, tmp_path: Path) -> AsyncIterator[Workshop]:
    async with opened_workshop(database_url, tmp_path) as workshop:
        yield workshop


async def test_a_poller_that_dies_of_an_error_nobody_foresaw_polls_again(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened_workshop(database_url, tmp_path) as workshop:
        with monkeypatch.context() as broken, capture_logs() as logs:
            broken.setattr(workshop.bus, "watch_due", None)
            async with poller.running(workshop.reconciler, workshop.bus) as polling:
                async with asyncio.timeout(DEADLINE):
                    while polling.what_is_wrong() is None:  # noqa: ASYNC110  (nobody is told)
                        await asyncio.sleep(0.005)
                assert polling.what_is_wrong() == "the poller ended unforeseen (TypeError) and is started again"
                broken.undo()
                await workshop.becomes(await workshop.create(), JobStatus.QUEUED)
        assert "a part of the server ended" in [line["event"] for line in logs]
