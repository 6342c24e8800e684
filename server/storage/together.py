"""Writing what was observed of many jobs with a few statements, in one transaction that holds their rows."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    DateTime,
    Double,
    Integer,
    TableValuedAlias,
    Text,
    and_,
    case,
    column,
    func,
    insert,
    literal,
    not_,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as insert_or_not
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain import channels, ids
from server.domain.status import MOVES, JobStatus
from server.storage.claims import NOW, Claim
from server.storage.events import Entry
from server.storage.jobs import STILL_ACTIVE
from server.storage.lanes import LaneLease
from server.storage.metrics import Point
from server.storage.tables import training_job_claims as claims
from server.storage.tables import training_job_events as events
from server.storage.tables import training_job_metric_points as points
from server.storage.tables import training_job_metrics as metrics
from server.storage.tables import training_jobs as jobs

COLUMNS: Final = (
    column("progress_percent", Integer),
    column("current_epoch", Integer),
    column("total_epochs", Integer),
    column("last_metric_step", BigInteger),
    column("estimated_end_at", DateTime(timezone=True)),
    column("mlflow_run_id", Text),
    column("trainer_events", ARRAY(BigInteger)),
)
LATEST: Final = (
    column("train_loss", Double),
    column("val_loss", Double),
    column("train_accuracy", Double),
    column("val_accuracy", Double),
    column("learning_rate", Double),
    column("epochs_completed", Integer),
    column("training_duration_seconds", Double),
    column("tokens_processed", BigInteger),
    column("custom_metrics", JSONB),
)
NAMES: Final = frozenset(each.name for each in COLUMNS)
LEADING_TO_RUNNING: Final = [status.value for status, following in MOVES.items() if JobStatus.RUNNING in following]


@dataclass(frozen=True, slots=True)
class Observed:
    """What is to be written of one job, which goes on.

    `entries` are its events, in order; `columns` are some of `NAMES`, none of them None. `begins`: the first entry
    tells that the job is RUNNING from now on. `trained`: its run is done, and its next step is due.
    """

    claim: Claim
    entries: Sequence[Entry]
    columns: Mapping[str, object]
    points: Sequence[Point]
    latest: Mapping[str, object]
    begins: bool
    trained: bool


async def hold(connection: AsyncConnection, held: Collection[Claim], lease: LaneLease) -> frozenset[str]:
    """Lock jobs that are observed until the transaction ends; the ids of those whose claims still stand.

    Left out are also those that another transaction holds, and those that a person has asked to cancel.
    """
    given = _records(
        [{"job_id": claim.job_id, "fence": claim.fence} for claim in held],
        column("job_id", Text),
        column("fence", BigInteger),
    )
    statement = (
        select(jobs.c.id)
        .select_from(
            jobs.join(given, given.c.job_id == jobs.c.id).join(
                claims, and_(claims.c.job_id == jobs.c.id, claims.c.fence == given.c.fence)
            )
        )
        .where(jobs.c.status.in_(STILL_ACTIVE), jobs.c.cancel_requested_at.is_(None), lease.holds())
        .order_by(jobs.c.id)
        .with_for_update(of=[jobs, claims], key_share=True, skip_locked=True)
    )
    return frozenset((await connection.execute(statement)).scalars())


async def write(connection: AsyncConnection, observed: Sequence[Observed]) -> None:
    """Write what was observed of jobs that are held in this transaction, and give them back."""
    await _insert_points(connection, observed)
    await _upsert_latest(connection, observed)
    await _change_jobs(connection, observed)
    await _give_back(connection, observed)


async def _insert_points(connection: AsyncConnection, observed: Sequence[Observed]) -> None:
    rows = [
        {"job_id": one.claim.job_id, "key": point.key, "step": point.step, "value": point.value, "at": _text(point.at)}
        for one in observed
        for point in one.points
    ]
    if not rows:
        return
    given = _records(
        rows,
        column("job_id", Text),
        column("key", Text),
        column("step", BigInteger),
        column("value", Double),
        column("at", DateTime(timezone=True)),
    )
    chosen = select(given.c.job_id, given.c.key, given.c.step, given.c.value, func.coalesce(given.c.at, NOW))
    statement = insert_or_not(points).from_select(["job_id", "key", "step", "value", "recorded_at"], chosen)
    await connection.execute(statement.on_conflict_do_nothing())


async def _upsert_latest(connection: AsyncConnection, observed: Sequence[Observed]) -> None:
    rows = [{"job_id": one.claim.job_id, **one.latest} for one in observed if one.latest]
    if not rows:
        return
    given = _records(rows, column("job_id", Text), *LATEST)
    names = [each.name for each in LATEST]
    chosen = select(given.c.job_id, *(given.c[name] for name in names), NOW)
    statement = insert_or_not(metrics).from_select(["job_id", *names, "recorded_at"], chosen)
    new = {name: func.coalesce(statement.excluded[name], metrics.c[name]) for name in names}
    await connection.execute(
        statement.on_conflict_do_update(index_elements=["job_id"], set_={**new, "recorded_at": NOW})
    )


async def _change_jobs(connection: AsyncConnection, observed: Sequence[Observed]) -> None:
    """One statement: the jobs, the events that tell of them, and the notifications."""
    rows = [_job(one) for one in observed if one.entries or one.columns or one.trained or one.claim.unreachable]
    if not rows:
        return
    given = _records(
        rows,
        column("job_id", Text),
        column("entries", Integer),
        column("begins", Boolean),
        column("trained", Boolean),
        *COLUMNS,
    )
    changed = (
        update(jobs)
        .where(
            jobs.c.id == given.c.job_id,
            or_(not_(given.c.begins), jobs.c.status.in_(LEADING_TO_RUNNING)),
        )
        .values(
            **{name: func.coalesce(given.c[name], jobs.c[name]) for name in sorted(NAMES)},
            status=case((given.c.begins, JobStatus.RUNNING.value), else_=jobs.c.status),
            started_at=case((given.c.begins, NOW), else_=jobs.c.started_at),
            trained_at=case((given.c.trained, NOW), else_=jobs.c.trained_at),
            unreachable_since=null(),
            last_sequence=jobs.c.last_sequence + given.c.entries,
            updated_at=NOW,
        )
        .returning(jobs.c.id, jobs.c.last_sequence, jobs.c.updated_at)
        .cte("changed")
    )
    told = _records(
        [row for one in observed for row in _events(one)],
        column("id", Text),
        column("job_id", Text),
        column("behind", Integer),
        column("event_type", Text),
        column("old_status", Text),
        column("new_status", Text),
        column("message", Text),
        column("event_data", JSONB),
        name="told",
    )
    same = (told.c.id, told.c.job_id, told.c.event_type, told.c.old_status, told.c.new_status, told.c.message)
    chosen = select(
        *same, told.c.event_data, changed.c.last_sequence - told.c.behind, changed.c.updated_at
    ).select_from(told.join(changed, changed.c.id == told.c.job_id))
    names = [*(each.name for each in same), "event_data", "sequence", "created_at"]
    written = insert(events).from_select(names, chosen).returning(events.c.id).cte("written")
    await connection.execute(select(func.pg_notify(channels.CHANGED, changed.c.id)).add_cte(written))


async def _give_back(connection: AsyncConnection, observed: Sequence[Observed]) -> None:
    given = _records(
        [{"job_id": one.claim.job_id, "trained": one.trained} for one in observed],
        column("job_id", Text),
        column("trained", Boolean),
    )
    statement = (
        update(claims)
        .where(claims.c.job_id == given.c.job_id)
        .values(fence=claims.c.fence + 1, lease_until=null(), failures=0, due_at=case((given.c.trained, NOW)))
    )
    await connection.execute(statement)
    if any(one.trained for one in observed):
        await connection.execute(select(func.pg_notify(channels.DUE, "")))


def _job(one: Observed) -> dict[str, object]:
    columns = {name: _text(value) if isinstance(value, datetime) else value for name, value in one.columns.items()}
    return {
        "job_id": one.claim.job_id,
        "entries": len(one.entries),
        "begins": one.begins,
        "trained": one.trained,
        **columns,
    }


def _events(one: Observed) -> list[dict[str, object]]:
    """`behind` is how many entries of the job follow."""
    rows: list[dict[str, object]] = [
        {
            "id": ids.new(ids.Kind.EVENT),
            "job_id": one.claim.job_id,
            "behind": len(one.entries) - place,
            "event_type": entry.type.value,
            "message": entry.message,
            "event_data": entry.data and dict(entry.data),
        }
        for place, entry in enumerate(one.entries, start=1)
    ]
    if one.begins:
        rows[0] |= {"old_status": one.claim.status.value, "new_status": JobStatus.RUNNING.value}
    return rows


def _records(rows: Sequence[Mapping[str, object]], *columns: Any, name: str = "given") -> TableValuedAlias:  # noqa: ANN401  (SQLAlchemy's)
    """Rows as a table; a column that a row lacks is NULL."""
    table = func.jsonb_to_recordset(literal(list(rows), JSONB)).table_valued(*columns)
    return table.render_derived(name, with_types=True)


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
