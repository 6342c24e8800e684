"""How long others wait while very many watch: the list and a mutation, at a steady rate, with and without a crowd."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from tests.bench import changes, cpu, crowd, probe
from tests.bench.changes import Writer
from tests.bench.crowd import CrowdFailed, joined, subscribe
from tests.bench.harness import ratio
from tests.bench.servers import TUNEGRAPH, Server, serving
from tests.bench.watching import DELIVERY_TIMEOUT_SECONDS, EVENTS, newest

SUBSCRIBERS: Final = 1_000
EVENTS_A_SECOND: Final = 4.0
RATES: Final = {"list": 20.0, "sheet": 20.0}
SECONDS: Final = 4.0  # of one probe
ROUNDS: Final = 3


@dataclass(frozen=True, slots=True)
class Beside:
    """The 95th percentile of a kind of request, in seconds: while nobody watches, and while many do."""

    kind: str
    idle: float
    busy: float
    ratio: float


async def run(url: str, folder: Path, *, rounds: int = ROUNDS) -> list[Beside]:
    """By turns without and with subscribers. Raises `CrowdFailed`."""
    crowd.allow_files(SUBSCRIBERS)
    with cpu.pinned(cpu.load_cores()):
        async with serving(TUNEGRAPH, url, folder) as server, changes.writing(url, 1) as writer:
            idle: dict[str, list[float]] = {kind: [] for kind in RATES}
            busy: dict[str, list[float]] = {kind: [] for kind in RATES}
            await probe.run(server.port, RATES, SECONDS / 4)
            for _ in range(rounds):
                await _probed(server, idle)
                async with _watched(server, writer):
                    await _probed(server, busy)
    return [Beside(kind, median(idle[kind]), median(busy[kind]), ratio(busy[kind], idle[kind])) for kind in RATES]


async def _probed(server: Server, percentiles: dict[str, list[float]]) -> None:
    for kind, times in (await probe.run(server.port, RATES, SECONDS)).items():
        percentiles[kind].append(times.p95)


@asynccontextmanager
async def _watched(server: Server, writer: Writer) -> AsyncIterator[None]:
    """A crowd that is told of events all the while, from when the first has come to all."""
    job = (await newest(server, 1))[0]
    openings = [subscribe(EVENTS, id=job.job_id, after=job.cursor)] * SUBSCRIBERS
    async with joined(server.port, openings, equal=True) as members:
        delivered = members.expect(SUBSCRIBERS)
        await writer.append(job.job_id)
        async with asyncio.timeout(DELIVERY_TIMEOUT_SECONDS):
            await delivered
        writing = asyncio.create_task(_write(writer, job.job_id))
        try:
            yield
        finally:
            writing.cancel()
            (outcome,) = await asyncio.gather(writing, return_exceptions=True)
        if isinstance(outcome, Exception):
            raise outcome
        members.check()
        if members.received == SUBSCRIBERS:
            raise CrowdFailed("no subscriber was told of another event")


async def _write(writer: Writer, job_id: str) -> None:
    while True:
        await asyncio.sleep(1 / EVENTS_A_SECOND)
        await writer.append(job_id)
