"""The history of jobs: each entry is written by the statement that makes the change it tells of.

Sequences count 1, 2, 3 … within a job. They are taken under the lock of the job's row, so they become visible in order.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import JSON, ColumnElement, Select, Text, Update, exists, func, insert, literal, null, select

from server.domain import channels, ids
from server.domain.status import EventType, JobStatus
from server.storage.tables import training_job_events as events
from server.storage.tables import training_jobs as jobs

JSON_OR_NULL = JSON(none_as_null=True)


@dataclass(frozen=True, slots=True)
class Entry:
    """What an event says; `actor` is the person who caused it, None for the system itself."""

    type: EventType
    message: str
    data: Mapping[str, Any] | None = None
    actor: str | None = None


def telling(
    change: Update,
    entry: Entry,
    old_status: ColumnElement[str] | None = None,
    new_status: JobStatus | None = None,
) -> Select[tuple[int, str]]:
    """One statement: `change` of a single job, the event that tells of it, and the notification.

    It yields the event's sequence, or no row when the conditions of `change` did not hold; then nothing is written.
    """
    before = null() if old_status is None else old_status
    changed = (
        change.values(last_sequence=jobs.c.last_sequence + 1, updated_at=func.clock_timestamp())
        .returning(jobs.c.id, jobs.c.last_sequence, jobs.c.updated_at, before.label("old_status"))
        .cte("changed")
    )
    row: dict[str, ColumnElement[Any]] = {
        "id": literal(ids.new(ids.Kind.EVENT), Text),
        "job_id": changed.c.id,
        "sequence": changed.c.last_sequence,
        "created_at": changed.c.updated_at,
        "event_type": literal(entry.type.value, Text),
        "old_status": changed.c.old_status,
        "new_status": literal(new_status and new_status.value, Text),
        "message": literal(entry.message, Text),
        "event_data": literal(entry.data and dict(entry.data), JSON_OR_NULL),
        "actor": literal(entry.actor, Text),
    }
    told = (
        insert(events)
        .from_select(list(row), select(*row.values()))
        .returning(events.c.job_id, events.c.sequence)
        .cte("told")
    )
    return select(told.c.sequence, func.pg_notify(channels.CHANGED, told.c.job_id))


def untold(job_id: str, event_type: EventType, **data: str) -> ColumnElement[bool]:
    """Whether no event of this type has these texts in its data yet: for what is said once in a job's life."""
    said = (events.c.event_data[key].as_string() == value for key, value in data.items())
    return ~exists().where(events.c.job_id == job_id, events.c.event_type == event_type.value, *said)
