"""Trained jobs: complete the MLflow run, register the model, and only then end the job."""

from server.domain.errors import Refused, Unavailable
from server.domain.status import EventType, JobStatus
from server.reconciler import observation
from server.reconciler.calls import call_with_timeout
from server.reconciler.mlflow_mirror import REGISTRY
from server.reconciler.outcomes import Change, Outcome, unseen
from server.reconciler.runtime import Runtime, trainer_name
from server.storage.claims import Claim
from server.storage.events import Entry
from server.trainers.trainer import Observation, Registering, TrainerJobId

MAX_REASON_CHARACTERS = 2_000
DELAYED = "REGISTRATION_DELAYED"


async def finish(runtime: Runtime, claim: Claim) -> Outcome:
    """End a trained job as SUCCEEDED, with its model's version when it is to be registered.

    Registering is tried again until its time is over or a person wants the job to end; a model that is not to be
    registered is logged once, or not. Both are said in an event, and the job has succeeded all the same.
    """
    try:
        trainer = runtime.trainer(claim)
        if isinstance(trainer, Registering):
            version = await _registered(runtime, trainer, claim)
        else:
            observed = await _observed(runtime, claim)
            if observed is None:
                return unseen(runtime.limits, claim)
            version = await _publish(runtime, claim, observed)
    except (Unavailable, Refused) as error:
        if claim.register_to_uc and not _out_of_time(runtime, claim):
            return _delayed(runtime, claim, error)
        return _succeeded(claim, None, error)
    return _succeeded(claim, version, None)


def _out_of_time(runtime: Runtime, claim: Claim) -> bool:
    return claim.cancel_requested or (claim.trained_age or 0.0) >= runtime.limits.registering


async def _observed(runtime: Runtime, claim: Claim) -> Observation | None:
    """Where the model lies, which the trainer knows. None while it may still be seen."""
    observed = (await observation.observe(runtime, runtime.trainer(claim), [claim])).get(claim.job_id)
    if observed is None and _out_of_time(runtime, claim):
        raise Unavailable("the trained model can't be seen from this server")
    return observed


async def _publish(runtime: Runtime, claim: Claim, observed: Observation) -> str | None:
    """Complete the run; the version of the model when it is registered."""
    mirror, seconds = runtime.mirror, runtime.limits.registry
    run_id = await mirror.caught_up(claim.job_id)
    if observed.artifact is not None:
        logging = mirror.registry.log_model(run_id, observed.artifact)
        await call_with_timeout(logging, name=REGISTRY, timeout_seconds=seconds)
    version = None
    if claim.register_to_uc and claim.uc_model_name is not None:
        registering = mirror.registry.register(run_id, claim.uc_model_name, claim.job_id)
        version = await call_with_timeout(registering, name=REGISTRY, timeout_seconds=seconds)
    await mirror.finish(run_id, JobStatus.SUCCEEDED)
    return version


async def _registered(runtime: Runtime, trainer: Registering, claim: Claim) -> str | None:
    """The version that the trainer itself has registered."""
    if not claim.register_to_uc or claim.uc_model_name is None or claim.trainer_job_id is None:
        return None
    call = trainer.registered(TrainerJobId(claim.trainer_job_id), claim.uc_model_name)
    return await call_with_timeout(call, name=trainer_name(claim.trainer), timeout_seconds=runtime.limits.trainer)


def _delayed(runtime: Runtime, claim: Claim, error: Unavailable | Refused) -> Outcome:
    left = runtime.limits.registering - (claim.trained_age or 0.0)
    retry_after = error.retry_after if isinstance(error, Unavailable) else None
    reason = str(error)[:MAX_REASON_CHARACTERS]
    message = f"The model could not be registered yet, and it is tried again: {reason}"
    entry = Entry(EventType.ERROR, message, {"code": DELAYED, "reason": reason})
    return Outcome(
        [Change(entry, once={"code": DELAYED})],
        due_seconds=min(runtime.limits.retry_after(claim.failures + 1, retry_after), left),
        failed=True,
    )


def _succeeded(claim: Claim, version: str | None, error: Unavailable | Refused | None) -> Outcome:
    """The version or what kept it away, and last the terminal move."""
    changes = []
    if error is not None:
        changes.append(Change(_given_up(claim, error)))
    elif version is not None:
        data = {"model_name": claim.uc_model_name, "model_version": version}
        entry = Entry(EventType.MODEL_REGISTERED, f"Registered as {claim.uc_model_name}, version {version}", data)
        changes.append(Change(entry, columns={"uc_model_version": version}))
    changes.append(Change(Entry(EventType.STATUS_CHANGE, "The training succeeded"), JobStatus.SUCCEEDED))
    return Outcome(changes, model_version=version, wakes=True)


def _given_up(claim: Claim, error: Unavailable | Refused) -> Entry:
    reason = str(error)[:MAX_REASON_CHARACTERS]
    if claim.register_to_uc:
        code, summary = "REGISTRATION_GIVEN_UP", "Registering the model was given up"
    else:
        code, summary = "MODEL_NOT_LOGGED", "The model could not be logged"
    return Entry(EventType.ERROR, f"{summary}: {reason}", {"code": code, "reason": reason})
