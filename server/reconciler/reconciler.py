"""Work on claimed jobs. What comes next follows from the job's row alone, so any replica can go on with it."""

import asyncio
from collections.abc import Mapping
from typing import Self

import structlog

from server.domain.errors import Unavailable
from server.domain.status import JobStatus, TrainerKind
from server.reconciler import cancellation, observation, registration, submission
from server.reconciler.calls import brief
from server.reconciler.outcomes import Outcome, let_go, postponed, settle
from server.reconciler.runtime import Runtime
from server.storage import claims, holding
from server.storage.claims import Claim, Work
from server.trainers.trainer import Trainer

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class Reconciler:
    """Works on claimed jobs. As a context, it ends what it has started itself when the context ends."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._requested: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Nothing is started before it is needed."""
        return self

    async def __aexit__(self, *_exception: object) -> None:
        """End work that was asked for."""
        for task in self._requested:
            task.cancel()
        await asyncio.gather(*self._requested, return_exceptions=True)

    @property
    def trainers(self) -> Mapping[TrainerKind, Trainer]:
        """The trainers that this server has."""
        return self.runtime.trainers

    async def work_now(self, job_id: str) -> asyncio.Task[None] | None:
        """Claim a job now and start a task that works on it; it goes on when the caller stops waiting.

        None while another replica holds the job, or when it has ended. Raises what the database raises.
        """
        async with self.runtime.engine.begin() as connection:
            claim = await claims.claim_one(connection, job_id, self.runtime.limits.lease)
        if claim is None:
            return None
        task = asyncio.create_task(self.work(claim), name=f"work on {job_id}, as asked")
        self._requested.add(task)
        task.add_done_callback(self._requested.discard)
        return task

    async def work(self, claim: Claim) -> None:
        """Work on a claimed job until it is given back or has ended, keeping its lease alive.

        When the claim is lost the work is ended: somebody else does it by now. When this is cut off, the job is given
        back.
        """
        work = asyncio.create_task(settle(self.runtime, claim, self._outcome(claim)), name="step")
        loss = asyncio.create_task(self._keep(claim), name="heartbeat")
        try:
            await asyncio.wait({work, loss}, return_when=asyncio.FIRST_COMPLETED)
            cut_off = work.cancelled()
        except asyncio.CancelledError:
            cut_off = True
        if not work.done() and not cut_off:
            log.warning("a claim was lost, and the work on it is ended", job=claim.job_id)
        for task in (work, loss):
            task.cancel()
        await asyncio.gather(work, loss, return_exceptions=True)
        if cut_off:
            await let_go(self.runtime, claim)
            raise asyncio.CancelledError

    async def _outcome(self, claim: Claim) -> Outcome:
        try:
            if claim.status is JobStatus.PENDING:
                return await submission.submit(self.runtime, claim)
            if claim.trained_age is not None:
                return await registration.finish(self.runtime, claim)
            if claim.work is Work.OBSERVE:
                return await observation.observe_alone(self.runtime, claim)
            return await cancellation.cancel(self.runtime, claim)
        except Unavailable as error:
            return postponed(self.runtime.limits, claim, error)

    async def _keep(self, claim: Claim) -> None:
        """Renew a claim's lease; return when it is lost, or was not renewed in time and may be."""
        loop, lease = asyncio.get_running_loop(), self.runtime.limits.lease
        renewed_at = loop.time()
        while loop.time() < renewed_at + lease:
            await asyncio.sleep(lease / 3)
            asked_at = loop.time()
            try:
                async with asyncio.timeout(lease / 3), self.runtime.engine.begin() as connection:
                    if asked_at >= renewed_at + lease or not await holding.extend(connection, claim, lease):
                        return
            except Exception as error:  # noqa: BLE001  (the next beat may reach the database again)
                log.warning("a lease could not be renewed", job=claim.job_id, error=brief(error))
            else:
                renewed_at = asked_at
