"""What trainers say of runs, many at once, and what is to be written of it."""

from collections.abc import Mapping, Sequence

import structlog

from server.domain.errors import Refused, Unavailable
from server.domain.status import EventType, JobStatus
from server.reconciler.calls import brief, call_with_timeout
from server.reconciler.findings import Findings, clean, find
from server.reconciler.outcomes import Change, Outcome, unseen
from server.reconciler.runtime import Runtime, trainer_name
from server.storage.claims import NOW, Claim
from server.storage.events import Entry
from server.trainers.trainer import Observation, RunHandle, Trainer, TrainerJobId

LOG_TAIL_BYTES = 4096
SAID_ONCE_FOR = frozenset({"code", "word", "value"})
MAX_CODE = 100
MAX_MESSAGE = 4_000

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


async def observe(runtime: Runtime, trainer: Trainer, claims: Sequence[Claim]) -> Mapping[str, Observation]:
    """What the trainer says of runs, by job id, with one call. Raises `Unavailable`."""
    handles = [
        RunHandle(claim.job_id, TrainerJobId(claim.trainer_job_id), claim.last_metric_step, len(claim.trainer_events))
        for claim in claims
        if claim.trainer_job_id is not None
    ]
    try:
        return await call_with_timeout(
            trainer.observe(handles), name=trainer_name(trainer.kind), timeout_seconds=runtime.limits.trainer
        )
    except Refused as error:
        raise Unavailable(f"{trainer_name(trainer.kind)} refused to be observed: {error.message}") from error


async def observe_alone(runtime: Runtime, claim: Claim) -> Outcome:
    """The outcome of one job's observation, outside of its lane. Raises `Unavailable`."""
    observation = (await observe(runtime, runtime.trainer(claim), [claim])).get(claim.job_id)
    if observation is None:
        return unseen(runtime.limits, claim)
    return await outcome(runtime, claim, observation, await runtime.threads.call(find, claim, observation))


def find_all(claims: Sequence[Claim], observations: Mapping[str, Observation]) -> dict[str, Findings]:
    """Findings by job id; those of an observation that makes no sense are left out."""
    found = {}
    for claim in claims:
        if claim.job_id in observations:
            try:
                found[claim.job_id] = find(claim, observations[claim.job_id])
            except Exception:
                log.exception("an observation makes no sense", job=claim.job_id)
    return found


async def outcome(runtime: Runtime, claim: Claim, observation: Observation, findings: Findings) -> Outcome:
    """What is to be written of an observation. A failed run's log is read for it."""
    tail = await _log_tail(runtime, claim) if findings.ends is JobStatus.FAILED else None
    changes = _history(observation, findings)
    if findings.ends is not None:
        changes.append(_end(claim, observation, findings.ends, tail))
    return Outcome(
        changes,
        findings.points,
        findings.latest,
        due_seconds=0.0 if findings.trained else None,
        wakes=bool(findings.points) or findings.ends is not None or claim.mlflow_run_id is None,
    )


def _history(observation: Observation, findings: Findings) -> list[Change]:
    changes = []
    if findings.begins:
        begun = Entry(EventType.STATUS_CHANGE, "The training has begun", {"word": clean(observation.word, MAX_CODE)})
        changes.append(Change(begun, JobStatus.RUNNING))
    changes += [Change(entry) for entry in findings.told]
    columns = {**findings.columns, **({"trained_at": NOW} if findings.trained else {})}
    if findings.update is not None or columns:
        changes.append(Change(findings.update, columns=columns))
    for entry in findings.errors:
        once = {key: str(value) for key, value in (entry.data or {}).items() if key in SAID_ONCE_FOR}
        changes.append(Change(entry, once=once))
    return changes


def _end(claim: Claim, observation: Observation, to: JobStatus, tail: str | None) -> Change:
    if to is JobStatus.FAILED:
        given = observation.message or f"The trainer gave no reason; its word was {observation.word!r}"
        reason = clean(given, MAX_MESSAGE)
        columns = {"error_code": clean(observation.error_code or "TRAINING_FAILED", MAX_CODE), "error_message": reason}
        entry = Entry(EventType.STATUS_CHANGE, f"The training failed: {reason}", {**columns, "log_tail": tail})
        return Change(entry, to, columns)
    if claim.cancel_requested:
        data = {"requested_by": claim.cancel_requested_by, "reason": claim.cancel_reason}
        return Change(Entry(EventType.STATUS_CHANGE, "Cancelled", data), to)
    message = "The trainer cancelled the run; nobody asked for it here"
    said = observation.message and clean(observation.message, MAX_MESSAGE)
    return Change(
        Entry(EventType.STATUS_CHANGE, message, {"word": clean(observation.word, MAX_CODE), "reason": said}), to
    )


async def _log_tail(runtime: Runtime, claim: Claim) -> str | None:
    """The end of a failed run's own log, when its trainer gives it."""
    try:
        call = runtime.trainer(claim).logs(TrainerJobId(claim.trainer_job_id or ""))
        text = await call_with_timeout(call, name=trainer_name(claim.trainer), timeout_seconds=runtime.limits.logs)
    except (Unavailable, Refused) as error:
        log.warning("the log of a failed run could not be read", job=claim.job_id, error=brief(error))
        return None
    tail = text.encode("utf-8", "replace")[-LOG_TAIL_BYTES:].decode(errors="ignore")
    return clean(tail, LOG_TAIL_BYTES)
