"""What the work on a claimed job stands on, and what is done when it can't go on now."""

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from server.domain.errors import Unavailable
from server.domain.status import EventType, JobStatus, TrainerKind
from server.reconciler.calls import brief
from server.reconciler.mlflow_mirror import Mirror
from server.reconciler.timeouts import Limits
from server.storage import jobs, leases
from server.storage.claims import Claim
from server.storage.events import Entry
from server.trainers.trainer import Registering, Trainer

BLIND_LOOKS = 3
EXPORTS_AT_ONCE = 2
# https://www.postgresql.org/docs/current/errcodes-appendix.html: connections, resources, states, operators
NOT_ABOUT_THE_JOB = ("08", "53", "55", "57")

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Runtime:
    """`exports` is the folder in which each job has one for its files.

    `out_of_sight` says until when (by the loop's clock) a run that this process can't see is left to others.
    `exporting` keeps exports, each of which reads for as long as it takes, from using up the database connections.
    """

    engine: AsyncEngine
    trainers: Mapping[TrainerKind, Trainer]
    mirror: Mirror
    exports: Path
    limits: Limits = field(default_factory=Limits)
    out_of_sight: dict[str, float] = field(default_factory=dict)
    exporting: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(EXPORTS_AT_ONCE))

    def trainer(self, claim: Claim) -> Trainer:
        """The trainer of a job. Raises `Unavailable` when this server has none of its kind."""
        trainer = self.trainers.get(claim.trainer)
        if trainer is None:
            raise Unavailable(f"{name(claim.trainer)} is not configured on this server")
        return trainer

    def mirrored(self, claim: Claim) -> bool:
        """Whether the job has an MLflow run of ours: not where its trainer keeps one itself."""
        return not isinstance(self.trainers.get(claim.trainer), Registering)

    def wake(self, claim: Claim) -> None:
        """Bring the job's run up to date soon."""
        if self.mirrored(claim):
            self.mirror.wake()


def name(kind: TrainerKind) -> str:
    """How messages speak of a trainer."""
    return f"the {kind} trainer"


async def end(
    runtime: Runtime, claim: Claim, to: JobStatus, entry: Entry, columns: Mapping[str, object] = jobs.NO_COLUMNS
) -> None:
    """Move a job to a terminal status in a transaction of its own."""
    async with runtime.engine.begin() as connection:
        moved = await jobs.move(connection, claim.job_id, to, entry, fence=claim.fence, columns=columns)
    if moved:
        runtime.wake(claim)


async def postpone(runtime: Runtime, claim: Claim, error: Unavailable, code: str = "TRAINER_UNAVAILABLE") -> None:
    """Try again later: the job stays what it is, and an event says so when the outage begins.

    A job that a person wants cancelled is let go instead once the trainer has had its time to confirm.
    """
    limits = runtime.limits
    left = None if claim.cancel_age is None else limits.cancelling - claim.cancel_age
    if left is not None and left <= 0 and claim.trained_age is None:
        await cancel_unconfirmed(runtime, claim, str(error))
        return
    after = limits.retry_after(claim.failures + 1, error.retry_after)
    if left is not None and left > 0:
        after = min(after, left)
    entry = Entry(EventType.ERROR, f"{sentence(str(error))}; it is tried again", {"code": code})
    async with runtime.engine.begin() as connection:
        await leases.postpone(connection, claim, after, entry)


async def overlook(runtime: Runtime, claim: Claim) -> None:
    """Leave a run that this process can't see to one that can; after a while of that, say so."""
    waited_long = claim.failures + 1 >= BLIND_LOOKS
    cancelled_long = claim.cancel_age is not None and claim.cancel_age >= runtime.limits.cancelling
    if claim.trained_age is None and (waited_long or cancelled_long):
        await postpone(runtime, claim, Unavailable(f"{name(claim.trainer)} can't see the run from this server"))
        return
    runtime.out_of_sight[claim.job_id] = asyncio.get_running_loop().time() + runtime.limits.out_of_sight
    async with runtime.engine.begin() as connection:
        await leases.overlook(connection, [claim])


async def cancel_unconfirmed(runtime: Runtime, claim: Claim, reason: str) -> None:
    """End a job whose trainer did not confirm in time that the run has stopped."""
    message = f"Cancelled, but {name(claim.trainer)} did not confirm it: the run may still be going"
    data = {"warning": "CANCEL_NOT_CONFIRMED", "reason": reason, "trainer_job_id": claim.trainer_job_id}
    await end(runtime, claim, JobStatus.CANCELLED, Entry(EventType.STATUS_CHANGE, message, data))


def sentence(text: str) -> str:
    """A text as the beginning of a message, not too long."""
    return text[:1].upper() + text[1:2_000]


async def guarded(runtime: Runtime, claim: Claim, work: Coroutine[None, None, None]) -> None:
    """Do one job's work; whatever goes wrong is logged, backs that job off, and concerns no other."""
    try:
        await work
    except Exception as error:
        if _database_is_away(error):
            log.warning("the database went away under a job", job=claim.job_id, error=brief(error))
            return  # the lease runs out by itself
        log.exception("the work on a job failed", job=claim.job_id)
        try:
            await postpone(runtime, claim, Unavailable("something went wrong on this server"), "INTERNAL_ERROR")
        except Exception:
            log.exception("a job could not be given back", job=claim.job_id)


def _database_is_away(error: Exception) -> bool:
    if isinstance(error, DBAPIError):
        state = str(getattr(error.orig, "sqlstate", None) or "")
        return error.connection_invalidated or state.startswith(NOT_ABOUT_THE_JOB)
    return isinstance(error, OSError)
