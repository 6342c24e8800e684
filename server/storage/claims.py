"""Who works on a job: claims with a lease and a fence. All time is the database's."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Double,
    Interval,
    Text,
    and_,
    any_,
    cast,
    extract,
    func,
    literal,
    not_,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.status import JobStatus, TrainerKind
from server.storage.jobs import STILL_ACTIVE
from server.storage.tables import training_jobs as jobs


class Work(StrEnum):
    """What a job is due for: to be looked at together with others, or a step that takes its own time."""

    OBSERVE = "observe"
    STEP = "step"


@dataclass(frozen=True, slots=True)
class Claim:
    """A job as it was when it was claimed; what follows from it is written only as long as `fence` is the row's.

    `trainer_events` are digests of the trainer's own events that are recorded. Ages are in seconds, by the database's
    clock; None: that has not happened.
    """

    job_id: str
    fence: int
    trainer: TrainerKind
    status: JobStatus
    trainer_job_id: str | None
    mlflow_run_id: str | None
    register_to_uc: bool
    uc_model_name: str | None
    progress_percent: int
    current_epoch: int | None
    total_epochs: int | None
    last_metric_step: int | None
    trainer_events: Sequence[int]
    estimated_end_at: datetime | None
    submit_started: bool
    cancel_age: float | None
    cancel_requested_by: str | None
    cancel_reason: str | None
    trained_age: float | None
    failures: int
    registration_failures: int
    unreachable: bool

    @property
    def cancel_requested(self) -> bool:
        """Whether a person wants it cancelled."""
        return self.cancel_age is not None

    @property
    def work(self) -> Work:
        """What it is due for."""
        submitted = self.status is not JobStatus.PENDING
        return Work.OBSERVE if submitted and not self.cancel_requested and self.trained_age is None else Work.STEP


NOW = func.clock_timestamp()
OBSERVABLE = and_(
    jobs.c.status != JobStatus.PENDING.value, jobs.c.cancel_requested_at.is_(None), jobs.c.trained_at.is_(None)
)
FREE = and_(
    jobs.c.status.in_(STILL_ACTIVE),
    or_(jobs.c.lease_until.is_(None), jobs.c.lease_until <= NOW),
)


def seconds(number: float) -> ColumnElement[timedelta]:
    """A span of time for the database to count with."""
    return literal(timedelta(seconds=number), Interval)


def as_seconds(span: ColumnElement[Any]) -> ColumnElement[float]:
    """A span of time as a number that Python counts with."""
    return cast(extract("epoch", span), Double)


async def claim_due(  # noqa: PLR0913  (what a claim may be narrowed to)
    connection: AsyncConnection,
    *,
    trainers: Collection[TrainerKind],
    work: Work | None,
    limit: int,
    lease: float,
    excluding: Collection[str] = (),
) -> list[Claim]:
    """Claim up to `limit` jobs that are due and that nobody holds, the longest due first.

    Two replicas never claim the same one: each passes over what the other is just claiming.
    """
    due = (
        select(jobs.c.id)
        .where(
            _due_for(trainers, work, excluding),
            jobs.c.next_poll_at <= func.statement_timestamp(),  # ends the scan, as what changes from row to row can't
        )
        .order_by(jobs.c.next_poll_at)
        .limit(limit)
        .with_for_update(skip_locked=True, key_share=True)
        .cte("due")
    )
    return await _claim(connection, jobs.c.id == due.c.id, lease)


async def claim_one(connection: AsyncConnection, job_id: str, lease: float) -> Claim | None:
    """Claim a job whether it is due or not; None while another holds it, and when it has ended."""
    claims = await _claim(connection, and_(jobs.c.id == job_id, FREE), lease)
    return claims[0] if claims else None


async def next_due_in(
    connection: AsyncConnection,
    *,
    trainers: Collection[TrainerKind],
    work: Work | None,
    excluding: Collection[str] = (),
) -> float | None:
    """Seconds until the next job that nobody holds is due (negative: it is already); None when there is none."""
    soonest = select(as_seconds(func.min(jobs.c.next_poll_at) - NOW))
    waiting: float | None = (await connection.execute(soonest.where(_due_for(trainers, work, excluding)))).scalar_one()
    return waiting


def _due_for(trainers: Collection[TrainerKind], work: Work | None, excluding: Collection[str]) -> ColumnElement[bool]:
    conditions = [FREE, jobs.c.trainer == any_(literal([kind.value for kind in trainers], ARRAY(Text)))]
    if work is not None:
        conditions.append(OBSERVABLE if work is Work.OBSERVE else not_(OBSERVABLE))
    if excluding:
        conditions.append(not_(jobs.c.id == any_(literal(list(excluding), ARRAY(Text)))))
    return and_(*conditions)


async def _claim(connection: AsyncConnection, which: ColumnElement[bool], lease: float) -> list[Claim]:
    statement = (
        update(jobs)
        .where(which)
        .values(fence=jobs.c.fence + 1, lease_until=NOW + seconds(lease))
        .returning(
            jobs.c.id.label("job_id"),
            jobs.c.fence,
            jobs.c.trainer,
            jobs.c.status,
            jobs.c.trainer_job_id,
            jobs.c.mlflow_run_id,
            jobs.c.register_to_uc,
            jobs.c.uc_model_name,
            jobs.c.progress_percent,
            jobs.c.current_epoch,
            jobs.c.total_epochs,
            jobs.c.last_metric_step,
            jobs.c.trainer_events,
            jobs.c.estimated_end_at,
            jobs.c.submit_started_at.is_not(None).label("submit_started"),
            as_seconds(NOW - jobs.c.cancel_requested_at).label("cancel_age"),
            jobs.c.cancel_requested_by,
            jobs.c.cancel_reason,
            as_seconds(NOW - jobs.c.trained_at).label("trained_age"),
            jobs.c.failures,
            jobs.c.registration_failures,
            jobs.c.unreachable_since.is_not(None).label("unreachable"),
        )
    )
    return [_as_claim(dict(row)) for row in (await connection.execute(statement)).mappings()]


def _as_claim(row: dict[str, Any]) -> Claim:
    return Claim(**{**row, "trainer": TrainerKind(row["trainer"]), "status": JobStatus(row["status"])})
