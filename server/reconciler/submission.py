"""PENDING jobs: export the frozen pairs, hand the run to its trainer, and record what the trainer called it."""

from server.domain.errors import Refused, Unavailable
from server.domain.status import EventType, JobStatus
from server.export import jsonl
from server.reconciler.calls import call_with_timeout
from server.reconciler.findings import clean
from server.reconciler.outcomes import Change, Outcome, ended, postponed, sentence
from server.reconciler.runtime import Runtime, trainer_name
from server.storage import holding, jobs
from server.storage.claims import Claim
from server.storage.events import Entry
from server.trainers.trainer import Trainer, TrainerJobId, TrainingRequest

MAX_REASON_CHARACTERS = 4_000
EXPORT_FAILED = "EXPORT_FAILED"


async def submit(runtime: Runtime, claim: Claim) -> Outcome:
    """Bring a PENDING job into its trainer's queue, or end it when it is not wanted or will never be taken.

    A submission that may have happened is looked for before another one, unless the trainer promises that a second
    one finds the first.
    """
    try:
        return await _submit(runtime, runtime.trainer(claim), claim)
    except jsonl.ExportFailed as error:
        if error.permanent:
            return _never(EXPORT_FAILED, str(error))
        return postponed(runtime.limits, claim, Unavailable(str(error)), EXPORT_FAILED)
    except Unavailable as error:
        if claim.cancel_requested and not claim.submit_started:
            return _cancelled_before(claim)
        return postponed(runtime.limits, claim, error)
    except Refused as error:
        return _never(error.code, error.message)


async def _submit(runtime: Runtime, trainer: Trainer, claim: Claim) -> Outcome:
    run = await _lost(runtime, trainer, claim)
    if run is None and claim.cancel_requested:
        return _cancelled_before(claim)
    if run is None:
        run = await _start(runtime, trainer, claim)
    if run is None:
        return Outcome(due_seconds=0.0)
    entry = Entry(
        EventType.SUBMITTED, sentence(f"{trainer_name(claim.trainer)} accepted the job"), {"trainer_job_id": run}
    )
    accepted = Change(entry, JobStatus.QUEUED, {"trainer_job_id": run})
    return Outcome([accepted], lane=await runtime.lane(claim.trainer), wakes=True)


async def _lost(runtime: Runtime, trainer: Trainer, claim: Claim) -> TrainerJobId | None:
    """The run of a submission whose answer was lost."""
    if not claim.submit_started or (trainer.capabilities.idempotent_submit and not claim.cancel_requested):
        return None
    return await call_with_timeout(
        trainer.find(claim.job_id), name=trainer_name(trainer.kind), timeout_seconds=runtime.limits.trainer
    )


async def _start(runtime: Runtime, trainer: Trainer, claim: Claim) -> TrainerJobId | None:
    """Export and submit; None when the job is no longer this server's to submit, or is wanted no more."""
    async with runtime.exporting:
        dataset = await jsonl.export(runtime.engine, runtime.files, claim.job_id, runtime.exports / claim.job_id)
    async with runtime.engine.begin() as connection:
        if await holding.hold(connection, claim) is None:
            return None
        job = await jobs.submission(connection, claim.job_id)
        if not await jobs.begin_submission(connection, claim.job_id, dataset.digest):
            return None
    request = TrainingRequest(
        job_id=claim.job_id,
        model_name=job.model_name,
        base_model=job.base_model,
        config=job.config,
        seed=job.seed,
        train_file=dataset.train_file,
        validation_file=dataset.validation_file,
        dataset_digest=dataset.digest,
        register_as=job.register_as,
    )
    return await call_with_timeout(
        trainer.submit(request), name=trainer_name(trainer.kind), timeout_seconds=runtime.limits.submitting
    )


def _cancelled_before(claim: Claim) -> Outcome:
    data = {"requested_by": claim.cancel_requested_by, "reason": claim.cancel_reason}
    return ended(JobStatus.CANCELLED, Entry(EventType.STATUS_CHANGE, "Cancelled before it was submitted", data))


def _never(code: str, reason: str) -> Outcome:
    """End a job that can't be submitted, now or later."""
    columns = {"error_code": code, "error_message": clean(reason, MAX_REASON_CHARACTERS)}
    entry = Entry(EventType.STATUS_CHANGE, f"The job can't be submitted: {columns['error_message']}", columns)
    return ended(JobStatus.FAILED, entry, columns)
