"""What was measured: the latest values, and series thinned to what a chart can show."""

from datetime import datetime

import strawberry
from sqlalchemy import ARRAY, ColumnElement, FromClause, Text, func, or_, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from schema.reads.arguments import Arguments, BadArgument
from schema.reads.declare import Argument, Row, Scope, column, expression
from schema.reads.render import number, timestamp
from schema.types.scalars import JSON, BigInt
from server.storage import tables

FEWEST_POINTS, MOST_POINTS = 2, 10_000
DEFAULT_POINTS = 500
USUAL_KEYS = 8
POINTS_AS_ONE = 20  # numbers in a list are shorter than values with names
ENDS_ALONE = 3  # with so few points there is no room for extremes
LATEST = tables.training_job_metrics.c
POINTS = tables.training_job_metric_points


@strawberry.type(description="The latest values of a job; final once the job is terminal.")
class TrainingJobMetrics:
    """Metrics."""

    train_loss: float | None = column(LATEST.train_loss, "The loss on the train side.")
    val_loss: float | None = column(LATEST.val_loss, "The loss on the validation side.")
    train_accuracy: float | None = column(LATEST.train_accuracy, "The accuracy on the train side, 0 to 1.")
    val_accuracy: float | None = column(LATEST.val_accuracy, "The accuracy on the validation side, 0 to 1.")
    learning_rate: float | None = column(LATEST.learning_rate, "The learning rate at the last step.")
    epochs_completed: int | None = column(LATEST.epochs_completed, "How many epochs are done.")
    training_duration_seconds: float | None = column(
        LATEST.training_duration_seconds, "How long the training itself has taken, by the trainer's clock."
    )
    tokens_processed: BigInt | None = column(LATEST.tokens_processed, "Tokens seen so far, as the trainer counts them.")
    cost_dbu: float | None = column(
        LATEST.cost_dbu,
        "The cost in Databricks units (DBU); null when the trainer does not report it, which none of today's does: a"
        " local training costs none, and neither FMAPI nor AI Runtime tells what a run has cost. Databricks bills it"
        " hours later, in the table system.billing.usage. `customMetrics.gpu_seconds` is what an AI Runtime run used.",
    )
    custom_metrics: JSON | None = column(LATEST.custom_metrics, "Whatever else the trainer measures.")
    recorded_at: datetime = column(LATEST.recorded_at, "When the values were recorded.")


@strawberry.type(description="One metric by step, as parallel lists.")
class MetricSeries:
    """A series."""

    key: str = expression(lambda series: series.c.key, "What was measured, such as val_loss.")
    steps: list[BigInt] = expression(lambda series: series.c.steps, "The steps; for the local trainer, epochs.")
    values: list[float | None] = expression(
        lambda series: series.c["values"], "The value at each step; null where it was not a finite number."
    )
    timestamps: list[datetime] = expression(lambda series: series.c.timestamps, "When each value was measured.")


SERIES_ARGUMENTS = (
    Argument("keys", list[str] | None, "Only these series; all when it is left out."),
    Argument(
        "max_points",
        int | None,
        f"How many points a series may have, {FEWEST_POINTS} to {MOST_POINTS}. A longer one is thinned: its ends and"
        " the extremes of each stretch are kept.",
        DEFAULT_POINTS,
    ),
)


def series(scope: Scope) -> FromClause:
    """A row for each key of a job, with its points as arrays.

    Thinned in SQL: the points are cut into stretches of equal length, of each the least and the greatest finite value
    are kept, and so are both ends. Unselected arrays cost nothing: Postgres drops them from the plan.
    """
    most = scope.arguments.shape(_points, "maxPoints")
    points = scope.rows(POINTS)
    job = scope.parent
    conditions = [points.c.job_id == job.c.id] if job is not None else []
    if scope.arguments.given("keys"):
        conditions.append(points.c.key == func.any(scope.arguments.bind(ARRAY(Text), "keys")))
    place = func.row_number().over(partition_by=points.c.key, order_by=points.c.step).label("place")
    total = func.count().over(partition_by=points.c.key).label("total")
    numbered = select(points, place, total).where(*conditions)
    if job is not None:
        numbered = numbered.correlate(job)
    every = numbered.subquery(scope.name())
    kept = _thinned(every, most, scope.name())
    by_step = kept.c.step.asc()
    return (
        select(
            kept.c.key,
            func.array_agg(aggregate_order_by(kept.c.step, by_step)).label("steps"),
            func.array_agg(aggregate_order_by(kept.c.value, by_step)).label("values"),
            func.array_agg(aggregate_order_by(timestamp(kept.c.recorded_at), by_step)).label("timestamps"),
        )
        .group_by(kept.c.key)
        .subquery(scope.name())
    )


def usual_series(arguments: Arguments) -> int:
    """How many series a job has, each counted as often as its points are as many as usual objects have values."""
    keys = arguments.shape(lambda given: USUAL_KEYS if given is None else min(len(set(given)), USUAL_KEYS), "keys")
    points: int = arguments.shape(_points, "maxPoints")
    return int(keys) * max(points // POINTS_AS_ONE, 1)


def by_key(row: Row) -> list[ColumnElement[str]]:
    """Series in alphabetical order."""
    return [row.c.key]


def _thinned(every: FromClause, most: int, name: str) -> FromClause:
    stretches = max((most - 2) // 2, 1)
    stretch = ((every.c.place - number(1)) * number(stretches)).op("/")(every.c.total)
    partition = [every.c.key, stretch]
    low = func.row_number().over(partition_by=partition, order_by=[every.c.value.asc().nulls_last(), every.c.step])
    high = func.row_number().over(partition_by=partition, order_by=[every.c.value.desc().nulls_last(), every.c.step])
    ranked = select(every, low.label("low"), high.label("high")).subquery(f"{name}k")
    keep = or_(
        ranked.c.total <= number(most),
        ranked.c.place == number(1),
        ranked.c.place == ranked.c.total,
        *([ranked.c.low == number(1), ranked.c.high == number(1)] if most > ENDS_ALONE else []),
    )
    return select(ranked).where(keep).subquery(f"{name}t")


def _points(given: int | None) -> int:
    most = DEFAULT_POINTS if given is None else given
    if most < FEWEST_POINTS:
        raise BadArgument(f"maxPoints must be at least {FEWEST_POINTS}")
    return min(most, MOST_POINTS)
