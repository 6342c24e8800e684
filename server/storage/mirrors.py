"""What MLflow lacks of jobs, and who is at it. Nothing here touches a row whose fence has moved on.

Locks are taken in one order: the job's row, then the mirror's. The triggers that make a mirror due keep to it.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Update, and_, delete, func, literal, null, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from server.storage.claims import NOW, as_seconds, seconds
from server.storage.tables import mlflow_mirrors as mirrors
from server.storage.tables import training_jobs as jobs

ready_at = func.coalesce(mirrors.c.lease_until, mirrors.c.due_at)


@dataclass(frozen=True, slots=True)
class MirrorClaim:
    """A mirror as it was when it was claimed. `logged_step` is the last step that MLflow has; None: it has none."""

    job_id: str
    fence: int
    logged_step: int | None
    failures: int
    outage_told: bool


CLAIMED = (mirrors.c.job_id, mirrors.c.fence, mirrors.c.logged_step, mirrors.c.failures, mirrors.c.outage_told)


async def add(connection: AsyncConnection, job_id: str) -> None:
    """Note that MLflow lacks this job's run, and all that will be measured in it."""
    await connection.execute(insert(mirrors).values(job_id=job_id, due_at=NOW).on_conflict_do_nothing())


async def claim_due(connection: AsyncConnection, lease_seconds: float) -> MirrorClaim | None:
    """Claim the mirror that has been due for longest; None when there is none that nobody holds."""
    ready = (
        select(mirrors.c.job_id)
        .where(ready_at <= func.statement_timestamp())
        .order_by(ready_at)
        .limit(1)
        .with_for_update(skip_locked=True)
        .cte("ready")
    )
    claim = update(mirrors).where(mirrors.c.job_id == ready.c.job_id).values(_claimed(lease_seconds))
    row = (await connection.execute(claim.returning(*CLAIMED))).one_or_none()
    return None if row is None else MirrorClaim(*row)


async def claim_one(connection: AsyncConnection, job_id: str, lease_seconds: float) -> MirrorClaim | None:
    """Claim a job's mirror whether it is due or not, and make it when there is none; None while another holds it."""
    new = insert(mirrors).values(job_id=job_id, fence=1, lease_until=NOW + seconds(lease_seconds))
    free = or_(mirrors.c.lease_until.is_(None), mirrors.c.lease_until <= NOW)
    claim = new.on_conflict_do_update(index_elements=["job_id"], set_=_claimed(lease_seconds), where=free)
    row = (await connection.execute(claim.returning(*CLAIMED))).one_or_none()
    return None if row is None else MirrorClaim(*row)


def _claimed(lease_seconds: float) -> dict[str, Any]:
    """What becomes due while the claim is held is seen when it is given back."""
    return {"fence": mirrors.c.fence + 1, "lease_until": NOW + seconds(lease_seconds), "due_at": null()}


async def next_ready_in(connection: AsyncConnection) -> float | None:
    """Seconds until the next mirror may be claimed (negative: one may now); None when nothing is to be done."""
    waiting: float | None = (await connection.execute(select(as_seconds(func.min(ready_at) - NOW)))).scalar_one()
    return waiting


def _held(claim: MirrorClaim) -> ColumnElement[bool]:
    return and_(mirrors.c.job_id == claim.job_id, mirrors.c.fence == claim.fence)


async def _change(connection: AsyncConnection, change: Update) -> bool:
    return (await connection.execute(change)).rowcount == 1


async def extend(connection: AsyncConnection, claim: MirrorClaim, lease_seconds: float) -> bool:
    """Hold a claim for so many seconds from now; False when it is lost."""
    kept = update(mirrors).where(_held(claim), mirrors.c.lease_until.is_not(None))
    return await _change(connection, kept.values(lease_until=NOW + seconds(lease_seconds)))


async def note_logged(connection: AsyncConnection, claim: MirrorClaim, step: int) -> bool:
    """Note that MLflow has all points up to a step; False when the claim is lost."""
    return await _change(connection, update(mirrors).where(_held(claim)).values(logged_step=step))


def still_held(claim: MirrorClaim) -> ColumnElement[bool]:
    """Whether a claim holds, for statements that change the job."""
    return select(mirrors.c.job_id).where(_held(claim)).exists()


async def release(connection: AsyncConnection, claim: MirrorClaim) -> None:
    """Give back a mirror that was brought up to date; it is due if something was written meanwhile."""
    await connection.execute(update(mirrors).where(_held(claim)).values(lease_until=None, failures=0))


async def abandon(connection: AsyncConnection, claim: MirrorClaim) -> None:
    """Give back a mirror that was not worked to an end; it is due now."""
    given_back = {"lease_until": None, "due_at": func.coalesce(mirrors.c.due_at, NOW)}
    await connection.execute(update(mirrors).where(_held(claim)).values(given_back))


async def postpone(connection: AsyncConnection, claim: MirrorClaim, after_seconds: float, *, outage_told: bool) -> bool:
    """Give back a mirror after a failure; False when the claim is lost. The job's row stays locked."""
    await connection.execute(select(jobs.c.id).where(jobs.c.id == claim.job_id).with_for_update(key_share=True))
    change = update(mirrors).where(_held(claim))
    return await _change(
        connection,
        change.values(
            lease_until=None,
            failures=mirrors.c.failures + 1,
            due_at=NOW + seconds(after_seconds),
            outage_told=or_(mirrors.c.outage_told, literal(outage_told)),
        ),
    )


async def remove(connection: AsyncConnection, claim: MirrorClaim) -> None:
    """MLflow lacks nothing of this job any more."""
    await connection.execute(delete(mirrors).where(_held(claim)))
