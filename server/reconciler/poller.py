"""The poller: claims what is due and has it worked on. Jobs that take their time never hold up the looks at others."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random

import structlog

from server.bus import Bus, Watch
from server.domain import backoff
from server.domain.status import TrainerKind
from server.reconciler.calls import brief
from server.reconciler.reconciler import Reconciler
from server.storage import claims
from server.storage.claims import Claim, Work
from server.supervision import Supervised

STEPS_AT_ONCE = 8
LOOKS_AT_ONCE = 4
LONGEST_SLEEP = 1.0  # seconds, like those below
SHORTEST_SLEEP = 0.02
LONGEST_RETRY = 5.0
GRACE = 3.0

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Lane:
    """A kind of work that has its own places: up to `places` portions at once, each of up to `portion` jobs."""

    trainers: Sequence[TrainerKind]
    work: Work | None
    places: int
    portion: int


def lanes(reconciler: Reconciler) -> list[Lane]:
    """Two for each trainer, so that one that hangs holds up no other; one for jobs whose trainer this server lacks."""
    trainers = reconciler.runtime.trainers
    found = [Lane(list(set(TrainerKind) - set(trainers)), None, 1, STEPS_AT_ONCE)]
    for kind, trainer in trainers.items():
        found.append(Lane([kind], Work.STEP, STEPS_AT_ONCE, 1))
        found.append(Lane([kind], Work.OBSERVE, LOOKS_AT_ONCE, trainer.capabilities.observe_batch))
    return found


async def poll_once(reconciler: Reconciler) -> int:
    """Work on what is due now, up to what fits in the places of each lane; the number of jobs worked on."""
    claimed = [claim for lane in lanes(reconciler) for claim in await _claim(reconciler, lane, lane.places)]
    await reconciler.work(claimed)
    return len(claimed)


@asynccontextmanager
async def running(reconciler: Reconciler, bus: Bus) -> AsyncIterator[Supervised]:
    """Poll beside whatever the context does, supervised; when it ends, so does the polling, within seconds."""
    stop = asyncio.Event()
    poller = Supervised("poller", lambda: poll_forever(reconciler, bus, stop), stop)
    polling = asyncio.create_task(poller.run(), name="poller")
    try:
        yield poller
    finally:
        stop.set()
        await polling


async def poll_forever(reconciler: Reconciler, bus: Bus, stop: asyncio.Event) -> None:
    """Poll until `stop` is set; then what is under way gets a short grace, and is given back."""
    async with asyncio.TaskGroup() as group:
        for lane in lanes(reconciler):
            name = f"poller {'+'.join(lane.trainers)} {lane.work or ''}".rstrip()
            group.create_task(_poll_lane(reconciler, bus, stop, lane), name=name)


async def _poll_lane(reconciler: Reconciler, bus: Bus, stop: asyncio.Event, lane: Lane) -> None:
    under_way: set[asyncio.Task[None]] = set()
    failures, draw = 0, Random()  # noqa: S311  (spreads retries)
    try:
        with bus.watch_due() as due:
            while not stop.is_set():
                try:
                    sleep = await _fill(reconciler, lane, under_way)
                    failures = 0
                except Exception as error:  # noqa: BLE001  (the database may be back at the next attempt)
                    failures += 1
                    sleep = backoff.delay(failures, first=0.1, longest=LONGEST_RETRY, draw=draw)
                    log.warning("the poller can't claim jobs", failures=failures, error=brief(error))
                await _wait(stop, due, under_way, sleep, full=len(under_way) >= lane.places)
    finally:
        await _end(under_way, GRACE if stop.is_set() else 0)


async def _end(under_way: set[asyncio.Task[None]], grace: float) -> None:
    if under_way:
        _, late = await asyncio.wait(under_way, timeout=grace)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)


async def _wait(
    stop: asyncio.Event, due: Watch, under_way: set[asyncio.Task[None]], sleep: float, *, full: bool
) -> None:
    """Until there may be more to do, a place has become free, or it is time to stop."""
    own: set[asyncio.Task[object]] = {asyncio.create_task(stop.wait())}
    if not full:
        own.add(asyncio.create_task(due.wait(sleep)))
    try:
        await asyncio.wait({*own, *under_way}, timeout=sleep, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in own:
            task.cancel()
        await asyncio.gather(*own, return_exceptions=True)


async def _fill(reconciler: Reconciler, lane: Lane, under_way: set[asyncio.Task[None]]) -> float:
    """Put due jobs into the free places; the seconds until there may be more."""
    free = lane.places - len(under_way)
    if free == 0:
        return LONGEST_SLEEP
    claimed = await _claim(reconciler, lane, free)
    for first in range(0, len(claimed), lane.portion):
        task = asyncio.create_task(reconciler.work(claimed[first : first + lane.portion]), name="work")
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    if len(under_way) >= lane.places:
        return LONGEST_SLEEP
    working = set(under_way)
    async with reconciler.runtime.engine.connect() as connection:
        waiting = await claims.next_due_in(
            connection, trainers=lane.trainers, work=lane.work, excluding=reconciler.out_of_sight()
        )
    if working - under_way:
        return 0  # what has ended since was still held when the database was asked
    return LONGEST_SLEEP if waiting is None else min(max(waiting, SHORTEST_SLEEP), LONGEST_SLEEP)


async def _claim(reconciler: Reconciler, lane: Lane, places: int) -> list[Claim]:
    async with reconciler.runtime.engine.begin() as connection:
        return await claims.claim_due(
            connection,
            trainers=lane.trainers,
            work=lane.work,
            limit=places * lane.portion,
            lease=reconciler.runtime.limits.lease,
            excluding=reconciler.out_of_sight(),
        )
