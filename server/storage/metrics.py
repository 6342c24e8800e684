"""Metrics of jobs: every point once, and the latest values beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from sqlalchemy import ARRAY, BigInteger, DateTime, Double, Text, column, func, literal, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.metrics import MetricPoint
from server.storage.tables import training_job_metric_points as points
from server.storage.tables import training_job_metrics as metrics

WRITTEN_AT_ONCE = 5_000
LATEST = frozenset({"train_loss", "val_loss", "train_accuracy", "val_accuracy", "learning_rate"})


@dataclass(frozen=True, slots=True)
class Point:
    """One value of one series; None where what was measured is not finite. `at` is None for the time of writing."""

    key: str
    step: int
    value: float | None
    at: datetime | None


async def insert_points(connection: AsyncConnection, job_id: str, new: Sequence[Point]) -> None:
    """Write points; a key and step that is there already stays as it is.

    In portions: the driver encodes the parameters of a statement in one go, and nothing else runs meanwhile.
    """
    for first in range(0, len(new), WRITTEN_AT_ONCE):
        await _insert(connection, job_id, new[first : first + WRITTEN_AT_ONCE])


async def _insert(connection: AsyncConnection, job_id: str, new: Sequence[Point]) -> None:
    given = (
        func.unnest(
            literal([point.key for point in new], ARRAY(Text)),
            literal([point.step for point in new], ARRAY(BigInteger)),
            literal([point.value for point in new], ARRAY(Double)),
            literal([point.at for point in new], ARRAY(DateTime(timezone=True))),
        )
        .table_valued(
            column("key", Text),
            column("step", BigInteger),
            column("value", Double),
            column("recorded_at", DateTime(timezone=True)),
            name="given",
        )
        .render_derived()
    )
    recorded_at = func.coalesce(given.c.recorded_at, func.clock_timestamp())
    rows = select(literal(job_id, Text), given.c.key, given.c.step, given.c.value, recorded_at)
    statement = insert(points).from_select(["job_id", "key", "step", "value", "recorded_at"], rows)
    await connection.execute(statement.on_conflict_do_nothing())


async def upsert_latest(connection: AsyncConnection, job_id: str, values: Mapping[str, object]) -> None:
    """Write the latest values that are given and leave the others."""
    new = {**values, "recorded_at": func.clock_timestamp()}
    statement = insert(metrics).values(job_id=job_id, **new)
    await connection.execute(statement.on_conflict_do_update(index_elements=["job_id"], set_=new))


async def steps_after(
    connection: AsyncConnection, job_id: str, step: int | None, limit: int = 1_000
) -> list[MetricPoint]:
    """Up to `limit` steps after `step` (None: from the first) that have a finite value, in order."""
    wanted = select(points.c.step).where(points.c.job_id == job_id, points.c.value.is_not(None))
    if step is not None:
        wanted = wanted.where(points.c.step > step)
    page = wanted.distinct().order_by(points.c.step).limit(limit).subquery()
    statement = (
        select(points.c.step, points.c.key, points.c.value, points.c.recorded_at)
        .join(page, page.c.step == points.c.step)
        .where(points.c.job_id == job_id, points.c.value.is_not(None))
        .order_by(points.c.step, points.c.key)
    )
    rows = (await connection.execute(statement)).all()
    steps = ((number, list(members)) for number, members in groupby(rows, key=lambda row: row.step))
    return [
        MetricPoint(number, members[0].recorded_at, {member.key: member.value for member in members})
        for number, members in steps
    ]
