"""Holding claimed jobs and giving them back. Nothing here touches a job whose fence has moved on."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    ColumnElement,
    TableValuedAlias,
    Text,
    and_,
    case,
    column,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain import channels
from server.storage.claims import NOW, Claim, as_seconds, seconds
from server.storage.events import Entry, telling
from server.storage.jobs import STILL_ACTIVE
from server.storage.tables import training_jobs as jobs


def _held(claims: Sequence[Claim]) -> TableValuedAlias:
    """The claims as a table: one statement, however many."""
    return (
        func.unnest(
            literal([claim.job_id for claim in claims], ARRAY(Text)),
            literal([claim.fence for claim in claims], ARRAY(BigInteger)),
            literal([claim.cancel_requested for claim in claims], ARRAY(Boolean)),
        )
        .table_valued(
            column("job_id", Text), column("fence", BigInteger), column("knew_of_cancel", Boolean), name="held"
        )
        .render_derived()
    )


def _still(held: TableValuedAlias) -> ColumnElement[bool]:
    return and_(jobs.c.id == held.c.job_id, jobs.c.fence == held.c.fence, jobs.c.status.in_(STILL_ACTIVE))


async def hold(connection: AsyncConnection, claim: Claim) -> Claim | None:
    """Lock a claimed job until the transaction ends; None when the claim is lost.

    Answers the claim with what a person may have asked for since it was taken.
    """
    statement = select(as_seconds(NOW - jobs.c.cancel_requested_at), jobs.c.cancel_requested_by, jobs.c.cancel_reason)
    held = statement.where(
        jobs.c.id == claim.job_id, jobs.c.fence == claim.fence, jobs.c.status.in_(STILL_ACTIVE)
    ).with_for_update(key_share=True)
    row = (await connection.execute(held)).one_or_none()
    if row is None:
        return None
    return replace(claim, cancel_age=row[0], cancel_requested_by=row[1], cancel_reason=row[2])


async def extend(connection: AsyncConnection, claims: Sequence[Claim], lease: float) -> None:
    """Hold claims for another `lease` seconds from now."""
    held = _held(claims)
    kept = update(jobs).where(_still(held), jobs.c.lease_until.is_not(None))  # not those that were given back already
    await connection.execute(kept.values(lease_until=NOW + seconds(lease)))


def _next_look(after: float, knew_of_cancel: ColumnElement[bool]) -> ColumnElement[Any]:
    """`after` seconds from now, or at once when a person has asked to cancel meanwhile."""
    overtaken = and_(jobs.c.cancel_requested_at.is_not(None), ~knew_of_cancel)
    return case((overtaken, NOW), else_=NOW + seconds(after))


async def release(connection: AsyncConnection, claims: Sequence[Claim], after: float) -> None:
    """Give back jobs whose trainer was reached; they are due again `after` seconds from now."""
    held = _held(claims)
    released = (
        update(jobs)
        .where(_still(held))
        .values(
            lease_until=None,
            failures=0,
            unreachable_since=None,
            next_poll_at=_next_look(after, held.c.knew_of_cancel),
            updated_at=case((jobs.c.unreachable_since.is_(None), jobs.c.updated_at), else_=NOW),
        )
        .returning(jobs.c.id, jobs.c.next_poll_at)
        .cte("released")
    )
    await connection.execute(_wake_when_due(released))
    back = [claim.job_id for claim in claims if claim.unreachable]
    if back:
        await connection.execute(select(func.pg_notify(channels.CHANGED, func.unnest(literal(back, ARRAY(Text))))))


def _wake_when_due(released: Any) -> Any:  # noqa: ANN401  (a CTE and a select of it)
    return select(func.pg_notify(channels.DUE, "")).select_from(released).where(released.c.next_poll_at <= NOW).limit(1)


async def abandon(connection: AsyncConnection, claims: Sequence[Claim]) -> None:
    """Give back jobs that were not worked to an end; they are due as they were."""
    held = _held(claims)
    await connection.execute(update(jobs).where(_still(held)).values(lease_until=None))
    await connection.execute(select(func.pg_notify(channels.DUE, "")))


async def overlook(connection: AsyncConnection, claims: Sequence[Claim]) -> None:
    """Give back jobs that this process can't look at, for another one to take at once."""
    held = _held(claims)
    await connection.execute(
        update(jobs).where(_still(held)).values(lease_until=None, failures=jobs.c.failures + 1, next_poll_at=NOW)
    )
    await connection.execute(select(func.pg_notify(channels.DUE, "")))


async def postpone(connection: AsyncConnection, claim: Claim, after: float, entry: Entry, **columns: object) -> bool:
    """Give a job back after a failure; `entry` is written when the outage begins, not at each failure.

    Answers whether the claim still held.
    """
    change = (
        update(jobs)
        .where(jobs.c.id == claim.job_id, jobs.c.fence == claim.fence, jobs.c.status.in_(STILL_ACTIVE))
        .values(
            lease_until=None,
            failures=jobs.c.failures + 1,
            unreachable_since=func.coalesce(jobs.c.unreachable_since, NOW),
            next_poll_at=_next_look(after, literal(claim.cancel_requested, Boolean)),
            **columns,
        )
    )
    if claim.unreachable:
        return (await connection.execute(change)).rowcount == 1
    return (await connection.execute(telling(change, entry))).first() is not None


async def retry_registration(connection: AsyncConnection, claim: Claim, after: float, entry: Entry) -> None:
    """Give back a trained job whose model could not be registered; `entry` is written the first time."""
    change = (
        update(jobs)
        .where(jobs.c.id == claim.job_id, jobs.c.fence == claim.fence, jobs.c.status.in_(STILL_ACTIVE))
        .values(
            lease_until=None,
            registration_failures=jobs.c.registration_failures + 1,
            next_poll_at=_next_look(after, literal(claim.cancel_requested, Boolean)),
        )
    )
    await connection.execute(change if claim.registration_failures else telling(change, entry))
