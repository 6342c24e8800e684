"""Who is told of which changes, by the bus and by the looks at the table."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from server.bus import Bus
from server.domain.status import JobStatus
from server.services import following as following_module
from server.services.following import Following
from server.storage.database import Database, connect
from tests.schema.clients import DEADLINE, eventually
from tests.schema.served import job, tell

pytestmark = pytest.mark.database


class Follower:
    def __init__(self) -> None:
        self.noticed: list[tuple[str, datetime | None]] = []
        self._woken = asyncio.Event()

    def notice(self, job_id: str, at: datetime | None = None) -> None:
        self.noticed.append((job_id, at))
        self._woken.set()

    async def next(self) -> str:
        async with asyncio.timeout(DEADLINE):
            while not self.noticed:
                self._woken.clear()
                await self._woken.wait()
        return self.noticed.pop(0)[0]


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with connect(database_url, connections=4, statement_timeout=10) as database:
        yield database


@pytest.fixture
async def following(database: Database, database_url: str) -> AsyncIterator[Following]:
    """With a bus that listens."""
    async with Bus(database_url) as bus:
        yield Following(database.reads, bus)
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "following"]


async def change_silently(engine: AsyncEngine, job_id: str) -> None:
    async with engine.begin() as connection:
        await connection.execute(
            text("UPDATE training_jobs SET updated_at = clock_timestamp() WHERE id = :id"), {"id": job_id}
        )


async def test_a_follower_hears_of_its_own_jobs_and_one_of_all_hears_of_all(
    following: Following, database: Database
) -> None:
    first, second = [await job(database.engine, number, JobStatus.RUNNING) for number in range(2)]
    one, every = Follower(), Follower()
    following.follow(one, second)
    following.follow_all(every)
    await following.latest()
    for job_id in (first, second):
        await tell(database.engine, job_id, "step")
    assert [await every.next(), await every.next()] == [first, second]
    assert await one.next() == second
    following.unfollow(one, second)
    await tell(database.engine, second, "step")
    assert await every.next() == second
    assert one.noticed == []
    following.unfollow_all(every)
    await eventually(lambda: following.bus._watches == {})


async def test_what_no_notification_told_of_is_found_by_one_statement_for_all_jobs(
    following: Following, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following_module, "LOOK_EVERY_SECONDS", 0.05)
    jobs = [await job(database.engine, number, JobStatus.RUNNING) for number in range(10)]
    each, every = Follower(), Follower()
    for job_id in jobs:
        following.follow(each, job_id)
    following.follow_all(every)
    await following.latest()
    await change_silently(database.engine, jobs[7])
    assert await every.next() == jobs[7]
    assert jobs[7] in [await each.next() for _ in jobs]
    assert every.noticed == [], "each change is told once"
    for job_id in jobs:
        following.unfollow(each, job_id)
    following.unfollow_all(every)


async def test_a_look_that_fails_is_no_end(
    following: Following, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following_module, "LOOK_EVERY_SECONDS", 0.05)
    job_id = await job(database.engine, 0, JobStatus.RUNNING)
    follower = Follower()
    following.follow(follower, job_id)
    async with database.engine.begin() as connection:
        await connection.execute(text("ALTER TABLE training_jobs RENAME TO gone"))
    with capture_logs() as logged:
        await eventually(lambda: bool(logged))
    assert {line["event"] for line in logged} == {"followed jobs could not be looked at"}
    async with database.engine.begin() as connection:
        await connection.execute(text("ALTER TABLE gone RENAME TO training_jobs"))
    follower.noticed.clear()
    assert await follower.next() == job_id
    following.unfollow(follower, job_id)
