"""What the poller reads of a long history: the jobs that are due, and no others."""

from collections.abc import Awaitable, Callable, Iterator

import asyncpg
import pytest
from anyio.from_thread import start_blocking_portal
from sqlalchemy import event, literal_column, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from server.storage import changes, claims, mirrors
from server.storage.jobs import STILL_ACTIVE
from server.storage.migrations import driver_url
from server.storage.tables import training_jobs as jobs
from tests.database import DatabaseServer
from tests.server.storage.explained import looked_at, scans
from tests.server.storage.history import fill

pytestmark = pytest.mark.database

ACTIVE = 5
WAITING = 2_000
RUN = f"""
    UPDATE training_jobs SET status = 'RUNNING', completed_at = NULL
    WHERE status = 'SUCCEEDED' AND id IN (SELECT 'job_' || n FROM generate_series(1000, {999 + 2 * WAITING}) n)
"""
# half of them are observed, and half have a step that is due later
WAIT = f"""
    INSERT INTO training_job_claims (job_id, lane, due_at)
    SELECT 'job_' || n, 'LOCAL', CASE WHEN n % 2 = 0 THEN now() + interval '1 h' END
    FROM generate_series(1000, {999 + 2 * WAITING}) n
"""
MANY = (RUN, WAIT, "ANALYZE training_job_claims")
SOME_DUE = """
    INSERT INTO mlflow_mirrors (job_id, due_at)
    SELECT id, CASE WHEN id IN ('job_7', 'job_8') THEN now() - interval '1 h' END FROM training_jobs
"""
MIRRORS = (SOME_DUE, "ANALYZE mlflow_mirrors")


@pytest.fixture(scope="module")
def filled(database_server: DatabaseServer, database_template: str) -> Iterator[str]:
    with database_server.temporary(database_template) as url, start_blocking_portal() as portal:
        portal.call(fill, url)
        yield url


Ask = Callable[[AsyncConnection], Awaitable[object]]


async def explained(url: str, ask: Ask, *before: str) -> dict[str, float]:
    """The indexes that the first statement reads which `ask` executes, and how many rows it looks at by each."""
    sent: list[tuple[str, tuple[object, ...]]] = []

    def note(_connection: object, _cursor: object, statement: str, values: tuple[object, ...], *_: object) -> None:
        sent.append((statement, values))

    engine = create_async_engine(driver_url(url))
    async with engine.connect() as connection:
        event.listen(connection.sync_connection, "before_cursor_execute", note)
        await ask(connection)
        await connection.rollback()
    await engine.dispose()
    statement, values = sent[0]
    driver = await asyncpg.connect(url)
    try:
        transaction = driver.transaction()
        await transaction.start()
        for change in before:
            await driver.execute(change)
        found = await scans(driver, statement, values)
        await transaction.rollback()
    finally:
        await driver.close()
    return {str(scan.get("Index Name", scan["Node Type"])): looked_at(scan) for scan in found}


async def test_a_claim_reads_the_steps_that_are_due(filled: str) -> None:
    def claim(connection: AsyncConnection) -> Awaitable[object]:
        return claims.claim_due(connection, {"FMAPI": 100, "LOCAL": 100}, 30)

    read = await explained(filled, claim, *MANY)
    assert read == {"ix_training_job_claims_due": ACTIVE, "pk_training_job_claims": ACTIVE}


async def test_when_the_next_is_due_is_read_from_the_first_of_each_lane(filled: str) -> None:
    def read(connection: AsyncConnection) -> Awaitable[object]:
        return claims.next_due_in(connection, ["FMAPI", "LOCAL"])

    assert await explained(filled, read, *MANY) == {"ix_training_job_claims_due": 1}


async def test_the_jobs_to_observe_are_read_from_their_index(filled: str) -> None:
    def read(connection: AsyncConnection) -> Awaitable[object]:
        return claims.observed_ids(connection, ["LOCAL"])

    assert await explained(filled, read, *MANY) == {"ix_training_job_claims_observed": WAITING}


async def test_of_many_active_jobs_the_newest_are_read(filled: str) -> None:
    def look(connection: AsyncConnection) -> Awaitable[object]:
        newest = select(jobs.c.id).order_by(jobs.c.created_at.desc(), jobs.c.id.desc()).limit(literal_column("20"))
        return connection.execute(newest.where(jobs.c.status.in_(STILL_ACTIVE)))

    assert await explained(filled, look, RUN, "ANALYZE training_jobs") == {"ix_training_jobs_active": 20}


async def test_what_changed_since_a_moment_is_a_range_of_its_index(filled: str) -> None:
    def look(connection: AsyncConnection) -> Awaitable[object]:
        behind = text(changes.BEHIND.replace("$1::timestamptz", "now()").replace("$2", "''").replace("$3", "10"))
        return connection.execute(behind)

    assert await explained(filled, look) == {"ix_training_jobs_updated_at_id": 0}


async def test_a_mirror_that_is_due_is_found_among_many_that_are_not(filled: str) -> None:
    def claim(connection: AsyncConnection) -> Awaitable[object]:
        return mirrors.claim_due(connection, 30)

    def look(connection: AsyncConnection) -> Awaitable[object]:
        return mirrors.next_ready_in(connection)

    read = await explained(filled, claim, *MIRRORS)
    assert read.pop("ix_mlflow_mirrors_ready") <= 2
    assert read == {"pk_mlflow_mirrors": 1}
    assert await explained(filled, look, *MIRRORS) == {"ix_mlflow_mirrors_ready": 1}
