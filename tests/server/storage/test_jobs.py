"""Moves and events of jobs, straight on the table."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import product
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from server.domain.status import MOVES, TERMINAL, EventType, JobStatus
from server.storage import claims, jobs
from server.storage.events import Entry
from tests.server.workshop import Workshop, opened_workshop

pytestmark = pytest.mark.database

ENTRY = Entry(EventType.STATUS_CHANGE, "moved", {"why": "a test"}, "anna")


@pytest.fixture
async def workshop(database_url: str, tmp_path: Path) -> AsyncIterator[Workshop]:
    async with opened_workshop(database_url, tmp_path) as workshop:
        yield workshop


async def put(workshop: Workshop, job_id: str, status: JobStatus) -> None:
    """A job in some status, as the constraints want it."""
    await workshop.execute(
        "UPDATE training_jobs SET status = :status, trainer_job_id = 'run', progress_percent = :percent,"
        " completed_at = CASE WHEN :ended THEN now() END WHERE id = :id",
        id=job_id,
        status=status.value,
        percent=100 if status is JobStatus.SUCCEEDED else 10,
        ended=status in TERMINAL,
    )
    await workshop.execute("DELETE FROM training_job_claims WHERE job_id = :id", id=job_id)
    async with workshop.engine.begin() as connection:
        await claims.mend(connection)


async def move(workshop: Workshop, job_id: str, to: JobStatus, **guards: Any) -> bool:  # noqa: ANN401
    async with workshop.engine.begin() as connection:
        return await jobs.move(connection, job_id, to, ENTRY, **guards)


@asynccontextmanager
async def listening(url: str, channel: str) -> AsyncIterator[list[str]]:
    """What is heard on a channel; complete once the block has asked the connection anything."""
    heard: list[str] = []
    connection = await asyncpg.connect(url)
    try:
        await connection.add_listener(channel, lambda *args: heard.append(args[-1]))
        yield heard
    finally:
        await connection.close()


async def test_a_job_moves_only_where_its_status_may_go(workshop: Workshop) -> None:
    for status, to in product(JobStatus, repeat=2):
        await check_move(workshop, status, to)


async def check_move(workshop: Workshop, status: JobStatus, to: JobStatus) -> None:
    job_id = await workshop.create()
    await put(workshop, job_id, status)
    before = await workshop.job(job_id)
    allowed = to in MOVES[status]
    assert await move(workshop, job_id, to) is allowed
    after = await workshop.job(job_id)
    if not allowed:
        assert after == before
        assert await workshop.history(job_id) == ["CREATED >PENDING"]
        return
    assert await workshop.history(job_id) == ["CREATED >PENDING", f"STATUS_CHANGE {status}>{to}"]
    event = await workshop.last_event(job_id)
    assert (event["message"], event["event_data"], event["actor"]) == ("moved", {"why": "a test"}, "anna")
    assert event["created_at"] == after["updated_at"] > before["updated_at"]
    assert (after["completed_at"] is not None) is (to in TERMINAL)
    assert (after["started_at"] is not None) is (to is JobStatus.RUNNING)
    assert after["progress_percent"] == (100 if to is JobStatus.SUCCEEDED else 10)


async def test_the_time_is_the_databases(workshop: Workshop) -> None:
    job_id = await workshop.create()
    before = await workshop.desk.value("SELECT clock_timestamp()")
    assert await move(workshop, job_id, JobStatus.QUEUED, columns={"trainer_job_id": "run"})
    job = await workshop.job(job_id)
    assert before < job["updated_at"] < await workshop.desk.value("SELECT clock_timestamp()")


async def test_a_move_that_is_rolled_back_leaves_no_gap_in_the_numbers(workshop: Workshop) -> None:
    job_id = await workshop.create()
    async with workshop.engine.connect() as connection, connection.begin() as transaction:
        assert await jobs.move(connection, job_id, JobStatus.FAILED, ENTRY)
        await transaction.rollback()
    assert await move(workshop, job_id, JobStatus.CANCELLED)
    assert await workshop.history(job_id) == ["CREATED >PENDING", "STATUS_CHANGE PENDING>CANCELLED"]


async def test_moves_at_once_leave_one_terminal_event_with_the_status_it_came_from(workshop: Workshop) -> None:
    """The second writer waits for the first one's lock, and then sees the row as that one left it."""
    for _ in range(5):
        job_id = await workshop.create()
        await put(workshop, job_id, JobStatus.QUEUED)
        targets = [JobStatus.RUNNING, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.SUCCEEDED] * 2
        moved = await asyncio.gather(*(move(workshop, job_id, to) for to in targets))
        history = (await workshop.history(job_id))[1:]
        assert len(history) == sum(moved)
        for earlier, later in zip(["STATUS_CHANGE >QUEUED", *history], history, strict=False):
            assert later.split()[1].split(">")[0] == earlier.split(">")[1]
        assert sum(line.endswith((">FAILED", ">CANCELLED", ">SUCCEEDED")) for line in history) == 1
        assert history[-1].split(">")[1] == await workshop.status(job_id)


async def test_events_at_once_are_numbered_without_a_gap(workshop: Workshop) -> None:
    job_id = await workshop.create()

    async def record(number: int) -> bool:
        async with workshop.engine.begin() as connection:
            return await jobs.record(connection, job_id, Entry(EventType.PROGRESS_UPDATE, str(number)))

    assert all(await asyncio.gather(*(record(number) for number in range(30))))
    assert len(await workshop.history(job_id)) == 31


async def test_an_event_after_the_end_is_not_written(workshop: Workshop) -> None:
    job_id = await workshop.create()
    assert await move(workshop, job_id, JobStatus.CANCELLED)
    async with workshop.engine.begin() as connection:
        assert not await jobs.record(connection, job_id, Entry(EventType.ERROR, "late"))
        assert not await jobs.change(connection, job_id, {"current_epoch": 1})
        assert not await jobs.request_cancel(connection, job_id, "anna", None)


async def test_an_event_for_once_is_written_once(workshop: Workshop) -> None:
    job_id, other = await workshop.create(), await workshop.create()

    async def record(of: str, code: str) -> bool:
        entry = Entry(EventType.ERROR, "it's away", {"code": code})
        async with workshop.engine.begin() as connection:
            return await jobs.record(connection, of, entry, once={"code": code})

    written = [await record(of, code) for of in (job_id, other) for code in ("A", "A", "B", "A")]
    assert written == [True, False, True, False] * 2


async def test_two_writers_at_once_say_for_once_what_both_have_to_say(workshop: Workshop) -> None:
    job_id = await workshop.create()
    entry = Entry(EventType.ERROR, "away", {"code": "A"})

    async def record() -> bool:
        async with workshop.engine.begin() as connection:
            return await jobs.record(connection, job_id, entry, once={"code": "A"})

    async with workshop.engine.begin() as connection:
        assert await jobs.record(connection, job_id, entry, once={"code": "A"})
        second = asyncio.create_task(record())
        await workshop.desk.someone_waits()
    assert not await second
    assert await workshop.history(job_id) == ["CREATED >PENDING", "ERROR A"]


async def test_each_change_is_announced_with_the_jobs_id_when_it_is_committed(workshop: Workshop) -> None:
    async with listening(workshop.url, "tunegraph") as heard, listening(workshop.url, "tunegraph_due") as due:
        job_id = await workshop.create()
        async with workshop.engine.begin() as connection:
            await jobs.change(connection, job_id, {"current_epoch": 1})
        async with workshop.engine.begin() as connection:
            await jobs.request_cancel(connection, job_id, "anna", None)
        assert await move(workshop, job_id, JobStatus.CANCELLED)
        assert not await move(workshop, job_id, JobStatus.CANCELLED)
        await workshop.eventually(lambda: _at_least(heard, 4))
        assert heard == [job_id] * 4
        assert due == [""] * 2


async def _at_least(heard: list[str], count: int) -> bool:
    return len(heard) >= count


async def test_texts_are_data_and_never_sql(workshop: Workshop) -> None:
    hostile = "'); DROP TABLE training_jobs; -- \\ \" $1 %s {x} \u202e \U0001f600"
    job_id = await workshop.create()
    entry = Entry(EventType.ERROR, hostile, {hostile: hostile}, hostile)
    async with workshop.engine.begin() as connection:
        assert await jobs.record(connection, job_id, entry, once={"code": hostile})
        assert await jobs.request_cancel(connection, job_id, hostile, hostile)
    data = await workshop.desk.one("SELECT message, event_data, actor FROM training_job_events WHERE sequence = 2")
    assert data == (hostile, {hostile: hostile}, hostile)
    assert (await workshop.job(job_id))["cancel_reason"] == hostile


async def test_a_frozen_job_can_neither_lose_its_pairs_nor_have_its_history_changed(workshop: Workshop) -> None:
    await workshop.create()
    for statement in (
        "DELETE FROM training_job_pairs",
        "UPDATE training_job_pairs SET digest = 'x'",
        "UPDATE training_job_events SET message = 'x'",
        "DELETE FROM training_job_events",
        "UPDATE training_job_lineage SET sheet_name = 'x'",
        "DELETE FROM qa_pairs",
        "DELETE FROM training_sheets",
    ):
        with pytest.raises(DBAPIError):
            await workshop.execute(statement)


async def test_standing_and_submission_are_those_of_the_row(workshop: Workshop) -> None:
    job_id = await workshop.create(training_config={"epochs": 2}, split_seed=4)
    async with workshop.engine.connect() as connection:
        standing = await jobs.standing(connection, job_id)
        submission = await jobs.submission(connection, job_id)
        assert await jobs.standing(connection, "job_none") is None
        assert json.dumps(submission.config) == '{"epochs": 2}'
        assert (submission.seed, submission.model_name) == (4, "desk-model")
        updated = (await connection.execute(text("SELECT updated_at FROM training_jobs"))).scalar_one()
    assert standing == jobs.Standing(JobStatus.PENDING, 0, False, False, 1, updated)
