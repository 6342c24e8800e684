"""Following all jobs: from a moment on, through changes that no event tells of, and out of a filter."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from schema.execution.subscribers import MOST_PAYLOADS
from server.domain.status import JobStatus
from server.storage import jobs, mirrors, runs, tables
from tests.schema import rows
from tests.schema.clients import eventually
from tests.schema.conftest import Api
from tests.schema.execution.test_subscriptions import CUT_THE_BUS, Client
from tests.schema.served import job, move, tell

pytestmark = pytest.mark.database

JOBS = """subscription($filter:TrainingJobFilter,$since:DateTime){trainingJobsUpdated(filter:$filter,since:$since){
  id status stillMatches updatedAt mlflowRunId datasetDigest unreachableSince
}}"""


async def begun(api: Api, **variables: object) -> Client:
    """A subscription that is told of changes from now on."""
    client = await Client(api).subscribe(JOBS, **variables)
    await eventually(lambda: api.following._latest is not None)
    return client


async def many_jobs(engine: AsyncEngine, count: int) -> list[str]:
    """RUNNING jobs, the one that changed longest ago first."""
    first = await job(engine, 0, JobStatus.RUNNING)
    async with engine.begin() as connection:
        sheet = (await connection.execute(select(tables.training_jobs.c.training_sheet_id))).scalar_one()
        await rows.add(
            connection,
            tables.training_jobs,
            [rows.job(number, sheet, status="RUNNING", updated_at=_at(number)) for number in range(1, count)],
        )
        await connection.execute(
            update(tables.training_jobs).where(tables.training_jobs.c.id == first).values(updated_at=_at(0))
        )
        found = await connection.execute(select(tables.training_jobs.c.id).order_by(tables.training_jobs.c.updated_at))
        return list(found.scalars())


def _at(number: int) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number)


async def test_since_a_moment_each_job_that_changed_comes_first_the_oldest_change_first(live: Api) -> None:
    engine = live.database.engine
    ids = await many_jobs(engine, 130)
    client = await Client(live).subscribe(JOBS, since=rows.rfc3339(_at(10)))
    assert [(await client.data())["id"] for _ in ids[10:]] == ids[10:]
    await tell(engine, ids[3], "now")
    assert (await client.data())["id"] == ids[3]
    client.close()


async def test_one_that_was_cut_off_comes_back_with_its_last_change_and_misses_none(live: Api) -> None:
    engine = live.database.engine
    ids = await many_jobs(engine, 3)
    client = await begun(live)
    await tell(engine, ids[0], "heard")
    last = (await client.data())["updatedAt"]
    client.close()
    await tell(engine, ids[1], "while nobody listened")
    await move(engine, ids[2], JobStatus.SUCCEEDED)
    again = await Client(live).subscribe(JOBS, since=last)
    told = [await again.data() for _ in ids]
    assert [(each["id"], each["status"]) for each in told] == [
        (ids[0], "RUNNING"),
        (ids[1], "RUNNING"),
        (ids[2], "SUCCEEDED"),
    ]
    again.close()


async def test_changes_without_an_event_are_told(live: Api) -> None:
    engine = live.database.engine
    job_id = await job(engine, 0, JobStatus.PENDING)
    client = await begun(live)
    async with engine.begin() as connection:
        await mirrors.add(connection, job_id)
        claim = await mirrors.claim_one(connection, job_id, 30.0)
        assert claim is not None
        await runs.record_opened(connection, claim, "run-1")
    assert (await client.data())["mlflowRunId"] == "run-1"
    async with engine.begin() as connection:
        assert await jobs.begin_submission(connection, job_id, dataset_digest="d" * 64)
    assert (await client.data())["datasetDigest"] == "d" * 64
    async with engine.begin() as connection:
        assert await jobs.change(connection, job_id, columns={"estimated_end_at": _at(0)})
    assert (await client.data())["id"] == job_id
    client.close()


async def test_a_job_that_leaves_the_filter_is_told_once_more(live: Api) -> None:
    engine = live.database.engine
    job_id, other = [await job(engine, number, JobStatus.QUEUED) for number in range(2)]
    queued = await begun(live, filter={"status": ["QUEUED"]})
    failed = await begun(live, filter={"status": ["FAILED"]})
    await move(engine, job_id, JobStatus.RUNNING)
    told = await queued.data()
    assert (told["id"], told["status"], told["stillMatches"]) == (job_id, "RUNNING", False)
    await tell(engine, job_id, "still running")
    await move(engine, job_id, JobStatus.FAILED)
    await tell(engine, other, "still queued")
    told = await queued.data()
    assert (told["id"], told["status"], told["stillMatches"]) == (other, "QUEUED", True)
    told = await failed.data()
    assert (told["id"], told["status"], told["stillMatches"]) == (job_id, "FAILED", True)
    queued.close()
    failed.close()


async def test_a_job_that_left_while_the_client_was_away_is_told_too(live: Api) -> None:
    engine = live.database.engine
    long_gone, left, never = [
        await job(engine, number, status)
        for number, status in enumerate((JobStatus.SUCCEEDED, JobStatus.RUNNING, JobStatus.QUEUED))
    ]
    ended = {"event_type": "STATUS_CHANGE", "old_status": "RUNNING", "new_status": "SUCCEEDED", "created_at": _at(0)}
    async with engine.begin() as connection:
        await rows.add(connection, tables.training_job_events, [rows.event(0, long_gone, 1, **ended)])
        since = rows.rfc3339((await connection.execute(text("SELECT clock_timestamp()"))).scalar_one())
        await connection.execute(
            text("UPDATE training_jobs SET updated_at = clock_timestamp() WHERE id = :id"), {"id": long_gone}
        )
    await move(engine, left, JobStatus.SUCCEEDED)
    await tell(engine, never, "queued as ever")
    client = await Client(live).subscribe(JOBS, filter={"status": ["RUNNING"]}, since=since)
    told = await client.data()
    assert (told["id"], told["status"], told["stillMatches"]) == (left, "SUCCEEDED", False)
    await move(engine, never, JobStatus.RUNNING)
    told = await client.data()
    assert (told["id"], told["status"], told["stillMatches"]) == (never, "RUNNING", True)
    client.close()


async def test_stillmatches_is_true_everywhere_else(live: Api) -> None:
    job_id = await job(live.database.engine, 0, JobStatus.FAILED)
    found = await live.ask("query($id:ID!){trainingJob(id:$id){stillMatches}}", id=job_id)
    assert found == {"trainingJob": {"stillMatches": True}}


async def test_a_slow_client_reads_on_from_the_table_and_misses_no_job(live: Api) -> None:
    engine = live.database.engine
    ids = await many_jobs(engine, 3 * MOST_PAYLOADS)
    slow, quick = await begun(live), await begun(live)
    for job_id in ids:
        await tell(engine, job_id, "changed")
        assert (await quick.data())["id"] == job_id
    assert slow.subscriber is not None
    assert len(slow.subscriber._pending) == MOST_PAYLOADS
    told: dict[str, Any] = {}
    while ids[-1] not in told:
        each = await slow.data()
        told[each["id"]] = each
    assert list(told) == ids
    await tell(engine, ids[0], "once more")
    assert (await quick.data())["id"] == ids[0]
    while (await slow.data())["id"] != ids[0]:
        pass
    slow.close()
    quick.close()


async def test_what_notifications_missed_is_found_in_the_table(live: Api) -> None:
    """However long the bus was away: by when jobs changed, and not by how long ago that is."""
    engine = live.database.engine
    ids = await many_jobs(engine, 2)
    client = await begun(live)
    await tell(engine, ids[0], "heard")
    assert (await client.data())["id"] == ids[0]
    async with engine.begin() as connection:  # no notification
        await connection.execute(
            text("UPDATE training_jobs SET updated_at = clock_timestamp() WHERE id = :id"), {"id": ids[1]}
        )
    async with engine.begin() as connection:
        await connection.execute(text(CUT_THE_BUS))
    assert (await client.data())["id"] == ids[1]
    assert client.subscriber is not None
    await asyncio.sleep(0)
    assert client.subscriber.take() is None
    client.close()
