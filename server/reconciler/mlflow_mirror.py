"""The MLflow run beside a job: opened soon after the job is queued, and fed with its metrics as they come.

It never holds up the training. What is to be done follows from the tables, so it may be done again after a crash.
"""

import asyncio
from weakref import WeakValueDictionary

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from server.domain.errors import Unavailable
from server.domain.status import TERMINAL, EventType, JobStatus
from server.reconciler.calls import brief, call_with_timeout
from server.reconciler.timeouts import Limits
from server.registry.registry import LoggedPoint, ModelRegistry, RunFacts
from server.storage import jobs, metrics, runs
from server.storage.events import Entry

REGISTRY = "MLflow"
AT_ONCE = 4
LAST_ATTEMPTS = 5
REMEMBERED = 10_000
BETWEEN_LOOKS = 0.2
STEPS_AT_ONCE = 200

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class Mirror:
    """Keeps runs up to date in the background; at most one task for a job at a time."""

    def __init__(self, engine: AsyncEngine, registry: ModelRegistry, limits: Limits) -> None:
        self.registry = registry
        self._engine = engine
        self._limits = limits
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stale: set[str] = set()
        self._slots = asyncio.Semaphore(AT_ONCE)
        # up to which step each run was fed; forgetting only means that its points are logged again
        self._logged: dict[str, int] = {}
        # MLflow's database takes the same points from two threads for a violated constraint
        self._feeding: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def wake(self, job_id: str) -> None:
        """Bring a job's run up to date soon; while its registry can't be reached, when the wait is over."""
        self._stale.add(job_id)
        if job_id not in self._tasks:
            self._tasks[job_id] = asyncio.create_task(self._follow(job_id), name=f"mirror {job_id}")

    def forget(self, job_id: str) -> None:
        """Drop what is kept of a job whose run is complete."""
        self._logged.pop(job_id, None)

    async def close(self) -> None:
        """End what is under way."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, job_id: str) -> None:
        failures = 0
        try:
            while job_id in self._stale:
                self._stale.discard(job_id)
                try:
                    async with self._slots:
                        await self._bring_up_to_date(job_id)
                    failures = 0
                except Exception as error:  # noqa: BLE001  (a mirror never harms the job)
                    failures += 1
                    if not await self._worth_another(job_id, failures, error):
                        break
                    self._stale.add(job_id)
                    await asyncio.sleep(self._limits.retry_after(failures))
        finally:
            self._stale.discard(job_id)
            del self._tasks[job_id]

    async def _worth_another(self, job_id: str, failures: int, error: Exception) -> bool:
        """Tell of an outage once in a job's life; a run whose job has ended is not tried for ever."""
        log.warning("a run could not be brought up to date", job=job_id, failures=failures, error=brief(error))
        if failures >= LAST_ATTEMPTS:
            async with self._engine.connect() as connection:
                standing = await jobs.standing(connection, job_id)
            if standing is None or standing.terminal:
                return False
        if isinstance(error, Unavailable):
            code = {"code": "MLFLOW_UNAVAILABLE"}
            message = f"{REGISTRY} could not be reached; training goes on, and its metrics are sent later"
            entry = Entry(EventType.ERROR, message, {**code, "reason": brief(error)})
            async with self._engine.begin() as connection:
                await jobs.record(connection, job_id, entry, once=code)
        return True

    async def _bring_up_to_date(self, job_id: str) -> None:
        async with self._engine.connect() as connection:
            run = await runs.find(connection, job_id)
        if run.status in TERMINAL:
            if run.mlflow_run_id is not None:
                await self.log_points(job_id, run.mlflow_run_id)
                await self.finish(run.mlflow_run_id, run.status)
            self.forget(job_id)
        elif not run.trained:  # a trained job's run is completed by registering its model
            await self.log_points(job_id, await self.opened(job_id))

    async def opened(self, job_id: str) -> str:
        """The id of a job's run, which is made when there is none. Raises `Unavailable`.

        While another replica is making it, this waits, and takes over when that one has not come back in time.
        """
        deadline = asyncio.get_running_loop().time() + 2 * self._limits.opening
        while asyncio.get_running_loop().time() < deadline:
            async with self._engine.begin() as connection:
                run = await runs.find(connection, job_id)
                if run.mlflow_run_id is not None:
                    return run.mlflow_run_id
                ours = await runs.lock_opening(connection, job_id, self._limits.opening)
            if ours:
                return await self._open(run)
            await asyncio.sleep(BETWEEN_LOOKS)
        raise Unavailable(f"{REGISTRY}: the run is still being made by another server")

    async def _open(self, run: runs.Run) -> str:
        call = self.registry.start_run(_facts(run))
        try:
            run_id = await call_with_timeout(call, name=REGISTRY, timeout_seconds=self._limits.opening * 0.9)
        except Unavailable:
            async with self._engine.begin() as connection:
                await runs.unlock_opening(connection, run.job_id)
            raise
        async with self._engine.begin() as connection:
            return await runs.record_opened(connection, run.job_id, run_id)

    async def log_points(self, job_id: str, run_id: str, *, everything: bool = False) -> None:
        """Send the points that this process has not sent yet, or all of them; one call for a job at a time."""
        feeding = self._feeding.setdefault(job_id, asyncio.Lock())
        async with feeding:
            await self._feed(job_id, run_id, None if everything else self._logged.get(job_id))

    async def _feed(self, job_id: str, run_id: str, step: int | None) -> None:
        while True:
            async with self._engine.connect() as connection:
                steps = await metrics.steps_after(connection, job_id, step, STEPS_AT_ONCE)
            if not steps:
                return
            points = [LoggedPoint(one.step, one.at, one.values) for one in steps]
            call = self.registry.log_points(run_id, points)
            await call_with_timeout(call, name=REGISTRY, timeout_seconds=self._limits.registry)
            step = steps[-1].step
            if len(self._logged) >= REMEMBERED:
                self._logged.clear()
            self._logged[job_id] = step

    async def finish(self, run_id: str, status: JobStatus) -> None:
        """End a run as its job has ended."""
        call = self.registry.finish(run_id, status)
        await call_with_timeout(call, name=REGISTRY, timeout_seconds=self._limits.registry)


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
