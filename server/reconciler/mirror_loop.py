"""The loop that works off what MLflow lacks, shared by all replicas."""

import asyncio
from random import Random
from typing import Final, Self

import structlog

from server.domain import backoff
from server.reconciler.calls import brief
from server.reconciler.mlflow_mirror import Mirror
from server.storage import mirrors
from server.storage.mirrors import MirrorClaim
from server.supervision import Supervised

PLACES: Final = 4  # runs that are worked on at once
SHORTEST_SLEEP_SECONDS: Final = 0.02
LONGEST_SLEEP_SECONDS: Final = 15.0  # what another replica has written, and then died, is found after that
LONGEST_RETRY_SECONDS: Final = 5.0
GRACE_SECONDS: Final = 1.0

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class MirrorLoop:
    """Works as long as the context is open: sleeps until something is due, or until the mirror is woken."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._places = asyncio.Semaphore(PLACES)
        self._under_way: set[asyncio.Task[None]] = set()
        self._dispatching: asyncio.Task[None] | None = None
        self.supervised = Supervised("MLflow mirror", self._dispatch)

    async def __aenter__(self) -> Self:
        """Begin with what is due already."""
        self._dispatching = asyncio.create_task(self.supervised.run(), name="mirror loop")
        return self

    async def __aexit__(self, *_exception: object) -> None:
        """Leave a moment to what is under way, then give it back."""
        if self._dispatching is not None:
            self._dispatching.cancel()
            await asyncio.gather(self._dispatching, return_exceptions=True)
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=GRACE_SECONDS)
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _dispatch(self) -> None:
        failures, draw = 0, Random()  # noqa: S311  (spreads retries)
        while True:
            await self._places.acquire()
            self._mirror.woken.clear()
            claim, sleep_seconds = None, 0.0
            try:
                claim, sleep_seconds = await self._next()
                failures = 0
            except Exception as error:  # noqa: BLE001  (the database may be back at the next attempt)
                failures += 1
                sleep_seconds = backoff.delay(failures, first=0.1, longest=LONGEST_RETRY_SECONDS, draw=draw)
                log.warning("MLflow's mirror can't claim work", failures=failures, error=brief(error))
            if claim is not None:
                self._start(claim)
                continue
            self._places.release()
            await self._sleep(sleep_seconds)

    async def _next(self) -> tuple[MirrorClaim | None, float]:
        """Something that is due; or None, and the seconds until something may be."""
        async with self._mirror.engine.begin() as connection:
            claim = await mirrors.claim_due(connection, self._mirror.limits.lease)
            waiting = await mirrors.next_ready_in(connection) if claim is None else 0.0
        if waiting is None:
            return claim, LONGEST_SLEEP_SECONDS
        return claim, min(max(waiting, SHORTEST_SLEEP_SECONDS), LONGEST_SLEEP_SECONDS)

    def _start(self, claim: MirrorClaim) -> None:
        task = asyncio.create_task(self._work(claim), name=f"mirror {claim.job_id}")
        self._under_way.add(task)
        task.add_done_callback(self._end)

    async def _work(self, claim: MirrorClaim) -> None:
        try:
            await self._mirror.work(claim)
        except Exception as error:  # noqa: BLE001  (the lease runs out, and it is tried again)
            log.warning("the work on an MLflow run could not be written down", job=claim.job_id, error=brief(error))

    def _end(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._places.release()
        self._mirror.wake()  # something may have become due meanwhile

    async def _sleep(self, sleep_seconds: float) -> None:
        try:
            async with asyncio.timeout(sleep_seconds):
                await self._mirror.woken.wait()
        except TimeoutError:
            return
