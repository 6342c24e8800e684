"""Looking at runs, many at once, and writing what changed."""

import asyncio
from collections.abc import Mapping, Sequence

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.errors import Refused, Unavailable
from server.domain.status import EventType, JobStatus
from server.reconciler.calls import answer, brief
from server.reconciler.findings import Findings, clean, find
from server.reconciler.outcomes import Runtime, guarded, name, overlook, postpone
from server.storage import jobs, leases, metrics
from server.storage.claims import NOW, Claim
from server.storage.events import Entry
from server.trainers.trainer import Observation, RunHandle, Trainer, TrainerJobId

WRITES_AT_ONCE = 4
LOG_TAIL_BYTES = 4096
SAID_ONCE_FOR = frozenset({"code", "word", "value"})
MAX_CODE = 100
MAX_MESSAGE = 4_000

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


async def observe(runtime: Runtime, claims: Sequence[Claim]) -> None:
    """Look at claimed jobs of one trainer with one call; those that are as before cost one statement together."""
    try:
        trainer = runtime.trainer(claims[0])
        seen = await look(runtime, trainer, claims)
    except Unavailable as error:
        for claim in claims:
            await guarded(runtime, claim, postpone(runtime, claim, error))
        return
    interval = trainer.capabilities.observe_interval
    found = await asyncio.to_thread(_find_all, claims, seen)  # there may be 10,000 points
    await _release_quiet(runtime, [claim for claim in claims if _is_quiet(found.get(claim.job_id))], interval)
    slots = asyncio.Semaphore(WRITES_AT_ONCE)

    async def settle(claim: Claim) -> None:
        findings = found.get(claim.job_id)
        async with slots:
            if claim.job_id not in seen:
                work = overlook(runtime, claim)
            elif findings is None:
                work = postpone(runtime, claim, Unavailable(f"{name(claim.trainer)} could not be understood"))
            else:
                work = write(runtime, claim, seen[claim.job_id], findings, interval)
            await guarded(runtime, claim, work)

    await asyncio.gather(*(settle(claim) for claim in claims if not _is_quiet(found.get(claim.job_id))))


def _is_quiet(found: Findings | None) -> bool:
    return found is not None and found.quiet


def _find_all(claims: Sequence[Claim], seen: Mapping[str, Observation]) -> dict[str, Findings]:
    """Findings by job id; those of an observation that makes no sense are left out."""
    found = {}
    for claim in claims:
        if claim.job_id in seen:
            try:
                found[claim.job_id] = find(claim, seen[claim.job_id])
            except Exception:
                log.exception("an observation makes no sense", job=claim.job_id)
    return found


async def look(runtime: Runtime, trainer: Trainer, claims: Sequence[Claim]) -> Mapping[str, Observation]:
    """What the trainer says of runs, by job id. Raises `Unavailable`."""
    handles = [
        RunHandle(claim.job_id, TrainerJobId(claim.trainer_job_id), claim.last_metric_step, len(claim.trainer_events))
        for claim in claims
        if claim.trainer_job_id is not None
    ]
    try:
        return await answer(trainer.observe(handles), of=name(trainer.kind), within=runtime.limits.trainer)
    except Refused as error:
        raise Unavailable(f"{name(trainer.kind)} refused to be observed: {error.message}") from error


async def _release_quiet(runtime: Runtime, claims: Sequence[Claim], interval: float) -> None:
    if claims:
        async with runtime.engine.begin() as connection:
            await leases.release(connection, claims, interval)
    for claim in claims:
        if claim.mlflow_run_id is None:
            runtime.wake(claim)


async def write(runtime: Runtime, claim: Claim, seen: Observation, found: Findings, after: float | None) -> None:
    """Write what an observation brought, all or nothing and only under the claim's fence.

    The job is given back for `after` seconds, unless it has ended; None keeps the claim.
    """
    tail = await _log_tail(runtime, claim) if found.ends is JobStatus.FAILED else None
    async with runtime.engine.begin() as connection:
        current = await leases.hold(connection, claim)
        if current is None:
            return
        await _write_progress(connection, claim, seen, found)
        if found.ends is not None:
            await _end(connection, current, seen, found.ends, tail)
        elif after is not None:
            await leases.release(connection, [claim], 0 if found.trained else after)
    if found.points or found.ends or claim.mlflow_run_id is None:
        runtime.wake(claim)


async def _write_progress(connection: AsyncConnection, claim: Claim, seen: Observation, found: Findings) -> None:
    job_id, fence = claim.job_id, claim.fence
    if found.begins:
        begun = Entry(EventType.STATUS_CHANGE, "The training has begun", {"word": clean(seen.word, MAX_CODE)})
        await jobs.move(connection, job_id, JobStatus.RUNNING, begun, fence=fence)
    if found.points:
        await metrics.insert_points(connection, job_id, found.points)
    if found.latest:
        await metrics.upsert_latest(connection, job_id, found.latest)
    for entry in found.told:
        await jobs.record(connection, job_id, entry, fence=fence)
    columns = {**found.columns, **({"trained_at": NOW} if found.trained else {})}
    if found.update is not None:
        await jobs.record(connection, job_id, found.update, fence=fence, columns=columns)
    elif columns:
        await jobs.change(connection, job_id, fence=fence, columns=columns)
    for entry in found.errors:
        once = {key: str(value) for key, value in (entry.data or {}).items() if key in SAID_ONCE_FOR}
        await jobs.record(connection, job_id, entry, fence=fence, once=once)


async def _end(connection: AsyncConnection, claim: Claim, seen: Observation, to: JobStatus, tail: str | None) -> None:
    columns: dict[str, object] = {}
    if to is JobStatus.FAILED:
        code = clean(seen.error_code or "TRAINING_FAILED", MAX_CODE)
        reason = clean(seen.message or f"The trainer gave no reason; its word was {seen.word!r}", MAX_MESSAGE)
        columns = {"error_code": code, "error_message": reason}
        entry = Entry(EventType.STATUS_CHANGE, f"The training failed: {reason}", {**columns, "log_tail": tail})
    elif claim.cancel_requested:
        data = {"requested_by": claim.cancel_requested_by, "reason": claim.cancel_reason}
        entry = Entry(EventType.STATUS_CHANGE, "Cancelled", data)
    else:
        message = "The trainer cancelled the run; nobody asked for it here"
        data = {"word": clean(seen.word, MAX_CODE), "reason": seen.message and clean(seen.message, MAX_MESSAGE)}
        entry = Entry(EventType.STATUS_CHANGE, message, data)
    await jobs.move(connection, claim.job_id, to, entry, fence=claim.fence, columns=columns)


async def _log_tail(runtime: Runtime, claim: Claim) -> str | None:
    """The end of a failed run's own log, when its trainer gives it."""
    try:
        trainer = runtime.trainer(claim)
        call = trainer.logs(TrainerJobId(claim.trainer_job_id or ""))
        text = await answer(call, of=name(claim.trainer), within=runtime.limits.logs)
    except (Unavailable, Refused) as error:
        log.warning("the log of a failed run could not be read", job=claim.job_id, error=brief(error))
        return None
    tail = text.encode("utf-8", "replace")[-LOG_TAIL_BYTES:].decode(errors="ignore")
    return clean(tail, LOG_TAIL_BYTES)
