"""PENDING jobs: export the frozen pairs, hand the run to its trainer, and record what the trainer called it."""

from server.domain.errors import Refused, Unavailable
from server.domain.status import EventType, JobStatus
from server.export import jsonl
from server.reconciler.calls import answer
from server.reconciler.findings import clean
from server.reconciler.outcomes import Runtime, end, name, postpone, sentence
from server.storage import jobs, leases, mirrors
from server.storage.claims import Claim
from server.storage.events import Entry
from server.trainers.trainer import Trainer, TrainerJobId, TrainingRequest

MAX_REASON = 4_000
EXPORT_FAILED = "EXPORT_FAILED"


async def submit(runtime: Runtime, claim: Claim) -> None:
    """Bring a PENDING job into its trainer's queue, or end it when it is not wanted or will never be taken.

    A submission that may have happened is looked for before another one, unless the trainer promises that a second
    one finds the first.
    """
    try:
        await _submit(runtime, runtime.trainer(claim), claim)
    except jsonl.ExportFailed as error:
        if error.permanent:
            await _never(runtime, claim, EXPORT_FAILED, str(error))
        else:
            await postpone(runtime, claim, Unavailable(str(error)), EXPORT_FAILED)
    except Unavailable as error:
        if claim.cancel_requested and not claim.submit_started:
            await _cancelled_before(runtime, claim)
        else:
            await postpone(runtime, claim, error)
    except Refused as error:
        await _never(runtime, claim, error.code, error.message)


async def _submit(runtime: Runtime, trainer: Trainer, claim: Claim) -> None:
    run = await _lost(runtime, trainer, claim)
    if run is None and claim.cancel_requested:
        await _cancelled_before(runtime, claim)
        return
    if run is None:
        run = await _start(runtime, trainer, claim)
    if run is not None:
        await _record(runtime, claim, run)


async def _lost(runtime: Runtime, trainer: Trainer, claim: Claim) -> TrainerJobId | None:
    """The run of a submission whose answer was lost."""
    if not claim.submit_started or (trainer.capabilities.idempotent_submit and not claim.cancel_requested):
        return None
    call = trainer.find(claim.job_id)
    return await answer(call, of=name(trainer.kind), within=runtime.limits.trainer)


async def _start(runtime: Runtime, trainer: Trainer, claim: Claim) -> TrainerJobId | None:
    """Export and submit; None when the job was given back instead."""
    async with runtime.exporting:
        dataset = await jsonl.export(runtime.engine, claim.job_id, runtime.exports / claim.job_id)
    async with runtime.engine.begin() as connection:
        asked = await jobs.submission(connection, claim.job_id)
        if not await jobs.begin_submission(connection, claim.job_id, fence=claim.fence, dataset_digest=dataset.digest):
            await leases.release(connection, [claim], 0)  # a person wants it cancelled by now
            return None
    request = TrainingRequest(
        job_id=claim.job_id,
        model_name=asked.model_name,
        base_model=asked.base_model,
        config=asked.config,
        seed=asked.seed,
        train_file=dataset.train_file,
        validation_file=dataset.validation_file,
        dataset_digest=dataset.digest,
        register_as=asked.register_as,
    )
    return await answer(trainer.submit(request), of=name(trainer.kind), within=runtime.limits.submitting)


async def _record(runtime: Runtime, claim: Claim, run: TrainerJobId) -> None:
    async with runtime.engine.begin() as connection:
        entry = Entry(
            EventType.SUBMITTED,
            sentence(f"{name(claim.trainer)} accepted the job"),
            {"trainer_job_id": run},
        )
        moved = await jobs.move(
            connection, claim.job_id, JobStatus.QUEUED, entry, fence=claim.fence, columns={"trainer_job_id": run}
        )
        if moved and runtime.mirrored(claim):
            await mirrors.add(connection, claim.job_id)
        await leases.release(connection, [claim], 0)
    if moved:
        runtime.wake(claim)


async def _cancelled_before(runtime: Runtime, claim: Claim) -> None:
    data = {"requested_by": claim.cancel_requested_by, "reason": claim.cancel_reason}
    entry = Entry(EventType.STATUS_CHANGE, "Cancelled before it was submitted", data)
    await end(runtime, claim, JobStatus.CANCELLED, entry)


async def _never(runtime: Runtime, claim: Claim, code: str, reason: str) -> None:
    """End a job that can't be submitted, now or later."""
    columns = {"error_code": code, "error_message": clean(reason, MAX_REASON)}
    entry = Entry(EventType.STATUS_CHANGE, f"The job can't be submitted: {columns['error_message']}", columns)
    await end(runtime, claim, JobStatus.FAILED, entry, columns)
