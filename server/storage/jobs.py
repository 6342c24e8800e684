"""Jobs as they stand. `move` is the only place where a status changes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy import (
    Text,
    case,
    delete,
    func,
    insert,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as insert_or_not
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain import channels, ids
from server.domain.status import ACTIVE, CANCELLABLE, MOVES, TERMINAL, EventType, JobStatus
from server.storage.events import Entry, telling, untold
from server.storage.tables import training_job_claims as claims
from server.storage.tables import training_job_events as events
from server.storage.tables import training_job_lineage as lineage
from server.storage.tables import training_jobs as jobs

# literals, because a partial index serves no parameter
STILL_ACTIVE = [literal_column(f"'{status}'", Text) for status in sorted(ACTIVE)]
NOW = func.clock_timestamp()
NO_COLUMNS: Mapping[str, object] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Standing:
    """What one who waits for a job has to know of it."""

    status: JobStatus
    failures: int
    unreachable: bool
    cancel_requested: bool
    last_sequence: int
    updated_at: datetime

    @property
    def terminal(self) -> bool:
        """Whether the job has ended."""
        return self.status in TERMINAL


@dataclass(frozen=True, slots=True)
class Submission:
    """What a trainer has to be told beside the exported files."""

    model_name: str
    base_model: str
    config: Mapping[str, Any]
    seed: int
    register_as: str | None


async def insert_job(connection: AsyncConnection, values: Mapping[str, object], entry: Entry) -> bool:
    """Write a PENDING job with its first event; not when its creator has used this client mutation id before.

    Waits for another transaction that is just writing the same client mutation id.
    """
    statement = (
        insert_or_not(jobs)
        .values(**values, status=JobStatus.PENDING.value, last_sequence=1)
        .on_conflict_do_nothing(index_elements=["created_by", "client_mutation_id"])
    )
    if (await connection.execute(statement)).rowcount == 0:
        return False
    claim = {"job_id": values["id"], "lane": values["trainer"], "due_at": func.now()}
    await connection.execute(insert(claims).values(claim))
    first = {
        "id": ids.new(ids.Kind.EVENT),
        "job_id": values["id"],
        "sequence": 1,
        "event_type": entry.type.value,
        "new_status": JobStatus.PENDING.value,
        "message": entry.message,
        "event_data": entry.data,
        "actor": entry.actor,
    }
    await connection.execute(insert(events).values(first))
    return True


async def announce(connection: AsyncConnection, job_id: str) -> None:
    """Tell who listens that the job changed and wants the poller now, once the transaction is committed."""
    await connection.execute(select(func.pg_notify(channels.CHANGED, job_id), func.pg_notify(channels.DUE, "")))


async def find_repeat(connection: AsyncConnection, created_by: str, client_mutation_id: str) -> tuple[str, str] | None:
    """The job that this creator made under a client mutation id: its id and the digest of its input."""
    statement = select(jobs.c.id, jobs.c.input_digest).where(
        jobs.c.created_by == created_by, jobs.c.client_mutation_id == client_mutation_id
    )
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else (row.id, row.input_digest)


async def standing(connection: AsyncConnection, job_id: str) -> Standing | None:
    """How a job stands now."""
    statement = (
        select(
            jobs.c.status,
            func.coalesce(claims.c.failures, 0),
            jobs.c.unreachable_since.is_not(None),
            jobs.c.cancel_requested_at.is_not(None),
            jobs.c.last_sequence,
            jobs.c.updated_at,
        )
        .join(claims, claims.c.job_id == jobs.c.id, isouter=True)
        .where(jobs.c.id == job_id)
    )
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else Standing(JobStatus(row[0]), *row[1:])


async def submission(connection: AsyncConnection, job_id: str) -> Submission:
    """What to submit."""
    register_as = case((jobs.c.register_to_uc, jobs.c.uc_model_name))
    statement = select(jobs.c.model_name, jobs.c.base_model, jobs.c.training_config, jobs.c.split_seed, register_as)
    return Submission(*(await connection.execute(statement.where(jobs.c.id == job_id))).one())


async def move(
    connection: AsyncConnection,
    job_id: str,
    to: JobStatus,
    entry: Entry,
    columns: Mapping[str, object] = NO_COLUMNS,
) -> bool:
    """Move a job and write the event that carries the move; False when its status may not go there.

    `columns` are written along. A job that ends is claimed by nobody and unreachable no more.
    """
    before = (
        select(jobs.c.id, jobs.c.status)
        .where(jobs.c.id == job_id, jobs.c.status.in_([status.value for status in _leading_to(to)]))
        .with_for_update(key_share=True)
        .cte("before")
    )
    change = update(jobs).where(jobs.c.id == before.c.id).values(**columns, **_of_status(to), status=to.value)
    moved = (await connection.execute(telling(change, entry, before.c.status, to))).first() is not None
    if moved and to in TERMINAL:
        await connection.execute(delete(claims).where(claims.c.job_id == job_id))
    return moved


def _leading_to(to: JobStatus) -> list[JobStatus]:
    return [status for status, following in MOVES.items() if to in following]


def _of_status(to: JobStatus) -> dict[str, object]:
    """The columns that follow from a status."""
    values: dict[str, object] = {}
    if to is JobStatus.RUNNING:
        values["started_at"] = func.clock_timestamp()
    if to in TERMINAL:
        values |= {
            "completed_at": func.clock_timestamp(),
            "unreachable_since": None,
        }
    if to is JobStatus.SUCCEEDED:
        values["progress_percent"] = 100
    return values


async def record(
    connection: AsyncConnection,
    job_id: str,
    entry: Entry,
    *,
    once: Mapping[str, str] | None = None,
    columns: Mapping[str, object] = NO_COLUMNS,
) -> bool:
    """Write an event that is no move, with `columns` along; False when the job has ended.

    With `once`, also when an event of this type with these texts in its data exists already. That is judged under the
    lock of the job's row, by a statement that begins when the lock is there: others may have said the same meanwhile.
    """
    change = update(jobs).where(jobs.c.id == job_id, jobs.c.status.in_(STILL_ACTIVE))
    if once is not None:
        await connection.execute(select(jobs.c.id).where(jobs.c.id == job_id).with_for_update(key_share=True))
        change = change.where(untold(job_id, entry.type, **once))
    if columns:
        change = change.values(**columns)
    return (await connection.execute(telling(change, entry))).first() is not None


async def change(connection: AsyncConnection, job_id: str, columns: Mapping[str, object]) -> bool:
    """Write columns that no event tells of, and tell who listens; False when the job has ended."""
    changed = (
        update(jobs)
        .where(jobs.c.id == job_id, jobs.c.status.in_(STILL_ACTIVE))
        .values(**columns, updated_at=func.clock_timestamp())
        .returning(jobs.c.id)
        .cte("changed")
    )
    return (await connection.execute(select(func.pg_notify(channels.CHANGED, changed.c.id)))).first() is not None


async def begin_submission(connection: AsyncConnection, job_id: str, dataset_digest: str) -> bool:
    """Note that from now on a run may exist, and tell who listens that the data is known.

    Not when a person has asked to cancel.
    """
    begun = (
        update(jobs)
        .where(
            jobs.c.id == job_id,
            jobs.c.status == JobStatus.PENDING.value,
            jobs.c.cancel_requested_at.is_(None),
        )
        .values(
            submit_started_at=func.coalesce(jobs.c.submit_started_at, func.clock_timestamp()),
            dataset_digest=dataset_digest,
            updated_at=func.clock_timestamp(),
        )
        .returning(jobs.c.id)
        .cte("begun")
    )
    return (await connection.execute(select(func.pg_notify(channels.CHANGED, begun.c.id)))).first() is not None


async def request_cancel(connection: AsyncConnection, job_id: str, by: str, reason: str | None) -> bool:
    """Note that a person wants the job cancelled, with its event; only the first time, and only while it can be."""
    change = (
        update(jobs)
        .where(
            jobs.c.id == job_id,
            jobs.c.status.in_([status.value for status in CANCELLABLE]),
            jobs.c.cancel_requested_at.is_(None),
        )
        .values(
            cancel_requested_at=func.clock_timestamp(),
            cancel_requested_by=by,
            cancel_reason=reason,
        )
    )
    entry = Entry(
        EventType.CANCEL_REQUESTED,
        "Cancelling was asked for" if reason is None else f"Cancelling was asked for: {reason}",
        {"reason": reason},
        by,
    )
    requested = (await connection.execute(telling(change, entry))).first() is not None
    if requested:
        due = update(claims).where(claims.c.job_id == job_id).values(due_at=func.clock_timestamp())
        await connection.execute(due)
        await connection.execute(select(func.pg_notify(channels.DUE, "")))
    return requested


async def name_model_version(connection: AsyncConnection, job_id: str, version: str) -> None:
    """Note in a job's lineage which version its model became."""
    await connection.execute(update(lineage).where(lineage.c.job_id == job_id).values(model_version=version))
