"""What a person may do with jobs: create, cancel, and have the trainer asked now."""

import asyncio
from collections.abc import Callable, Mapping

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from server.bus import Bus
from server.domain import examples, ids
from server.domain.caller import Caller
from server.domain.errors import Conflict, InvalidTransition, NoEligiblePairs, NotFound
from server.domain.gates import Verdict
from server.domain.split import Split
from server.domain.status import EventType, JobStatus, TrainerKind
from server.reconciler.reconciler import Reconciler
from server.services import inputs, job_input
from server.services.eligibility import Eligibility, Selection
from server.services.job_input import CreateJob
from server.storage import jobs, pairs
from server.storage.events import Entry
from server.storage.jobs import Standing

__all__ = ["CreateJob", "Jobs"]

MAX_REASON_CHARACTERS = 2_000
FIRST_STEP_SECONDS = 10.0  # that a mutation waits for it
RECHECK_SECONDS = 0.5  # a notification may be lost
ATTEMPTS = 3
CREATES_AT_ONCE = 2

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class Jobs:
    """The writes on jobs. Each answers the job's id, or raises a `Refused` and has changed nothing."""

    def __init__(  # noqa: PLR0913  (what the writes stand on)
        self,
        engine: AsyncEngine,
        bus: Bus,
        reconciler: Reconciler,
        eligibility: Eligibility,
        *,
        default_trainer: TrainerKind,
        first_step_seconds: float = FIRST_STEP_SECONDS,
    ) -> None:
        self._engine = engine
        self._bus = bus
        self._reconciler = reconciler
        self._eligibility = eligibility
        self._default_trainer = default_trainer
        self._first_step_seconds = first_step_seconds
        # one of a large sheet has some 100,000 pairs in memory, and a database connection for seconds
        self._creating = asyncio.Semaphore(CREATES_AT_ONCE)

    async def create(self, caller: Caller, request: CreateJob) -> str:
        """Store a job with its frozen pairs, then wait a little for its submission.

        Raises `InvalidInput`, `NotFound`, `NoEligiblePairs`, and `Conflict` when the caller used the client mutation id
        for something else.
        """
        job_input.check(request)
        kind = request.trainer or self._default_trainer
        job_id = await self._repeated(caller, request, kind) or await self._create(caller, request, kind)
        await self._wait(job_id, lambda standing: standing.status is not JobStatus.PENDING or standing.failures > 0)
        return job_id

    async def cancel(self, caller: Caller, job_id: str, reason: str | None = None) -> str:
        """Note that the job is wanted no more, then wait a little for the trainer to confirm.

        Raises `NotFound`, and `InvalidTransition` when the job has ended otherwise than by being cancelled.
        """
        if reason is not None:
            reason = inputs.text(reason, ("input", "reason"), MAX_REASON_CHARACTERS).strip() or None
        before = await self._standing(job_id, ("input", "jobId"))
        async with self._engine.begin() as connection:
            requested = await jobs.request_cancel(connection, job_id, caller.name, reason)
        standing = await self._standing(job_id, ("input", "jobId"))
        if not requested and standing.terminal and standing.status is not JobStatus.CANCELLED:
            raise InvalidTransition(f"the job has ended: it is {standing.status}", standing.status, ("input", "jobId"))
        if requested:
            log.info("cancelling asked for", job=job_id, by=caller.name)
        await self._wait(job_id, lambda standing: standing.terminal or standing.failures > before.failures)
        return job_id

    async def poll(self, caller: Caller, job_id: str) -> str:
        """Look at the job's trainer now, however long it is until the next look. Raises `NotFound`."""
        standing = await self._standing(job_id, ("jobId",))
        deadline = asyncio.get_running_loop().time() + self._first_step_seconds
        log.debug("look asked for", job=job_id, by=caller.name)
        with self._bus.watch(job_id) as watch:
            while not standing.terminal:
                left = deadline - asyncio.get_running_loop().time()
                if left <= 0:
                    break
                work = await self._reconciler.work_now(job_id)
                if work is not None:
                    await asyncio.wait([work], timeout=left)
                    break
                await watch.wait(min(left, RECHECK_SECONDS))
                standing = await self._standing(job_id, ("jobId",))
        return job_id

    async def _repeated(self, caller: Caller, request: CreateJob, kind: TrainerKind) -> str | None:
        if request.client_mutation_id is None:
            return None
        async with self._engine.connect() as connection:
            earlier = await jobs.find_repeat(connection, caller.name, request.client_mutation_id)
        if earlier is None:
            return None
        job_id, first_digest = earlier
        if not job_input.is_repeat(first_digest, request, kind):
            raise Conflict(
                f"clientMutationId: {request.client_mutation_id!r} was used before with other input",
                ("input", "clientMutationId"),
            )
        return job_id

    async def _create(self, caller: Caller, request: CreateJob, kind: TrainerKind) -> str:
        trainer = job_input.check_trainer(request, self._reconciler.trainers, kind)
        await self._check_sheet(request.training_sheet_id)
        values = {
            "trainer": kind.value,
            "total_epochs": trainer.total_epochs(request.base_model, request.training_config),
            "created_by": caller.name,
            "input_digest": job_input.digest(request, kind) if request.client_mutation_id is not None else None,
            **_columns(request),
        }
        for _ in range(ATTEMPTS):
            async with self._creating:
                job_id = await self._select_and_store(request, values)
            if job_id is not None:
                return job_id
            if repeated := await self._repeated(caller, request, kind):
                return repeated
        raise Conflict("the pairs of the training sheet keep changing; try again", ("input", "trainingSheetId"))

    async def _select_and_store(self, request: CreateJob, values: Mapping[str, object]) -> str | None:
        selection = await self._eligibility.select(
            request.training_sheet_id, request.train_val_split, request.split_seed
        )
        sides = _sides(selection)
        async with self._engine.connect() as connection:
            job_id = await _store(connection, {"id": ids.new(ids.Kind.JOB), **values, **_counted(selection)}, sides)
        if job_id is not None:
            log.info("job created", job=job_id, by=values["created_by"], pairs=selection.report.eligible)
        return job_id

    async def _check_sheet(self, training_sheet_id: str) -> None:
        if examples.unstorable_text(training_sheet_id) is None:
            async with self._engine.connect() as connection:
                if await pairs.sheet_exists(connection, training_sheet_id):
                    return
        raise NotFound(f"no training sheet has the id {training_sheet_id[:60]!a}", ("input", "trainingSheetId"))

    async def _standing(self, job_id: str, path: tuple[str, ...]) -> Standing:
        if examples.unstorable_text(job_id) is None:
            async with self._engine.connect() as connection:
                standing = await jobs.standing(connection, job_id)
            if standing is not None:
                return standing
        raise NotFound(f"no job has the id {job_id[:60]!a}", path)

    async def _wait(self, job_id: str, done: Callable[[Standing], bool]) -> None:
        deadline = asyncio.get_running_loop().time() + self._first_step_seconds
        with self._bus.watch(job_id) as watch:
            while not done(await self._standing(job_id, ("jobId",))):
                left = deadline - asyncio.get_running_loop().time()
                if left <= 0:
                    return
                await watch.wait(min(left, RECHECK_SECONDS))


def _sides(selection: Selection) -> Split:
    """The sides to freeze. Raises `NoEligiblePairs`, or `InvalidInput` when there are too few."""
    report, path = selection.report, ("input", "trainingSheetId")
    if report.eligible == 0:
        message = "the training sheet has no pairs"
        if report.total:
            refused = ", ".join(f"{count} {verdict}" for verdict, count in report.excluded.items())
            message = f"none of the training sheet's {report.total} pairs passes the gates: {refused}"
        raise NoEligiblePairs(message, report.excluded, path)
    if selection.sides is None:
        raise inputs.refused(path, selection.too_few or "can't be split")
    return selection.sides


def _columns(request: CreateJob) -> dict[str, object]:
    return {
        "training_sheet_id": request.training_sheet_id,
        "model_name": request.model_name,
        "base_model": request.base_model,
        "training_config": request.training_config,
        "train_val_split": request.train_val_split,
        "split_seed": request.split_seed,
        "register_to_uc": request.register_to_uc,
        "uc_catalog": request.uc_catalog,
        "uc_schema": request.uc_schema,
        "uc_model_name": request.uc_model_name,
        "client_mutation_id": request.client_mutation_id,
    }


def _counted(selection: Selection) -> dict[str, object]:
    report = selection.report
    return {
        "total_pairs": report.eligible,
        "train_pairs": report.train,
        "val_pairs": report.validation,
        **{
            f"excluded_{verdict.lower()}": report.excluded.get(verdict, 0)
            for verdict in Verdict
            if verdict is not Verdict.ELIGIBLE
        },
    }


async def _store(connection: AsyncConnection, values: Mapping[str, object], sides: Split) -> str | None:
    """Write all of a job in one transaction.

    None, and nothing, when its client mutation id is taken or the gates refuse one of its pairs by now.
    """
    job_id = str(values["id"])
    data = {"train_pairs": len(sides.train), "val_pairs": len(sides.validation)}
    message = f"Created with {len(sides.train)} pairs to train on and {len(sides.validation)} to validate with"
    created = Entry(EventType.CREATED, message, data, str(values["created_by"]))
    async with connection.begin() as transaction:
        if not await jobs.insert_job(connection, values, created):
            return None
        await pairs.freeze_lineage(connection, job_id, str(values["training_sheet_id"]), str(values["model_name"]))
        if not await pairs.freeze(connection, job_id, sides.train, sides.validation):
            await transaction.rollback()
            return None
        await jobs.announce(connection, job_id)
    return job_id
