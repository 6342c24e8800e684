"""The MLflow run beside a job: opened soon after the job is queued, fed with its metrics as they come, then finished.

It never holds up the training. What MLflow lacks is stored, so a crash or an outage of any length loses none of it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from typing import Final, TypeVar

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from server.domain.errors import Unavailable
from server.domain.status import TERMINAL, EventType, JobStatus
from server.reconciler.calls import brief, call_with_timeout
from server.reconciler.timeouts import Limits
from server.registry.registry import ModelRegistry, RunFacts
from server.storage import jobs, metrics, mirrors, runs
from server.storage.events import Entry
from server.storage.mirrors import MirrorClaim

REGISTRY: Final = "MLflow"
OUTAGE: Final = "MLFLOW_UNAVAILABLE"
CLAIM_RETRY_SECONDS: Final = 0.2
GIVING_BACK_SECONDS: Final = 2.0
STEPS_PER_CALL: Final = 200

Result = TypeVar("Result")

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class ClaimLost(Exception):
    """Another replica has taken over, because this one could not renew its lease in time."""


class Mirror:
    """Brings MLflow's run of a job up to date. Who works on a job's run holds its mirror, over all replicas."""

    def __init__(self, engine: AsyncEngine, registry: ModelRegistry, limits: Limits) -> None:
        self.registry = registry
        self.engine = engine
        self.limits = limits
        self.woken = asyncio.Event()

    def wake(self) -> None:
        """Say that something may be due now. Only a hint: what is due is in the table."""
        self.woken.set()

    async def work(self, claim: MirrorClaim) -> None:
        """Do what MLflow lacks of one job; a failure is written down and tried again later, for as long as it takes.

        Raises only what the database raises when it does not take the outcome; then the lease runs out.
        """
        try:
            async with self._holding(claim):
                finished = await self._bring_up_to_date(claim)
            async with self.engine.begin() as connection:
                await (mirrors.remove if finished else mirrors.release)(connection, claim)
        except ClaimLost:
            log.warning("a claim on an MLflow run was lost", job=claim.job_id)
        except asyncio.CancelledError:
            with suppress(Exception):
                async with asyncio.timeout(GIVING_BACK_SECONDS):
                    await self._abandon(claim)
            raise
        except Exception as error:  # noqa: BLE001  (a mirror never harms the job)
            await self._postpone(claim, error)

    async def caught_up(self, job_id: str) -> str:
        """The id of a job's run, once it has every point that is recorded. Raises `Unavailable`.

        While another is at it this waits, and takes over when that one has not come back in time.
        """
        claim = await self._claim(job_id)
        try:
            async with self._holding(claim):
                run_id = await self._open(claim)
                await self._send_points(claim, run_id)
        except ClaimLost as error:
            await self._abandon(claim)
            raise Unavailable(f"{REGISTRY}: another server has taken over the run") from error
        except BaseException:
            with suppress(Exception):
                await self._abandon(claim)
            raise
        async with self.engine.begin() as connection:
            await mirrors.release(connection, claim)
        return run_id

    async def finish(self, run_id: str, status: JobStatus) -> None:
        """End a run as its job has ended; one that has ended so stays as it is. Raises `Unavailable`."""
        await _call(self.registry.finish(run_id, status), self.limits.registry)

    async def _claim(self, job_id: str) -> MirrorClaim:
        deadline = asyncio.get_running_loop().time() + self.limits.opening + self.limits.registry
        while asyncio.get_running_loop().time() < deadline:
            async with self.engine.begin() as connection:
                claim = await mirrors.claim_one(connection, job_id, self.limits.lease)
            if claim is not None:
                return claim
            await asyncio.sleep(CLAIM_RETRY_SECONDS)
        raise Unavailable(f"{REGISTRY}: another server has been at the run for too long")

    async def _bring_up_to_date(self, claim: MirrorClaim) -> bool:
        """Whether MLflow lacks nothing of the job for good: its run is finished."""
        async with self.engine.connect() as connection:
            run = await runs.find(connection, claim.job_id)
        if run.trained and run.status not in TERMINAL:
            return False  # registering the model completes the run, and ends the job
        run_id = run.mlflow_run_id or await self._open(claim)
        await self._send_points(claim, run_id)
        if run.status not in TERMINAL:
            return False
        await self.finish(run_id, run.status)
        return True

    async def _open(self, claim: MirrorClaim) -> str:
        """The id of the job's run, which is made when there is none."""
        async with self.engine.connect() as connection:
            run = await runs.find(connection, claim.job_id)
        if run.mlflow_run_id is not None:
            return run.mlflow_run_id
        made = await _call(self.registry.start_run(_facts(run)), self.limits.opening)
        async with self.engine.begin() as connection:
            noted = await runs.record_opened(connection, claim, made)
        if noted is None:
            raise ClaimLost
        return noted

    async def _send_points(self, claim: MirrorClaim, run_id: str) -> None:
        """Send what comes after the last step that MLflow has, noting how far it is after each call."""
        step = claim.logged_step
        while True:
            async with self.engine.connect() as connection:
                steps = await metrics.steps_after(connection, claim.job_id, step, STEPS_PER_CALL)
            if not steps:
                return
            await _call(self.registry.log_points(run_id, steps), self.limits.registry)
            step = steps[-1].step
            async with self.engine.begin() as connection:
                if not await mirrors.note_logged(connection, claim, step):
                    raise ClaimLost

    async def _postpone(self, claim: MirrorClaim, error: Exception) -> None:
        """Try again later. The job tells of an outage once in its life, and not after its end."""
        failures = claim.failures + 1
        log.warning(
            "an MLflow run could not be brought up to date", job=claim.job_id, failures=failures, error=brief(error)
        )
        away = isinstance(error, Unavailable)
        after = self.limits.retry_after(failures, error.retry_after if isinstance(error, Unavailable) else None)
        message = f"{REGISTRY} could not be reached; training goes on, and its metrics are sent later"
        entry = Entry(EventType.ERROR, message, {"code": OUTAGE, "reason": brief(error)})
        async with self.engine.begin() as connection:
            held = await mirrors.postpone(connection, claim, after, outage_told=away)
            if held and away and not claim.outage_told:
                await jobs.record(connection, claim.job_id, entry)

    async def _abandon(self, claim: MirrorClaim) -> None:
        async with self.engine.begin() as connection:
            await mirrors.abandon(connection, claim)

    @asynccontextmanager
    async def _holding(self, claim: MirrorClaim) -> AsyncIterator[None]:
        """Renew the lease for the length of the context, which ends with `ClaimLost` when another has taken over."""
        try:
            async with asyncio.timeout(None) as scope:
                renewing = asyncio.create_task(self._renew(claim, scope), name=f"mirror lease {claim.job_id}")
                try:
                    yield
                finally:
                    renewing.cancel()
                    await asyncio.gather(renewing, return_exceptions=True)
        except TimeoutError as error:
            if scope.expired():
                raise ClaimLost from error
            raise

    async def _renew(self, claim: MirrorClaim, scope: asyncio.Timeout) -> None:
        third = self.limits.lease / 3
        while True:
            await asyncio.sleep(third)
            try:
                async with asyncio.timeout(third), self.engine.begin() as connection:
                    held = await mirrors.extend(connection, claim, self.limits.lease)
            except Exception as error:  # noqa: BLE001  (the next attempt may reach the database again)
                log.warning("a lease on an MLflow run could not be renewed", job=claim.job_id, error=brief(error))
                continue
            if not held:
                scope.reschedule(asyncio.get_running_loop().time())
                return


async def _call(call: Awaitable[Result], timeout_seconds: float) -> Result:
    return await call_with_timeout(call, name=REGISTRY, timeout_seconds=timeout_seconds)


def _facts(run: runs.Run) -> RunFacts:
    return RunFacts(
        job_id=run.job_id,
        model_name=run.model_name,
        base_model=run.base_model,
        trainer=run.trainer,
        training_sheet_id=run.training_sheet_id,
        training_sheet_name=run.training_sheet_name,
        dataset_digest=run.dataset_digest,
        parameters=run.training_config,
        train_pairs=run.train_pairs,
        val_pairs=run.val_pairs,
        created_by=run.created_by,
        started_at=run.created_at,
    )
