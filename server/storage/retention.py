"""What may be deleted of jobs that ended long ago. Audit events, lineage and frozen pairs never are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import ARRAY, ColumnElement, Delete, Text, and_, any_, delete, func, literal, or_, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.status import EventType, JobStatus
from server.storage.tables import (
    mlflow_mirrors,
    retention_progress,
    training_job_events,
    training_job_metric_points,
    training_jobs,
)

ONE_AT_A_TIME: Final = 4_182_001  # the key of the advisory lock: any number that nobody else takes
STATEMENT_TIMEOUT: Final = "600s"
POINTS_KEPT: Final = 1_000  # of each series
ALWAYS_KEPT: Final = 4  # the first, the last, the lowest, the highest
NOT_IN_MLFLOW: Final = ("REGISTRATION_GIVEN_UP", "MODEL_NOT_LOGGED")
PROGRESS: Final = (EventType.PROGRESS_UPDATE.value, EventType.METRIC_UPDATE.value)

jobs, points, events, progress = training_jobs, training_job_metric_points, training_job_events, retention_progress


class Kind(StrEnum):
    """What is thinned job by job, in the order in which they ended."""

    POINTS = "points"
    PROGRESS_EVENTS = "progress events"


@dataclass(frozen=True, slots=True)
class Ended:
    """A job that ended long ago."""

    job_id: str
    completed_at: datetime


def _before(days: int) -> ColumnElement[bool]:
    return jobs.c.completed_at < func.statement_timestamp() - timedelta(days=days)


def _one_of(job_ids: Sequence[str]) -> ColumnElement[bool]:
    return jobs.c.id == any_(literal(list(job_ids), ARRAY(Text)))


async def without_exports(connection: AsyncConnection, job_ids: Sequence[str], days: int) -> list[str]:
    """Those of these jobs that ended so many days ago: nobody reads what was exported for them."""
    return list(await connection.scalars(select(jobs.c.id).where(_one_of(job_ids), _before(days))))


async def without_runs(connection: AsyncConnection, job_ids: Sequence[str], days: int) -> list[str]:
    """Those of these jobs that ended so many days ago and of which MLflow has all: points, end and model."""
    lacks_something = select(mlflow_mirrors.c.job_id).where(mlflow_mirrors.c.job_id == jobs.c.id).exists()
    lacks_model = (
        select(events.c.id)
        .where(
            events.c.job_id == jobs.c.id,
            events.c.event_type == EventType.ERROR.value,
            events.c.event_data["code"].as_string().in_(NOT_IN_MLFLOW),
        )
        .exists()
    )
    complete = and_(~lacks_something, or_(jobs.c.status != JobStatus.SUCCEEDED.value, ~lacks_model))
    return list(await connection.scalars(select(jobs.c.id).where(_one_of(job_ids), _before(days), complete)))


async def lock(connection: AsyncConnection) -> bool:
    """Be the only one that thins, until the transaction ends; its statements may take their time."""
    await connection.execute(select(func.set_config("statement_timeout", STATEMENT_TIMEOUT, True)))
    locked: bool = (await connection.execute(select(func.pg_try_advisory_xact_lock(ONE_AT_A_TIME)))).scalar_one()
    return locked


async def next_ended(connection: AsyncConnection, kind: Kind, days: int, limit: int) -> list[Ended]:
    """The jobs that ended so many days ago and were not thinned yet, the longest ago first."""
    last = (
        await connection.execute(
            select(progress.c.completed_at, progress.c.job_id).where(progress.c.kind == kind.value)
        )
    ).one_or_none()
    ended = select(jobs.c.id, jobs.c.completed_at).where(_before(days))
    if last is not None:
        ended = ended.where(tuple_(jobs.c.completed_at, jobs.c.id) > tuple_(last.completed_at, last.job_id))
    rows = await connection.execute(ended.order_by(jobs.c.completed_at, jobs.c.id).limit(limit))
    return [Ended(*row) for row in rows]


async def note_thinned(connection: AsyncConnection, kind: Kind, last: Ended) -> None:
    """Go on after this job the next time."""
    values = {"completed_at": last.completed_at, "job_id": last.job_id}
    statement = insert(progress).values(kind=kind.value, **values)
    await connection.execute(statement.on_conflict_do_update(index_elements=["kind"], set_=values))


async def thin(connection: AsyncConnection, kind: Kind, job_ids: Sequence[str]) -> int:
    """Delete what is too much of these jobs; the number of rows."""
    deleted = _spare_points(job_ids) if kind is Kind.POINTS else _progress_of(job_ids)
    return (await connection.execute(deleted)).rowcount


def _progress_of(job_ids: Sequence[str]) -> Delete:
    return delete(events).where(
        events.c.job_id == any_(literal(list(job_ids), ARRAY(Text))), events.c.event_type.in_(PROGRESS)
    )


def _spare_points(job_ids: Sequence[str]) -> Delete:
    """Of a series with too many points: those between evenly spaced ones, without its ends and its extremes."""
    series: dict[str, Any] = {"partition_by": (points.c.job_id, points.c.key)}
    ranked = (
        select(
            points.c.job_id,
            points.c.key,
            points.c.step,
            func.row_number().over(**series, order_by=points.c.step).label("place"),
            func.count().over(**series).label("total"),
            func.row_number().over(**series, order_by=(points.c.value.asc().nulls_last(), points.c.step)).label("low"),
            func.row_number()
            .over(**series, order_by=(points.c.value.desc().nulls_last(), points.c.step))
            .label("high"),
        )
        .where(points.c.job_id == any_(literal(list(job_ids), ARRAY(Text))))
        .subquery("ranked")
    )
    evenly = POINTS_KEPT - ALWAYS_KEPT
    place, total = ranked.c.place, ranked.c.total
    return delete(points).where(
        points.c.job_id == ranked.c.job_id,
        points.c.key == ranked.c.key,
        points.c.step == ranked.c.step,
        total > POINTS_KEPT,
        place.between(2, total - 1),
        ranked.c.low > 1,
        ranked.c.high > 1,
        func.div(place * evenly, total) == func.div((place - 1) * evenly, total),
    )
