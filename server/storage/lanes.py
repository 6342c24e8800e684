"""The lanes in which runs are observed: each by one replica at a time, with a lease and a fence.

A lane is called after its trainer; where runs can only be seen from where they are, that place is added. So a
trainer's name stands for all of its lanes: `LOCAL` for `LOCAL 5f0c12ab`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Double, and_, cast, exists, extract, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain import channels
from server.storage.tables import observation_lanes as lanes

NOW = func.clock_timestamp()


@dataclass(frozen=True, slots=True)
class LaneLease:
    """A lane as it was taken."""

    name: str
    fence: int

    def holds(self) -> ColumnElement[bool]:
        """Whether nobody else has taken the lane since, as a condition."""
        return exists().where(lanes.c.name == self.name, lanes.c.fence == self.fence)


def serves(lane: ColumnElement[str], since: ColumnElement[Any]) -> ColumnElement[bool]:
    """The lane's row is held, or was at `since`: a condition on rows of the lanes."""
    return and_(func.starts_with(lanes.c.name, lane), lanes.c.lease_until > since)


async def take(connection: AsyncConnection, name: str, lease_seconds: float) -> LaneLease | float:
    """Take a lane that nobody holds; else the seconds for which it still is another's."""
    held = select(cast(extract("epoch", lanes.c.lease_until - NOW), Double)).where(lanes.c.name == name)
    left: float | None = (await connection.execute(held)).scalar_one_or_none()
    if left is not None and left > 0:
        return left
    until = _until(lease_seconds)
    statement = (
        insert(lanes)
        .values(name=name, fence=1, lease_until=until)
        .on_conflict_do_update(
            index_elements=["name"],
            set_={"fence": lanes.c.fence + 1, "lease_until": until},
            where=lanes.c.lease_until <= NOW,
        )
        .returning(lanes.c.fence)
    )
    fence: int | None = (await connection.execute(statement)).scalar_one_or_none()
    return lease_seconds if fence is None else LaneLease(name, fence)


async def renew(connection: AsyncConnection, lease: LaneLease, lease_seconds: float) -> bool:
    """Hold a lane for so many seconds from now; False when another has taken it."""
    statement = (
        update(lanes)
        .where(lanes.c.name == lease.name, lanes.c.fence == lease.fence)
        .values(lease_until=_until(lease_seconds))
    )
    return (await connection.execute(statement)).rowcount == 1


async def release(connection: AsyncConnection, lease: LaneLease) -> None:
    """Let another replica take the lane at once."""
    statement = update(lanes).where(lanes.c.name == lease.name, lanes.c.fence == lease.fence).values(lease_until=NOW)
    if (await connection.execute(statement)).rowcount == 1:
        await connection.execute(select(func.pg_notify(channels.DUE, "")))


def _until(lease_seconds: float) -> ColumnElement[datetime]:
    return NOW + literal(timedelta(seconds=lease_seconds))
