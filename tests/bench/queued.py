"""What a line of jobs costs that all wait for a slot while nothing happens."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from server.commands.demo.client import Client
from tests.bench import counters, cpu, data
from tests.bench.postgres import Postgres
from tests.bench.servers import PROGRAM, Server, serving
from tests.e2e import trainings
from tests.e2e.jobs import CREATE_JOB, changed, job_input, make_training_sheet
from tests.waiting import until

JOBS: Final = 200
EPOCHS: Final = 500
CREATED_AT_ONCE: Final = 8
SETTLE_SECONDS: Final = 5.0  # until a run that shows nothing new is observed as rarely as it ever is
MIRRORED_TIMEOUT_SECONDS: Final = 120.0
MIRRORED: Final = """
    SELECT NOT EXISTS (SELECT FROM mlflow_mirrors WHERE due_at IS NOT NULL OR lease_until IS NOT NULL)
"""
SECONDS: Final = 20.0
START_TIMEOUT_SECONDS: Final = 60.0
WAITING: Final = "{ trainingJobs(filter: {status: [QUEUED]}) { totalCount } }"


@dataclass(frozen=True, slots=True)
class Queued:
    """Each a second: rows written, bytes of WAL, and seconds of the server's CPU."""

    jobs: int
    rows: float
    wal_bytes: float
    cpu: float


async def run(postgres: Postgres, folder: Path) -> Queued:
    """Jobs behind a training that holds the only slot and stands still: it is stopped, so that it costs nothing."""
    url = await data.make_empty(postgres.url, "bench_queued")
    with cpu.pinned(cpu.load_cores()):
        async with serving(PROGRAM, url, folder) as server, _line(server, folder / "tunegraph"):
            await until(lambda: _is_mirrored(url), MIRRORED_TIMEOUT_SECONDS)
            await asyncio.sleep(SETTLE_SECONDS)
            return await _measured(server, url)


async def _is_mirrored(url: str) -> bool:
    """Whether MLflow lacks nothing: each job that was created has a run there by then."""
    connection = await asyncpg.connect(url)
    try:
        return bool(await connection.fetchval(MIRRORED))
    finally:
        await connection.close()


async def _measured(server: Server, url: str) -> Queued:
    pid = server.process.pid
    before, used, began = await counters.written(url), cpu.precise_cpu_seconds(pid), time.monotonic()
    await asyncio.sleep(SECONDS)
    used, seconds = cpu.precise_cpu_seconds(pid) - used, time.monotonic() - began
    grown = (await counters.written(url)).since(before)
    return Queued(JOBS, grown.total_rows / seconds, grown.wal_bytes / seconds, used / seconds)


@asynccontextmanager
async def _line(server: Server, data_dir: Path) -> AsyncIterator[None]:
    """As many jobs as there should be, all QUEUED, behind one that RUNS."""
    try:
        async with Client.open(f"127.0.0.1:{server.port}") as client:
            sheet = await make_training_sheet(client)
            first = await _create(client, sheet)
            await until(lambda: _is_training(data_dir, first), START_TIMEOUT_SECONDS)
            training = trainings.of_job(data_dir, first)
            if training is None:
                raise RuntimeError("the training that should hold the slot has ended")
            os.kill(training.pid, signal.SIGSTOP)
            places = asyncio.Semaphore(CREATED_AT_ONCE)

            async def one() -> None:
                async with places:
                    await _create(client, sheet)

            await asyncio.gather(*(one() for _ in range(JOBS)))
            await until(lambda: _all_wait(client), START_TIMEOUT_SECONDS)
        yield
    finally:
        trainings.end_all(data_dir)


async def _create(client: Client, sheet: str) -> str:
    created = await changed(client, CREATE_JOB, input=job_input(sheet, epochs=EPOCHS))
    return str(created["id"])


async def _is_training(data_dir: Path, job_id: str) -> bool:
    return trainings.of_job(data_dir, job_id) is not None


async def _all_wait(client: Client) -> bool:
    return bool((await client.ask(WAITING))["trainingJobs"]["totalCount"] == JOBS)
