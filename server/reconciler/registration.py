"""Trained jobs: complete the MLflow run, register the model, and only then end the job."""

from server.domain.errors import Refused, Unavailable
from server.domain.status import EventType, JobStatus
from server.reconciler.calls import answer
from server.reconciler.mlflow_mirror import REGISTRY
from server.reconciler.observation import look
from server.reconciler.outcomes import Runtime, name, overlook
from server.storage import jobs, leases
from server.storage.claims import Claim
from server.storage.events import Entry
from server.trainers.trainer import Observation, Registering, TrainerJobId

MAX_REASON = 2_000


async def finish(runtime: Runtime, claim: Claim) -> None:
    """End a trained job as SUCCEEDED, with its model's version when it is to be registered.

    Registering is tried again until its time is over or a person wants the job to end; a model that is not to be
    registered is logged once, or not. Both are said in an event, and the job has succeeded all the same.
    """
    try:
        seen = await _look(runtime, claim)
        if seen is None:
            await overlook(runtime, claim)
            return
        version = await _publish(runtime, claim, seen)
    except (Unavailable, Refused) as error:
        if claim.register_to_uc and not _out_of_time(runtime, claim):
            await _retry(runtime, claim, error)
        else:
            await _succeed(runtime, claim, None, error)
    else:
        await _succeed(runtime, claim, version, None)


def _out_of_time(runtime: Runtime, claim: Claim) -> bool:
    return claim.cancel_requested or (claim.trained_age or 0.0) >= runtime.limits.registering


async def _look(runtime: Runtime, claim: Claim) -> Observation | None:
    """Where the model lies, which the trainer knows. None while it may still be seen from another server."""
    seen = (await look(runtime, runtime.trainer(claim), [claim])).get(claim.job_id)
    if seen is None and _out_of_time(runtime, claim):
        raise Unavailable("the trained model can't be seen from this server")
    return seen


async def _publish(runtime: Runtime, claim: Claim, seen: Observation) -> str | None:
    """Complete the run; the version of the model when it is registered."""
    trainer = runtime.trainer(claim)
    if isinstance(trainer, Registering):
        return await _registered(runtime, trainer, claim)
    mirror, within = runtime.mirror, runtime.limits.registry
    run_id = await mirror.caught_up(claim.job_id)
    if seen.artifact is not None:
        await answer(mirror.registry.log_model(run_id, seen.artifact), of=REGISTRY, within=within)
    version = None
    if claim.register_to_uc and claim.uc_model_name is not None:
        call = mirror.registry.register(run_id, claim.uc_model_name, claim.job_id)
        version = await answer(call, of=REGISTRY, within=within)
    await mirror.finish(run_id, JobStatus.SUCCEEDED)
    return version


async def _registered(runtime: Runtime, trainer: Registering, claim: Claim) -> str | None:
    """The version that the trainer itself has registered."""
    if not claim.register_to_uc or claim.uc_model_name is None or claim.trainer_job_id is None:
        return None
    call = trainer.registered(TrainerJobId(claim.trainer_job_id), claim.uc_model_name)
    return await answer(call, of=name(claim.trainer), within=runtime.limits.trainer)


async def _retry(runtime: Runtime, claim: Claim, error: Unavailable | Refused) -> None:
    left = runtime.limits.registering - (claim.trained_age or 0.0)
    asked = error.retry_after if isinstance(error, Unavailable) else None
    after = min(runtime.limits.retry_after(claim.registration_failures + 1, asked), left)
    message = f"The model could not be registered yet, and it is tried again: {str(error)[:MAX_REASON]}"
    entry = Entry(EventType.ERROR, message, {"code": "REGISTRATION_DELAYED", "reason": str(error)[:MAX_REASON]})
    async with runtime.engine.begin() as connection:
        await leases.retry_registration(connection, claim, after, entry)


async def _succeed(runtime: Runtime, claim: Claim, version: str | None, error: Unavailable | Refused | None) -> None:
    """The version or what kept it away, and last the terminal move, in one transaction."""
    async with runtime.engine.begin() as connection:
        if await leases.hold(connection, claim) is None:
            return
        if error is not None:
            await jobs.record(connection, claim.job_id, _given_up(claim, error), fence=claim.fence)
        elif version is not None:
            data = {"model_name": claim.uc_model_name, "model_version": version}
            entry = Entry(EventType.MODEL_REGISTERED, f"Registered as {claim.uc_model_name}, version {version}", data)
            await jobs.record(connection, claim.job_id, entry, fence=claim.fence, columns={"uc_model_version": version})
            await jobs.name_model_version(connection, claim.job_id, version)
        done = Entry(EventType.STATUS_CHANGE, "The training succeeded")
        await jobs.move(connection, claim.job_id, JobStatus.SUCCEEDED, done, fence=claim.fence)
    runtime.wake(claim)


def _given_up(claim: Claim, error: Unavailable | Refused) -> Entry:
    reason = str(error)[:MAX_REASON]
    if claim.register_to_uc:
        code, what = "REGISTRATION_GIVEN_UP", "Registering the model was given up"
    else:
        code, what = "MODEL_NOT_LOGGED", "The model could not be logged"
    return Entry(EventType.ERROR, f"{what}: {reason}", {"code": code, "reason": reason})
