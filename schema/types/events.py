"""A job's history."""

from datetime import datetime

import strawberry
from sqlalchemy import ColumnElement

from schema.reads.arguments import Arguments
from schema.reads.cursors import cursor
from schema.reads.declare import Argument, Order, Row, column, expression, read_from
from schema.reads.render import among
from schema.types.enums import EventType, JobStatus
from schema.types.pages import Node
from schema.types.scalars import JSON
from server.storage import tables

EVENT = tables.training_job_events.c
EVENTS = Order("events", ("sequence",))


@read_from(tables.training_job_events)
@strawberry.type(description="One entry of a job's history. It never changes.")
class TrainingJobEvent(Node):
    """An event."""

    id: strawberry.ID = column(EVENT.id, "Opaque and globally unique.")
    sequence: int = column(EVENT.sequence, "1, 2, 3 … within its job, without a gap.")
    job_id: strawberry.ID = column(EVENT.job_id, "The job that it is about.")
    event_type: EventType = column(EVENT.event_type, "What it is about.")
    old_status: JobStatus | None = column(EVENT.old_status, "The status before, when the event moved the job.")
    new_status: JobStatus | None = column(EVENT.new_status, "The status after, when the event moved the job.")
    message: str = column(EVENT.message, "What happened, for people.")
    event_data: JSON | None = column(EVENT.event_data, "What happened, for programs.")
    actor: str | None = column(EVENT.actor, "Who caused it; null for the system itself.")
    created_at: datetime = column(EVENT.created_at, "When it happened.")
    cursor: str = expression(
        lambda event: cursor(EVENTS, event), "Its place in the history: give it to trainingJobEvents(after:) to go on."
    )


TYPES = Argument("types", list[EventType] | None, "Only events of these types.")


def of_types(event: Row, arguments: Arguments) -> list[ColumnElement[bool]]:
    """The condition for the `types` argument."""
    if not arguments.given("types"):
        return []
    return [among(event.c.event_type, arguments.words("types"))]
