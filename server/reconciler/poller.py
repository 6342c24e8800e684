"""The poller: steps that are due, and the runs of each trainer, all side by side. What hangs holds up nothing else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Protocol

import structlog

from server.bus import Bus, Watch
from server.domain import backoff
from server.reconciler.calls import brief
from server.reconciler.observer import Observer
from server.reconciler.reconciler import Reconciler
from server.reconciler.steps import Steps
from server.supervision import Supervised

SHORTEST_SLEEP_SECONDS = 0.02
LONGEST_RETRY_SECONDS = 5.0
GRACE_SECONDS = 3.0

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class Worker(Protocol):
    """A kind of work that has its own places."""

    tasks: set[asyncio.Task[None]]
    woken: asyncio.Event

    @property
    def name(self) -> str:
        """What it is called in logs."""
        ...

    async def begin(self) -> int:
        """Begin what is due, as far as there are places; the number of jobs."""
        ...

    async def idle_seconds(self) -> float:
        """Seconds until there may be more to do, unless a notification comes first."""
        ...

    def notice(self) -> None:
        """The database has told that some job wants the poller."""
        ...

    async def close(self) -> None:
        """No more work is begun."""
        ...


def workers(reconciler: Reconciler) -> list[Worker]:
    """One for all steps, and one for the runs of each trainer."""
    runtime = reconciler.runtime
    return [Steps(reconciler), *(Observer(runtime, kind) for kind in runtime.trainers)]


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
        for worker in workers(reconciler):
            group.create_task(_drive(worker, bus, stop), name=f"poller {worker.name}")


async def _drive(worker: Worker, bus: Bus, stop: asyncio.Event) -> None:
    failures, draw = 0, Random()  # noqa: S311  (spreads retries)
    try:
        with bus.watch_due() as due:
            while not stop.is_set():
                try:
                    await worker.begin()
                    sleep = max(await worker.idle_seconds(), SHORTEST_SLEEP_SECONDS)
                    failures = 0
                except Exception as error:  # noqa: BLE001  (the database may be back at the next attempt)
                    failures += 1
                    sleep = backoff.delay(failures, first=0.1, longest=LONGEST_RETRY_SECONDS, draw=draw)
                    log.warning("the poller can't work", worker=worker.name, failures=failures, error=brief(error))
                await _wait(worker, due, stop, sleep)
    finally:
        await _end(worker.tasks, GRACE_SECONDS if stop.is_set() else 0)
        await worker.close()


async def _wait(worker: Worker, due: Watch, stop: asyncio.Event, sleep_seconds: float) -> None:
    """Until there may be more to do, a place has become free, or it is time to stop."""
    notified = asyncio.create_task(due.wait(2 * sleep_seconds))
    own = {notified, asyncio.create_task(stop.wait()), asyncio.create_task(worker.woken.wait())}
    try:
        await asyncio.wait({*own, *worker.tasks}, timeout=sleep_seconds, return_when=asyncio.FIRST_COMPLETED)
        if notified.done():
            worker.notice()
    finally:
        worker.woken.clear()
        for task in own:
            task.cancel()
        await asyncio.gather(*own, return_exceptions=True)


async def _end(tasks: set[asyncio.Task[None]], grace_seconds: float) -> None:
    if tasks:
        _, late = await asyncio.wait(set(tasks), timeout=grace_seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
