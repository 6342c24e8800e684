"""Holding claimed jobs, and giving them back. Nothing here touches a job whose fence has moved on.

Rows are locked in one order: the job's, then its claim's.
"""

from dataclasses import replace

from sqlalchemy import ColumnElement, and_, case, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain import channels
from server.storage.claims import NOW, Claim, as_seconds, seconds
from server.storage.jobs import STILL_ACTIVE
from server.storage.tables import training_job_claims as claims
from server.storage.tables import training_jobs as jobs


async def hold(connection: AsyncConnection, claim: Claim) -> Claim | None:
    """Lock a claimed job until the transaction ends; None when the claim is lost.

    The result says what a person may have asked for since the claim was taken.
    """
    statement = (
        select(as_seconds(NOW - jobs.c.cancel_requested_at), jobs.c.cancel_requested_by, jobs.c.cancel_reason)
        .select_from(jobs.join(claims, claims.c.job_id == jobs.c.id))
        .where(jobs.c.id == claim.job_id, claims.c.fence == claim.fence, jobs.c.status.in_(STILL_ACTIVE))
        .with_for_update(key_share=True)
    )
    if claim.under is not None:
        statement = statement.where(claim.under.holds())
    row = (await connection.execute(statement)).one_or_none()
    if row is None:
        return None
    return replace(claim, cancel_age=row[0], cancel_requested_by=row[1], cancel_reason=row[2])


async def extend(connection: AsyncConnection, claim: Claim, lease_seconds: float) -> bool:
    """Hold a claim for so many seconds from now; False when it is lost or was given back."""
    kept = update(claims).where(_still(claim)).values(lease_until=NOW + seconds(lease_seconds))
    return (await connection.execute(kept)).rowcount == 1


async def give_back(
    connection: AsyncConnection, claim: Claim, *, due_seconds: float | None, failed: bool, lane: str | None = None
) -> None:
    """Let go of a job that is held in this transaction; its next step is due then, None: it is only observed."""
    statement = (
        update(claims)
        .where(claims.c.job_id == claim.job_id)
        .values(
            fence=claims.c.fence + 1,
            lease_until=None,
            due_at=None if due_seconds is None else NOW + seconds(due_seconds),
            failures=claims.c.failures + 1 if failed else 0,
            lane=lane or claim.lane,
        )
    )
    await connection.execute(statement)
    step_is_due = due_seconds is not None and due_seconds <= 0
    newly_observed = due_seconds is None and claim.under is None
    if step_is_due or newly_observed:
        await _wake(connection)


async def abandon(connection: AsyncConnection, claim: Claim, due_seconds: float = 0.0) -> None:
    """Let go of a job that was not worked to an end: its step is due again then, for anybody."""
    due_at = case((claims.c.due_at.is_not(None), NOW + seconds(due_seconds)))
    statement = update(claims).where(_still(claim)).values(fence=claims.c.fence + 1, lease_until=None, due_at=due_at)
    await connection.execute(statement)
    await _wake(connection)


def _still(claim: Claim) -> ColumnElement[bool]:
    return and_(claims.c.job_id == claim.job_id, claims.c.fence == claim.fence, claims.c.lease_until.is_not(None))


async def _wake(connection: AsyncConnection) -> None:
    await connection.execute(select(func.pg_notify(channels.DUE, "")))
