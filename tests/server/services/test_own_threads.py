"""Clients and the reconciler do not wait for threads that anybody else may take."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from server.domain.status import RunState
from server.services.eligibility import Eligibility
from tests.server.services.desk import ANNA, pair
from tests.server.trainers.bench import Bench, until_state
from tests.server.workshop import Workshop

pytestmark = pytest.mark.database

DEADLINE = 30.0


@pytest.fixture
async def busy_default_executor() -> AsyncIterator[None]:
    """All threads that `asyncio.to_thread` takes are at work for as long as the test runs."""
    release = Event()
    executor = ThreadPoolExecutor(1)
    asyncio.get_running_loop().set_default_executor(executor)
    executor.submit(release.wait)
    yield
    release.set()


async def test_a_job_goes_its_whole_way(workshop: Workshop, busy_default_executor: None) -> None:
    async with asyncio.timeout(DEADLINE):
        await workshop.desk.add(pair())
        assert (await Eligibility(workshop.engine).report(workshop.desk.training_sheet_id, 0.8, 0)).train > 0
        job_id = await workshop.running()
        await workshop.jobs.cancel(ANNA, job_id)
        await workshop.poll()
        assert await workshop.status(job_id) == "CANCELLED"


async def test_a_local_run_is_submitted_observed_and_cancelled(tmp_path: Path, busy_default_executor: None) -> None:
    bench = Bench(tmp_path)
    trainer = bench.trainer()
    try:
        async with asyncio.timeout(DEADLINE):
            assert await trainer.base_models()
            name = await trainer.submit(bench.request("job_1", {"epochs": 1000}))
            assert await trainer.find("job_1") == name
            await trainer.cancel(name)
            await until_state(trainer, "job_1", name, RunState.CANCELLED)
            assert isinstance(await trainer.logs(name), str)
    finally:
        await bench.close()
