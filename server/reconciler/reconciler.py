"""What happens to claimed jobs: what comes next follows from the row alone, whoever worked on it before."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import groupby
from typing import Self

import structlog

from server.domain.errors import Unavailable
from server.domain.status import JobStatus
from server.reconciler import cancellation, observation, registration, submission
from server.reconciler.calls import brief
from server.reconciler.outcomes import Runtime, guarded, postpone
from server.storage import claims, leases
from server.storage.claims import Claim, Work

GIVING_BACK = 2.0  # seconds that a stopping server takes for it

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class Reconciler:
    """Works on claimed jobs. As a context, it ends what it has started itself when the context ends."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._looks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Nothing is started before it is needed."""
        return self

    async def __aexit__(self, *_exception: object) -> None:
        """End looks that were asked for."""
        for task in self._looks:
            task.cancel()
        await asyncio.gather(*self._looks, return_exceptions=True)

    def out_of_sight(self) -> Collection[str]:
        """Jobs that are left to other replicas for now."""
        now = asyncio.get_running_loop().time()
        for job_id in [job_id for job_id, until in self.runtime.out_of_sight.items() if until <= now]:
            del self.runtime.out_of_sight[job_id]
        return self.runtime.out_of_sight.keys()

    async def work(self, claimed: Sequence[Claim]) -> None:
        """Work on claimed jobs until each is given back or has ended; one that fails concerns no other."""
        async with self._held(claimed):
            observed = [claim for claim in claimed if claim.work is Work.OBSERVE]
            steps = [claim for claim in claimed if claim.work is Work.STEP]
            by_trainer = groupby(sorted(observed, key=lambda claim: claim.trainer), key=lambda claim: claim.trainer)
            await asyncio.gather(
                *(self._observe(list(group)) for _, group in by_trainer),
                *(guarded(self.runtime, claim, self._step(claim)) for claim in steps),
            )

    async def look(self, job_id: str) -> asyncio.Task[None] | None:
        """Claim a job now and work on it, whoever goes on waiting; None while another holds it or it has ended."""
        async with self.runtime.engine.begin() as connection:
            claim = await claims.claim_one(connection, job_id, self.runtime.limits.lease)
        if claim is None:
            return None
        task = asyncio.create_task(self.work([claim]), name=f"look at {job_id}")
        self._looks.add(task)
        task.add_done_callback(self._looks.discard)
        return task

    async def _observe(self, claimed: Sequence[Claim]) -> None:
        trainer = self.runtime.trainers.get(claimed[0].trainer)
        batch = trainer.capabilities.observe_batch if trainer is not None else len(claimed)
        for first in range(0, len(claimed), batch):
            portion = claimed[first : first + batch]
            try:
                await observation.observe(self.runtime, portion)
            except Exception:
                log.exception("jobs could not be observed", jobs=len(portion))

    async def _step(self, claim: Claim) -> None:
        if claim.status is JobStatus.PENDING:
            await submission.submit(self.runtime, claim)
        elif claim.trained_age is not None:
            await registration.finish(self.runtime, claim)
        else:
            try:
                await cancellation.cancel(self.runtime, claim)
            except Unavailable as error:
                await postpone(self.runtime, claim, error)

    @asynccontextmanager
    async def _held(self, claimed: Sequence[Claim]) -> AsyncIterator[None]:
        """Keep the lease alive while the work goes on, and give the jobs back when it is cut off."""
        heartbeat = asyncio.create_task(self._heartbeat(claimed), name="heartbeat")
        try:
            yield
        except asyncio.CancelledError:
            with suppress(Exception):
                async with asyncio.timeout(GIVING_BACK), self.runtime.engine.begin() as connection:
                    await leases.abandon(connection, claimed)
            raise
        finally:
            heartbeat.cancel()
            await asyncio.gather(heartbeat, return_exceptions=True)

    async def _heartbeat(self, claimed: Sequence[Claim]) -> None:
        lease = self.runtime.limits.lease
        while True:
            await asyncio.sleep(lease / 3)
            try:
                async with asyncio.timeout(lease / 3), self.runtime.engine.begin() as connection:
                    await leases.extend(connection, claimed, lease)
            except Exception as error:  # noqa: BLE001  (the next beat may reach the database again)
                log.warning("a lease could not be renewed", jobs=len(claimed), error=brief(error))
