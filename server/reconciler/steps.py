"""The steps of jobs that take their own time, each claimed by itself: submitting, cancelling, registering."""

import asyncio
from collections import Counter

import structlog

from server.reconciler.reconciler import Reconciler
from server.storage import claims
from server.storage.claims import Claim

STEPS_AT_ONCE = 8  # in each lane, so that a trainer that hangs holds up no other
LONGEST_SLEEP_SECONDS = 5.0  # behind the notifications, and for leases that run out
SWEEP_SECONDS = 10.0

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class Steps:
    """Claims steps that are due in all lanes with one statement, and has them worked on in `tasks`."""

    name = "steps"

    def __init__(self, reconciler: Reconciler) -> None:
        self.tasks: set[asyncio.Task[None]] = set()
        self.woken = asyncio.Event()
        self._reconciler = reconciler
        self._runtime = reconciler.runtime
        self._busy: Counter[str] = Counter()
        self._loop = asyncio.get_running_loop()
        self._unserved_from = self._loop.time() + self._runtime.limits.out_of_sight  # others may just be starting
        self._sweep_at = 0.0

    async def begin(self) -> int:
        """Put due steps into the free places; the number of jobs."""
        lanes = await self._runtime.lanes()
        claimed = await self._sweep(lanes) if self._loop.time() >= self._sweep_at else []
        places = {lane: free for lane in sorted(lanes) if (free := STEPS_AT_ONCE - self._busy[lane]) > 0}
        if places:
            async with self._runtime.engine.begin() as connection:
                claimed += await claims.claim_due(connection, places, self._runtime.limits.lease)
        for claim in claimed:
            self._start(claim)
        return len(claimed)

    async def idle_seconds(self) -> float:
        """Until there may be more to do, if nobody tells earlier."""
        working = set(self.tasks)
        free = [lane for lane in await self._runtime.lanes() if self._busy[lane] < STEPS_AT_ONCE]
        async with self._runtime.engine.connect() as connection:
            waiting = await claims.next_due_in(connection, free) if free else None
        if working - self.tasks:
            return 0.0  # what has ended since was still held when the database was asked
        return LONGEST_SLEEP_SECONDS if waiting is None else min(max(waiting, 0.0), LONGEST_SLEEP_SECONDS)

    def notice(self) -> None:
        """Some step is due: the next statement finds it."""

    async def close(self) -> None:
        """Nothing is held but by the tasks."""

    async def _sweep(self, lanes: frozenset[str]) -> list[Claim]:
        """Mend the claims, and take care of jobs whose lane nobody serves."""
        now, limits = self._loop.time(), self._runtime.limits
        claimed: list[Claim] = []
        async with self._runtime.engine.begin() as connection:
            if mended := await claims.mend(connection):
                log.warning("claims were mended", jobs=mended)
            if now >= self._unserved_from:
                claimed = await claims.claim_unserved(
                    connection,
                    lanes,
                    after_seconds=limits.out_of_sight,
                    limit=STEPS_AT_ONCE,
                    lease_seconds=limits.lease,
                )
        self._sweep_at = now + (0.0 if len(claimed) == STEPS_AT_ONCE else SWEEP_SECONDS)
        return claimed

    def _start(self, claim: Claim) -> None:
        task = asyncio.create_task(self._reconciler.work(claim), name=f"work on {claim.job_id}")
        self.tasks.add(task)
        self._busy[claim.lane] += 1

        def ended(task: asyncio.Task[None]) -> None:
            self.tasks.discard(task)
            self._busy[claim.lane] -= 1

        task.add_done_callback(ended)
