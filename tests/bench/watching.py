"""What it costs to tell subscribers of an event, beside a bare broadcast to as many sockets.

Both servers hear of the same commits, each in a database of its own, by turns. Subscribers count every message, and
compare it with what the others were sent.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from tests.bench import changes, cpu, crowd, data
from tests.bench.changes import Writer
from tests.bench.crowd import Crowd, CrowdFailed, joined, subscribe
from tests.bench.growth import ask
from tests.bench.harness import ratio
from tests.bench.load import connected
from tests.bench.servers import TUNEGRAPH, Server, broadcasting, serving

SIZES: Final = (100, 1_000, 5_000)
JOBS: Final = 1_000  # that differ
WATCHED_JOBS: Final = JOBS + 1
WARM_UP_SUBSCRIBERS = 10
WARM_UP_EVENTS = 5
MESSAGES = 20_000  # of one round
ROUND_SECONDS = 3.0
DELIVERY_TIMEOUT_SECONDS = 30.0
WRITERS = 4
PAGE = 100
EVENTS: Final = """subscription Events($id: ID!, $after: String) {
  trainingJobEvents(jobId: $id, after: $after) {
    sequence eventType oldStatus newStatus message eventData createdAt cursor
  }
}"""
NEWEST: Final = """query Newest($first: Int, $after: String) {
  trainingJobs(first: $first, after: $after) {
    nodes { id events(last: 1) { nodes { cursor } } } pageInfo { endCursor }
  }
}"""


class NotDelivered(Exception):
    """A server did not bring an event to all its subscribers; the message says what happened instead."""


@dataclass(frozen=True, slots=True)
class Urls:
    """Two databases with the same rows: notifications stay within one."""

    ours: str
    bare: str


@dataclass(frozen=True, slots=True)
class Watched:
    """A job, and the cursor of its last event."""

    job_id: str
    cursor: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What one server needs: seconds of CPU a message, seconds from commit to last delivery, bytes a subscriber."""

    cpu: float
    latency: float
    memory: float


@dataclass(frozen=True, slots=True)
class Fanout:
    """So many subscribers to so many jobs. Without `ours`, `failure` says what went wrong; ratios are to `bare`."""

    subscribers: int
    jobs: int
    bare: Reading | None
    ours: Reading | None = None
    cpu_ratio: float = float("nan")
    latency_ratio: float = float("nan")
    memory_ratio: float = float("nan")
    failure: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Audience:
    """A server with its subscribers: every job of `jobs` has as many."""

    server: Server
    crowd: Crowd
    writer: Writer
    jobs: Sequence[str]
    empty_bytes: int  # the memory of the server before they came

    async def event(self) -> float:
        """Commit an event of every job; the seconds from the last commit until the last message has come."""
        delivered = self.crowd.expect(len(self.crowd.members))
        waiting = list(self.jobs)

        async def write() -> float:
            committed = 0.0
            while waiting:
                committed = await self.writer.append(waiting.pop())
            return committed

        committed = max(await asyncio.gather(*(write() for _ in range(min(WRITERS, len(waiting))))))
        try:
            async with asyncio.timeout(DELIVERY_TIMEOUT_SECONDS):
                latency = max(0.0, await delivered - committed)
        except TimeoutError:
            raise NotDelivered(f"an event had not come to all within {DELIVERY_TIMEOUT_SECONDS:.0f} s") from None
        if len({member.count for member in self.crowd.members}) > 1:
            raise NotDelivered("a subscriber was sent more messages than another")
        return latency

    async def round(self) -> tuple[float, float]:
        """Seconds of CPU a message and the median latency, over a few events."""
        latencies: list[float] = []
        most = max(1, MESSAGES // len(self.crowd.members))
        began, before = time.perf_counter(), cpu.precise_cpu_seconds(self.server.process.pid)
        while len(latencies) < most and time.perf_counter() - began < ROUND_SECONDS:
            latencies.append(await self.event())
        used = cpu.precise_cpu_seconds(self.server.process.pid) - before
        return used / (len(latencies) * len(self.crowd.members)), median(latencies)

    def memory(self) -> float:
        """Bytes that each subscriber takes."""
        grown = cpu.own_memory_bytes(self.server.process.pid) - self.empty_bytes
        return grown / len(self.crowd.members)


async def run(urls: Urls, folder: Path, *, rounds: int) -> list[Fanout]:
    """All sizes of equal subscribers, then as many jobs as subscribers."""
    with cpu.pinned(cpu.load_cores()):
        equal = [await _measured(urls, folder, size, 1, rounds) for size in SIZES]
        return [*equal, await _measured(urls, folder, JOBS, JOBS, rounds)]


async def databases(url: str) -> Urls:
    """Copies of the database at `url` in which the newest jobs are running."""
    made = Urls(await data.copy(url, "bench_watching"), await data.copy(url, "bench_broadcast"))
    for each in (made.ours, made.bare):
        async with changes.writing(each, 1) as writer:
            await writer.begin(await data.newest(each, WATCHED_JOBS))
    return made


async def newest(server: Server, count: int) -> list[Watched]:
    """The newest jobs with the cursors of their last events, asked for as a client does."""
    watched: list[Watched] = []
    cursor = None
    async with connected(server.port) as connection:
        while len(watched) < count:
            page = (await ask(connection, NEWEST, first=PAGE, after=cursor))["data"]["trainingJobs"]
            watched += [Watched(node["id"], node["events"]["nodes"][0]["cursor"]) for node in page["nodes"]]
            cursor = page["pageInfo"]["endCursor"]
    return watched[:count]


async def _measured(urls: Urls, folder: Path, subscribers: int, jobs: int, rounds: int) -> Fanout:
    if not crowd.allow_files(2 * subscribers):
        return Fanout(subscribers, jobs, None, failure="this system lets a process open too few files")
    async with AsyncExitStack() as stack:
        ours = await stack.enter_async_context(serving(TUNEGRAPH, urls.ours, folder))
        watched = await newest(ours, WATCHED_JOBS)
        text = await sample_frame(ours, urls.ours, watched[-1])
        bare = await stack.enter_async_context(serving(broadcasting(text), urls.bare, folder))
        try:
            bare_audience, audience = [
                await stack.enter_async_context(attended(server, url, subscribers, watched[:jobs], watched[-1]))
                for server, url in ((bare, urls.bare), (ours, urls.ours))
            ]
            return await _by_turns(audience, bare_audience, rounds)
        except (CrowdFailed, NotDelivered, TimeoutError) as error:
            return Fanout(subscribers, jobs, None, failure=str(error) or "the subscribers did not get through in time")


async def _by_turns(ours: Audience, bare: Audience, rounds: int) -> Fanout:
    samples: dict[Audience, list[tuple[float, float]]] = {ours: [], bare: []}
    for turn in range(rounds):
        for audience in (ours, bare) if turn % 2 == 0 else (bare, ours):
            samples[audience].append(await audience.round())
    cpu_samples, latencies = (
        [[sample[place] for sample in samples[audience]] for audience in (ours, bare)] for place in (0, 1)
    )
    reading, bare_reading = (
        Reading(median(used), median(latency), audience.memory())
        for used, latency, audience in zip(cpu_samples, latencies, (ours, bare), strict=True)
    )
    return Fanout(
        len(ours.crowd.members),
        len(ours.jobs),
        bare_reading,
        reading,
        ratio(*cpu_samples),
        ratio(*latencies),
        reading.memory / bare_reading.memory if bare_reading.memory > 0 else float("nan"),
    )


async def sample_frame(server: Server, url: str, watched: Watched) -> str:
    """What a subscriber is sent for one event."""
    opening = subscribe(EVENTS, id=watched.job_id, after=watched.cursor)
    async with changes.writing(url, 1) as writer, joined(server.port, [opening], equal=True) as one:
        delivered = one.expect(1)
        await writer.append(watched.job_id)
        async with asyncio.timeout(DELIVERY_TIMEOUT_SECONDS):
            await delivered
        return one.members[0].last.decode()


@asynccontextmanager
async def attended(
    server: Server, url: str, subscribers: int, jobs: Sequence[Watched], other: Watched
) -> AsyncIterator[Audience]:
    """A server whose subscribers have all been sent a first event; a few to an `other` job have warmed it up before."""
    openings = [subscribe(EVENTS, id=job.job_id, after=job.cursor) for job in jobs] * (subscribers // len(jobs))
    warm_up = [subscribe(EVENTS, id=other.job_id, after=None)] * WARM_UP_SUBSCRIBERS
    async with changes.writing(url, min(WRITERS, len(jobs))) as writer, joined(server.port, warm_up, equal=True):
        for _ in range(WARM_UP_EVENTS):
            await writer.append(other.job_id)
        empty_bytes = cpu.own_memory_bytes(server.process.pid)
        async with joined(server.port, openings, equal=len(jobs) == 1) as members:
            audience = Audience(server, members, writer, [job.job_id for job in jobs], empty_bytes)
            await audience.event()
            yield audience
