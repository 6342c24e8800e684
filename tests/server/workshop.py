"""A whole workshop for jobs: curated pairs, a scripted trainer and registry, and everything of ours between them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from server.bus import Bus
from server.domain.gates import PairStatus
from server.domain.status import JobStatus, RunState, TrainerKind
from server.reconciler import poller
from server.reconciler.mirror_loop import MirrorLoop
from server.reconciler.mlflow_mirror import Mirror
from server.reconciler.observer import Observer
from server.reconciler.poller import Worker
from server.reconciler.reconciler import Reconciler
from server.reconciler.runtime import Runtime
from server.reconciler.steps import Steps
from server.reconciler.timeouts import Limits
from server.services.curation import Curation
from server.services.eligibility import Eligibility
from server.services.jobs import CreateJob, Jobs
from server.storage import claims
from server.storage.claims import Claim
from server.storage.migrations import driver_url
from tests.server.scripted_registry import ScriptedRegistry
from tests.server.scripted_trainer import ARTIFACT, BASE_MODEL, ScriptedTrainer
from tests.server.services.desk import ANNA, DEADLINE, Desk, opened, pair
from tests.waiting import until

PAIRS = 5
JOB = """
    SELECT job.*, claim.lane, claim.fence, claim.due_at, claim.lease_until, claim.failures
    FROM training_jobs AS job LEFT JOIN training_job_claims AS claim ON claim.job_id = job.id WHERE job.id = :id
"""
# a claim is there as long as its job, and no job that wants a step is only observed
CLAIMS_ASTRAY = """
    SELECT job.id FROM training_jobs AS job LEFT JOIN training_job_claims AS claim ON claim.job_id = job.id
    WHERE (job.completed_at IS NULL) <> (claim.job_id IS NOT NULL)
        OR claim.job_id IS NOT NULL AND claim.due_at IS NULL
            AND (job.status = 'PENDING' OR job.cancel_requested_at IS NOT NULL OR job.trained_at IS NOT NULL)
"""
NOBODY_HOLDS = "UPDATE observation_lanes SET lease_until = clock_timestamp()"
ALL_DUE = "UPDATE training_job_claims SET due_at = clock_timestamp() WHERE due_at IS NOT NULL"


NOTHING_TO_MIRROR = """
    SELECT NOT EXISTS (SELECT FROM mlflow_mirrors WHERE lease_until IS NOT NULL OR due_at <= clock_timestamp())
"""


@dataclass(frozen=True)
class Workshop:
    url: str
    desk: Desk
    bus: Bus
    trainer: ScriptedTrainer
    registry: ScriptedRegistry
    reconciler: Reconciler
    jobs: Jobs
    _workers: dict[Reconciler, list[Worker]] = field(default_factory=dict)

    @property
    def engine(self) -> AsyncEngine:
        return self.desk.engine

    def asking(self, **changes: Any) -> CreateJob:  # noqa: ANN401  (fields of the request)
        asked = CreateJob(self.desk.training_sheet_id, "desk-model", BASE_MODEL, training_config={"epochs": 3})
        return replace(asked, **changes)

    async def create(self, **changes: Any) -> str:  # noqa: ANN401
        return await self.jobs.create(ANNA, self.asking(**changes))

    async def queued(self, **changes: Any) -> str:  # noqa: ANN401
        job_id = await self.create(**changes)
        await self.poll()
        assert await self.status(job_id) == "QUEUED"
        return job_id

    async def running(self, **changes: Any) -> str:  # noqa: ANN401
        job_id = await self.queued(**changes)
        self.trainer.say(job_id, RunState.RUNNING)
        await self.poll()
        assert await self.status(job_id) == "RUNNING"
        return job_id

    async def poll(self, reconciler: Reconciler | None = None) -> int:
        """One pass over all jobs, by what the poller runs and as if each were due: the steps, and all observations.

        What one piece of work makes of a job is left to the next pass. Another replica that held the lanes loses them.
        """
        reconciler = reconciler or self.reconciler
        if not (self.registry.broken or self.registry.held):
            await self.mirrored()
        return await self.observe(reconciler)

    async def observe(self, reconciler: Reconciler) -> int:
        """The same pass, whatever is under way at MLflow."""
        steps, observers = self.workers(reconciler)
        await self.execute(ALL_DUE)
        await self.execute(NOBODY_HOLDS)
        for observer in observers:
            observer._renew_at = observer._take_at = observer._list_at = 0.0
            assert await observer.hold() or await observer.hold()  # it learns of a loss, and takes it again
            await observer.refresh()
            observer.schedule.hasten(list(observer.schedule.turns), 0.0)
        steps._sweep_at = 0.0
        worked = await steps.begin() + sum(observer.start() for observer in observers)
        await asyncio.gather(*steps.tasks, *(task for observer in observers for task in observer.tasks))
        return worked

    def workers(self, reconciler: Reconciler) -> tuple[Steps, list[Observer]]:
        """What the poller runs for a replica."""
        if reconciler not in self._workers:
            self._workers[reconciler] = poller.workers(reconciler)
        steps, *observers = self._workers[reconciler]
        assert isinstance(steps, Steps)
        return steps, [observer for observer in observers if isinstance(observer, Observer)]

    async def mirrored(self) -> None:
        """Return once nothing is due for MLflow."""

        async def done() -> bool:
            return bool(await self.desk.value(NOTHING_TO_MIRROR))

        await until(done, DEADLINE)

    async def claim(self, job_id: str, lease: float = 30.0) -> Claim:
        async with self.engine.begin() as connection:
            claim = await claims.claim_one(connection, job_id, lease)
        assert claim is not None
        return claim

    async def execute(self, statement: str, **parameters: object) -> None:
        async with self.engine.begin() as connection:
            await connection.execute(text(statement), parameters)

    async def job(self, job_id: str) -> dict[str, Any]:
        async with self.engine.connect() as connection:
            found = await connection.execute(text(JOB), {"id": job_id})
            return dict(found.mappings().one())

    async def status(self, job_id: str) -> str:
        return str((await self.job(job_id))["status"])

    async def history(self, job_id: str) -> list[str]:
        """The events in short, after checking that they are numbered without a gap and in the order of time."""
        rows = await self.desk.rows(
            "SELECT sequence, created_at, event_type, old_status, new_status, event_data ->> 'code'"
            " FROM training_job_events WHERE job_id = :id ORDER BY sequence",
            id=job_id,
        )
        assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
        assert [row[1] for row in rows] == sorted(row[1] for row in rows)
        assert (await self.job(job_id))["last_sequence"] == len(rows)
        assert await self.desk.rows(CLAIMS_ASTRAY) == []
        return [_short(*row[2:]) for row in rows]

    async def last_event(self, job_id: str) -> dict[str, Any]:
        async with self.engine.connect() as connection:
            found = await connection.execute(
                text("SELECT * FROM training_job_events WHERE job_id = :id ORDER BY sequence DESC LIMIT 1"),
                {"id": job_id},
            )
            return dict(found.mappings().one())

    async def eventually(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Return once the database says so; notifications tell when to look."""
        with self.bus.watch() as watch:
            async with asyncio.timeout(DEADLINE):
                while not await condition():
                    await watch.wait(0.1)

    async def logged(self, condition: Callable[[], bool]) -> None:
        """Return once the registry has been told."""
        async with asyncio.timeout(DEADLINE), self.registry.changed:
            await self.registry.changed.wait_for(condition)

    async def becomes(self, job_id: str, status: JobStatus) -> None:
        async def there() -> bool:
            return await self.status(job_id) == status.value

        await self.eventually(there)

    @asynccontextmanager
    async def another(
        self,
        trainer: ScriptedTrainer | None = None,
        **limits: Any,  # noqa: ANN401
    ) -> AsyncIterator[Reconciler]:
        """Another replica on the same database and registry, with the same trainer or one of its own."""
        runtime = self.reconciler.runtime
        wanted = replace(runtime.limits, **limits)
        mirror = Mirror(self.engine, self.registry, wanted)
        trainers = {TrainerKind.LOCAL: trainer or self.trainer}
        async with (
            MirrorLoop(mirror),
            Reconciler(Runtime(self.engine, trainers, mirror, runtime.exports, wanted)) as reconciler,
        ):
            yield reconciler


def _short(event_type: str, old: str | None, new: str | None, code: str | None) -> str:
    move = f" {old or ''}>{new}" if new else ""
    return f"{event_type}{move}" + (f" {code}" if code else "")


def succeed(workshop: Workshop, job_id: str, **what: Any) -> None:  # noqa: ANN401
    workshop.trainer.say(job_id, RunState.SUCCEEDED, artifact=ARTIFACT, progress_percent=100, **what)


@asynccontextmanager
async def own_engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """An engine that outlives an outage, as the server's does."""
    engine = create_async_engine(driver_url(database_url), pool_size=12, pool_pre_ping=True)
    try:
        yield engine
    finally:
        await engine.dispose()


@asynccontextmanager
async def opened_workshop(database_url: str, folder: Path, **changes: Any) -> AsyncIterator[Workshop]:  # noqa: ANN401
    """`changes` are those of the limits; `first_step`, `pairs` and the `scripted` trainer beside them."""
    first_step, pairs = changes.pop("first_step", 0.0), changes.pop("pairs", PAIRS)
    trainer: ScriptedTrainer = changes.pop("scripted", None) or ScriptedTrainer()
    limits = Limits(**{"trainer": 5.0, "submitting": 5.0, **changes})
    registry = ScriptedRegistry()
    async with opened(database_url) as opened_desk, own_engine(database_url) as engine, Bus(database_url) as bus:
        desk = replace(opened_desk, engine=engine, curation=Curation(engine))
        if pairs:
            await desk.add(*(pair(f"Question {n}?", f"Answer {n}.", status=PairStatus.LABELED) for n in range(pairs)))
        mirror = Mirror(desk.engine, registry, limits)
        runtime = Runtime(desk.engine, {trainer.kind: trainer}, mirror, folder, limits)
        async with MirrorLoop(mirror), Reconciler(runtime) as reconciler:
            jobs = Jobs(
                desk.engine,
                bus,
                reconciler,
                Eligibility(desk.engine),
                default_trainer=trainer.kind,
                first_step_seconds=first_step,
            )
            yield Workshop(database_url, desk, bus, trainer, registry, reconciler, jobs)
