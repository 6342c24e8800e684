"""What came of the work on a job, and the one function that writes it."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.errors import Unavailable
from server.domain.status import TERMINAL, EventType, JobStatus
from server.reconciler.calls import brief
from server.reconciler.runtime import Runtime, trainer_name
from server.reconciler.timeouts import Limits
from server.storage import holding, jobs, metrics, mirrors
from server.storage.claims import Claim, Work
from server.storage.events import Entry
from server.storage.jobs import NO_COLUMNS
from server.storage.metrics import Point

BLIND_TIMES = 3  # that a run may not be seen before it is said
MAX_SENTENCE = 2_000
GIVING_BACK_SECONDS = 2.0  # at most, for a job that could not be worked on
AGAIN_SECONDS = 1.0  # until a job is due whose outcome the database did not take
# https://www.postgresql.org/docs/current/errcodes-appendix.html: connections, transactions (time-outs), rollbacks
# (deadlocks), resources, states (lock time-outs), operators (statement time-outs, shutdowns)
NOT_ABOUT_THE_JOB = ("08", "25", "40", "53", "55", "57")

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Change:
    """One step in a job's history: an event, the move that it carries, the columns that it tells of.

    Without `entry`, columns that no event tells of. With `once`, not when an event of this type with these texts in its
    data is there already.
    """

    entry: Entry | None = None
    to: JobStatus | None = None
    columns: Mapping[str, object] = field(default_factory=dict)
    once: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is to be written of one piece of work, all or nothing.

    `points` are metrics, `latest` those beside them. `due_seconds`: when the job's next step is due; None: it is only
    observed. `failed`: one failure more; else the trainer was reached. `lane`: where its run can be seen from now on.
    `model_version` goes into the job's lineage. `wakes`: the job's MLflow run has something to take up.
    """

    changes: Sequence[Change] = ()
    points: Sequence[Point] = ()
    latest: Mapping[str, object] = field(default_factory=dict)
    due_seconds: float | None = None
    failed: bool = False
    lane: str | None = None
    model_version: str | None = None
    wakes: bool = False

    @property
    def ends(self) -> bool:
        """Whether the job ends."""
        return any(change.to in TERMINAL for change in self.changes)

    @property
    def queues(self) -> bool:
        """Whether the job's trainer has taken it."""
        return any(change.to is JobStatus.QUEUED for change in self.changes)

    def followed_by(self, later: "Outcome") -> "Outcome":
        """Both as one: what `later` says of the next step holds."""
        return replace(
            later,
            changes=[*self.changes, *later.changes],
            points=self.points,
            latest=self.latest,
            wakes=self.wakes or later.wakes,
        )


def ended(to: JobStatus, entry: Entry, columns: Mapping[str, object] = NO_COLUMNS) -> Outcome:
    """The job moves to a terminal status."""
    return Outcome([Change(entry, to, columns)], wakes=True)


def postponed(limits: Limits, claim: Claim, error: Unavailable, code: str = "TRAINER_UNAVAILABLE") -> Outcome:
    """Try again later: the job stays what it is, and an event says so when the outage begins.

    A job that a person wants cancelled is let go instead once the trainer has had its time to confirm.
    """
    left = None if claim.cancel_age is None else limits.cancelling - claim.cancel_age
    if left is not None and left <= 0 and claim.trained_age is None:
        return cancelled_unconfirmed(claim, str(error))
    after = limits.retry_after(claim.failures + 1, error.retry_after)
    if left is not None and left > 0:
        after = min(after, left)
    entry = Entry(EventType.ERROR, f"{sentence(str(error))}; it is tried again", {"code": code})
    return Outcome(
        [] if claim.unreachable else [Change(entry, columns={"unreachable_since": jobs.NOW})],
        due_seconds=None if claim.work is Work.OBSERVE else after,
        failed=True,
    )


def unseen(limits: Limits, claim: Claim) -> Outcome:
    """The trainer does not show the run; after a while of that, the job is out of reach."""
    seen_no_more = claim.failures + 1 >= BLIND_TIMES or claim.work is Work.OBSERVE
    cancelled_long_ago = claim.cancel_age is not None and claim.cancel_age >= limits.cancelling
    if claim.trained_age is None and (seen_no_more or cancelled_long_ago):
        return postponed(
            limits, claim, Unavailable(f"{trainer_name(claim.trainer)} can't see the run from this server")
        )
    return Outcome(due_seconds=limits.retry_after(claim.failures + 1), failed=True)


def cancelled_unconfirmed(claim: Claim, reason: str) -> Outcome:
    """End a job whose trainer did not confirm in time that the run has stopped."""
    message = f"Cancelled, but {trainer_name(claim.trainer)} did not confirm it: the run may still be going"
    data = {"warning": "CANCEL_NOT_CONFIRMED", "reason": reason, "trainer_job_id": claim.trainer_job_id}
    return ended(JobStatus.CANCELLED, Entry(EventType.STATUS_CHANGE, message, data))


def sentence(text: str) -> str:
    """A text as the beginning of a message, not too long."""
    return text[:1].upper() + text[1:MAX_SENTENCE]


async def write(runtime: Runtime, claim: Claim, outcome: Outcome) -> bool:
    """Write an outcome and give the job back, in one transaction; False, and nothing, when the claim is lost.

    An observation is dropped when a person has asked to cancel meanwhile: the step that cancels observes by itself.
    """
    async with runtime.engine.begin() as connection:
        held = await holding.hold(connection, claim)
        if held is None:
            return False
        overtaken = held.cancel_requested and not claim.cancel_requested
        if overtaken and claim.work is Work.OBSERVE:
            outcome = Outcome()
        await _write_history(connection, claim, outcome)
        if outcome.queues and runtime.mirrored(claim):
            await mirrors.add(connection, claim.job_id)
        if not outcome.ends:
            due_seconds = 0.0 if overtaken else outcome.due_seconds
            await holding.give_back(
                connection, claim, due_seconds=due_seconds, failed=outcome.failed, lane=outcome.lane
            )
    if outcome.wakes:
        runtime.wake(claim)
    return True


async def _write_history(connection: AsyncConnection, claim: Claim, outcome: Outcome) -> None:
    job_id = claim.job_id
    if claim.unreachable and not outcome.failed and not outcome.ends:
        await jobs.change(connection, job_id, {"unreachable_since": None})
    if outcome.points:
        await metrics.insert_points(connection, job_id, outcome.points)
    if outcome.latest:
        await metrics.upsert_latest(connection, job_id, outcome.latest)
    for change in outcome.changes:
        await _write_change(connection, job_id, change)
    if outcome.model_version is not None:
        await jobs.name_model_version(connection, job_id, outcome.model_version)


async def _write_change(connection: AsyncConnection, job_id: str, change: Change) -> None:
    if change.entry is None:
        await jobs.change(connection, job_id, change.columns)
    elif change.to is None:
        await jobs.record(connection, job_id, change.entry, once=change.once, columns=change.columns)
    else:
        await jobs.move(connection, job_id, change.to, change.entry, change.columns)


async def settle(runtime: Runtime, claim: Claim, work: Awaitable[Outcome]) -> bool:
    """Do one job's work and write what came of it; whatever goes wrong concerns no other job.

    False when it went wrong: that is logged, and the job is to be worked on again.
    """
    try:
        await write(runtime, claim, await work)
    except Exception as error:
        if database_is_away(error):
            log.warning("the database went away under a job", job=claim.job_id, error=brief(error))
            if claim.under is None:
                await let_go(runtime, claim, AGAIN_SECONDS)
            return False
        log.exception("the work on a job failed", job=claim.job_id)
        with suppress(Exception):
            unknown = Unavailable("something went wrong on this server")
            await write(runtime, claim, postponed(runtime.limits, claim, unknown, "INTERNAL_ERROR"))
        return False
    return True


async def let_go(runtime: Runtime, claim: Claim, due_seconds: float = 0.0) -> None:
    """Give back a job that was not worked to an end, when that is possible now; else its lease runs out."""
    with suppress(Exception):
        async with asyncio.timeout(GIVING_BACK_SECONDS), runtime.engine.begin() as connection:
            await holding.abandon(connection, claim, due_seconds)


def database_is_away(error: Exception) -> bool:
    """Whether an error is a state of the database or of the way to it, and says nothing of the job."""
    if isinstance(error, DBAPIError):
        state = str(getattr(error.orig, "sqlstate", None) or "")
        return error.connection_invalidated or state.startswith(NOT_ABOUT_THE_JOB)
    return isinstance(error, OSError | PoolTimeoutError)
