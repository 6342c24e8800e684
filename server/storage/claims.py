"""Who works on a job: claims with a lease and a fence. All time is the database's."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Double,
    Integer,
    Interval,
    Select,
    Text,
    and_,
    any_,
    case,
    cast,
    column,
    exists,
    extract,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.status import JobStatus, TrainerKind
from server.storage.jobs import STILL_ACTIVE
from server.storage.lanes import LaneLease, serves
from server.storage.tables import training_job_claims as claims
from server.storage.tables import training_jobs as jobs


class Work(StrEnum):
    """What is to be done for a job: to see what its trainer says of it, or a step that takes its own time."""

    OBSERVE = "observe"
    STEP = "step"


@dataclass(frozen=True, slots=True)
class Claim:
    """A job as it was when it was claimed; what follows from it is written only as long as `fence` is the claim's.

    `trainer_events` are digests of the trainer's own events that are recorded. Ages are in seconds, by the database's
    clock; None: that has not happened. `settled_age` counts from the creation, the submission or the beginning of the
    training, whichever came last. `under` is the lane in which the job is observed, without a lease of its own; None:
    it is claimed by itself.
    """

    job_id: str
    lane: str
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
    estimated_end_in: float | None
    submit_started: bool
    settled_age: float
    cancel_age: float | None
    cancel_requested_by: str | None
    cancel_reason: str | None
    trained_age: float | None
    failures: int
    unreachable: bool
    under: LaneLease | None = None

    @property
    def cancel_requested(self) -> bool:
        """Whether a person wants it cancelled."""
        return self.cancel_age is not None

    @property
    def work(self) -> Work:
        """What is to be done."""
        submitted = self.status is not JobStatus.PENDING
        return Work.OBSERVE if submitted and not self.cancel_requested and self.trained_age is None else Work.STEP


NOW = func.clock_timestamp()
FREE = or_(claims.c.lease_until.is_(None), claims.c.lease_until <= NOW)
# ends the scan of an index, as what changes from row to row can't
DUE = claims.c.due_at <= func.statement_timestamp()
OBSERVABLE = and_(
    jobs.c.status != JobStatus.PENDING.value, jobs.c.cancel_requested_at.is_(None), jobs.c.trained_at.is_(None)
)


def seconds(number: float) -> ColumnElement[timedelta]:
    """A span of time for the database to count with."""
    return literal(timedelta(seconds=number), Interval)


def as_seconds(span: ColumnElement[Any]) -> ColumnElement[float]:
    """A span of time as a number that Python counts with."""
    return cast(extract("epoch", span), Double)


def _named(names: Collection[str]) -> ColumnElement[Any]:
    return any_(literal(list(names), ARRAY(Text)))


async def claim_due(connection: AsyncConnection, places: Mapping[str, int], lease_seconds: float) -> list[Claim]:
    """Claim steps that are due and that nobody holds: up to so many in each lane, the longest due first.

    Two replicas never claim the same one: each passes over what the other is just claiming.
    """
    free = (
        func.unnest(literal(list(places), ARRAY(Text)), literal(list(places.values()), ARRAY(Integer)))
        .table_valued(column("lane", Text), column("places", Integer), name="free")
        .render_derived()
    )
    due = (
        select(claims.c.job_id)
        .where(claims.c.lane == free.c.lane, DUE, FREE)
        .order_by(claims.c.due_at)
        .limit(free.c.places)
        .with_for_update(skip_locked=True, key_share=True)
        .lateral("due")
    )
    return await _claim(connection, select(due.c.job_id).select_from(free.join(due, true())), lease_seconds)


async def claim_unserved(
    connection: AsyncConnection, lanes: Collection[str], *, after_seconds: float, limit: int, lease_seconds: float
) -> list[Claim]:
    """Claim jobs outside of `lanes` whose own lane nobody has held for so many seconds.

    Those whose step is due, and those that are to be observed and not yet said to be out of reach.
    """
    unsaid = and_(claims.c.due_at.is_(None), jobs.c.unreachable_since.is_(None))
    chosen = (
        select(claims.c.job_id)
        .join(jobs, jobs.c.id == claims.c.job_id)
        .where(
            not_(claims.c.lane == _named(lanes)),
            or_(DUE, unsaid),
            FREE,
            ~exists().where(serves(claims.c.lane, NOW - seconds(after_seconds))),
        )
        .limit(limit)
        .with_for_update(of=claims, skip_locked=True, key_share=True)
    )
    return await _claim(connection, chosen, lease_seconds)


async def claim_one(connection: AsyncConnection, job_id: str, lease_seconds: float) -> Claim | None:
    """Claim a job whether it is due or not; None while another holds it, and when it has ended."""
    chosen = select(claims.c.job_id).where(claims.c.job_id == job_id, FREE).with_for_update(key_share=True)
    found = await _claim(connection, chosen, lease_seconds)
    return found[0] if found else None


async def _claim(connection: AsyncConnection, which: Select[Any], lease_seconds: float) -> list[Claim]:
    chosen = which.cte("chosen")
    taken = (
        update(claims)
        .where(claims.c.job_id == chosen.c.job_id)
        .values(fence=claims.c.fence + 1, lease_until=NOW + seconds(lease_seconds))
        .returning(claims.c.job_id)
    )
    job_ids = list((await connection.execute(taken)).scalars())
    # read by a statement of its own, which sees the jobs as they are now that they are claimed
    return await _read(connection, claims.c.job_id == _named(job_ids)) if job_ids else []


async def observed_ids(connection: AsyncConnection, lanes: Collection[str]) -> list[str]:
    """The jobs in these lanes that only wait for their trainer's word."""
    listed = select(func.array_agg(claims.c.job_id)).where(claims.c.lane == _named(lanes), claims.c.due_at.is_(None))
    return list((await connection.execute(listed)).scalar_one() or [])


async def read_observed(connection: AsyncConnection, job_ids: Collection[str], under: LaneLease) -> list[Claim]:
    """Those of these jobs that are to be observed now, without a lease. Nothing is written."""
    found = await _read(connection, and_(claims.c.job_id == _named(job_ids), claims.c.due_at.is_(None), FREE))
    return [replace(claim, under=under) for claim in found if claim.work is Work.OBSERVE]


async def next_due_in(connection: AsyncConnection, lanes: Collection[str]) -> float | None:
    """Seconds until the next step that nobody holds is due (negative: it is already); None when there is none."""
    lane = func.unnest(literal(list(lanes), ARRAY(Text))).table_valued(column("name", Text)).render_derived("own")
    first = (
        select(claims.c.due_at)
        .where(claims.c.lane == lane.c.name, claims.c.due_at.is_not(None), FREE)
        .order_by(claims.c.due_at)
        .limit(literal_column("1"))
        .lateral("first")
    )
    soonest = select(as_seconds(func.min(first.c.due_at) - NOW)).select_from(lane.join(first, true()))
    waiting: float | None = (await connection.execute(soonest)).scalar_one()
    return waiting


async def _read(connection: AsyncConnection, which: ColumnElement[bool]) -> list[Claim]:
    statement = (
        select(
            claims.c.job_id,
            claims.c.lane,
            claims.c.fence,
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
            as_seconds(jobs.c.estimated_end_at - NOW).label("estimated_end_in"),
            jobs.c.submit_started_at.is_not(None).label("submit_started"),
            as_seconds(NOW - func.greatest(jobs.c.created_at, jobs.c.submit_started_at, jobs.c.started_at)).label(
                "settled_age"
            ),
            as_seconds(NOW - jobs.c.cancel_requested_at).label("cancel_age"),
            jobs.c.cancel_requested_by,
            jobs.c.cancel_reason,
            as_seconds(NOW - jobs.c.trained_at).label("trained_age"),
            claims.c.failures,
            jobs.c.unreachable_since.is_not(None).label("unreachable"),
        )
        .join(jobs, jobs.c.id == claims.c.job_id)
        .where(which, jobs.c.status.in_(STILL_ACTIVE))
    )
    rows = (await connection.execute(statement)).mappings()
    return [
        Claim(**{**row, "trainer": TrainerKind(row["trainer"]), "status": JobStatus(row["status"])}) for row in rows
    ]


async def mend(connection: AsyncConnection) -> int:
    """Make the claims what the jobs ask for: a row for each that has not ended, due when it wants a step.

    Nothing of ours leaves them otherwise. The number of jobs that were helped.
    """
    wants = case((~OBSERVABLE, NOW))
    missing = select(jobs.c.id, jobs.c.trainer, wants).where(
        jobs.c.status.in_(STILL_ACTIVE), ~exists().where(claims.c.job_id == jobs.c.id)
    )
    added = insert(claims).from_select(["job_id", "lane", "due_at"], missing).on_conflict_do_nothing()
    overdue = (
        update(claims)
        .where(claims.c.job_id == jobs.c.id, claims.c.due_at.is_(None), ~OBSERVABLE, FREE)
        .values(due_at=NOW)
    )
    helped = 0
    for statement in (added, overdue):
        helped += (await connection.execute(statement)).rowcount
    return helped
