"""The bus: a hint that survives the loss of its connection, in bounded memory."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from structlog.testing import capture_logs

from server import bus as bus_module
from server.bus import Bus, Changes, Watch
from server.domain import channels
from tests.server.outages import unreachable

NOTHING_HEARD = Changes(frozenset(), everything=True)
DEADLINE = 10.0  # less than the time after which a silent connection is probed
CUT = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'tunegraph bus'
"""


class Database:
    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._connection = connection

    async def notify(self, *job_ids: str, channel: str = channels.CHANGED) -> None:
        async with self._connection.transaction():
            for job_id in job_ids:
                await self._connection.execute("SELECT pg_notify($1, $2)", channel, job_id)

    async def cut_the_bus(self) -> bool:
        return bool(await self._connection.fetch(CUT))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    connection = await asyncpg.connect(database_url)
    try:
        yield Database(connection)
    finally:
        await connection.close()


@pytest.fixture
async def bus(database_url: str) -> AsyncIterator[Bus]:
    """A bus that listens."""
    bus = Bus(database_url)
    with bus.watch() as first:
        async with bus:
            await told_of_a_gap(first)
            yield bus


async def told_of_a_gap(watch: Watch) -> None:
    """Return once the bus has begun to listen, which it tells every watch that is there."""
    async with asyncio.timeout(DEADLINE):
        assert await watch.wait(2 * DEADLINE) == NOTHING_HEARD


@pytest.mark.database
async def test_watches_hear_of_their_job_or_of_all(bus: Bus, database: Database) -> None:
    with bus.watch("job_1") as one, bus.watch("job_2") as two, bus.watch() as every, bus.watch_due() as due:
        await database.notify("job_1", "job_3", "job_1")
        assert await every.wait(DEADLINE) == Changes(frozenset({"job_1", "job_3"}), everything=False)
        assert await one.wait(DEADLINE) == Changes(frozenset({"job_1"}), everything=False)
        assert await two.wait(0) == NOTHING_HEARD
        await database.notify("", channel=channels.DUE)
        assert await due.wait(DEADLINE) == NOTHING_HEARD
        assert await every.wait(0) == NOTHING_HEARD
        assert bus._watches.keys() == {"job_1", "job_2", None}
    assert bus._watches.keys() == {None}  # the fixture's
    assert bus._for_due == set()


@pytest.mark.database
async def test_a_bus_whose_connection_was_cut_listens_again_and_says_that_it_may_have_missed_something(
    bus: Bus, database: Database
) -> None:
    with bus.watch() as watch, bus.watch_due() as due:
        for job_id in ("job_1", "job_2"):
            assert await database.cut_the_bus()
            await told_of_a_gap(watch)
            await told_of_a_gap(due)
            await database.notify(job_id)
            assert await watch.wait(DEADLINE) == Changes(frozenset({job_id}), everything=False)


@pytest.mark.database
async def test_a_bus_that_can_not_connect_tries_until_it_can(bus: Bus, database_url: str) -> None:
    with bus.watch() as watch:
        async with unreachable(database_url):
            assert await watch.wait(0.3) == NOTHING_HEARD
        await told_of_a_gap(watch)
        connection = await asyncpg.connect(database_url)
        await Database(connection).notify("job_1")
        await connection.close()
        assert await watch.wait(DEADLINE) == Changes(frozenset({"job_1"}), everything=False)


@pytest.mark.database
async def test_a_bus_that_dies_of_an_error_nobody_foresaw_listens_again(
    bus: Bus, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_self: Bus) -> None:
        raise ZeroDivisionError

    assert bus.what_is_wrong() is None
    with bus.watch() as watch, capture_logs() as logs:
        with monkeypatch.context() as broken:
            broken.setattr(Bus, "_notify_all", fail)
            assert await database.cut_the_bus()
            async with asyncio.timeout(DEADLINE):
                while bus.what_is_wrong() is None:  # noqa: ASYNC110  (nobody is told)
                    await asyncio.sleep(0.005)
        assert bus.what_is_wrong() == "the bus ended unforeseen (ZeroDivisionError) and is started again"
        await told_of_a_gap(watch)
        await database.notify("job_1")
        assert await watch.wait(DEADLINE) == Changes(frozenset({"job_1"}), everything=False)
    assert "a part of the server ended" in [line["event"] for line in logs]


@pytest.mark.database
async def test_a_bus_that_hears_nothing_for_long_says_so(
    bus: Bus, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus_module, "DEAF_SECONDS", 0.0)
    with bus.watch() as watch:
        async with unreachable(database_url), asyncio.timeout(DEADLINE):
            while bus.what_is_wrong() is None:  # noqa: ASYNC110  (nobody is told)
                await asyncio.sleep(0.005)
            assert bus.what_is_wrong() == "the database has told no changes for 0 s"
        await told_of_a_gap(watch)
        assert bus.what_is_wrong() is None


@pytest.mark.database
async def test_a_silent_connection_is_probed(bus: Bus, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus_module, "PROBE_EVERY_SECONDS", 0.01)
    with bus.watch() as watch:
        assert await database.cut_the_bus()  # it goes by the new interval from here
        await told_of_a_gap(watch)
        probed = "SELECT query FROM pg_stat_activity WHERE application_name = 'tunegraph bus'"
        async with asyncio.timeout(DEADLINE):
            while await database._connection.fetchval(probed) != "SELECT 1":  # noqa: ASYNC110  (Postgres tells nobody)
                await asyncio.sleep(0.005)


@pytest.mark.database
async def test_leaving_ends_the_listening(database_url: str, database: Database) -> None:
    bus = Bus(database_url)
    with bus.watch() as watch:
        async with bus:
            await told_of_a_gap(watch)
    assert bus._task is not None
    assert bus._task.done()
    gone = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tunegraph bus'"
    async with asyncio.timeout(DEADLINE):
        while await database._connection.fetchval(gone):  # noqa: ASYNC110  (Postgres tells nobody)
            await asyncio.sleep(0.005)


async def test_changes_are_gathered_until_somebody_looks() -> None:
    watch = Watch()
    for job_id in ("job_1", "job_2", "job_1"):
        watch.tell(job_id)
    assert await watch.wait(0) == Changes(frozenset({"job_1", "job_2"}), everything=False)
    assert await watch.wait(0) == NOTHING_HEARD


async def test_a_watch_that_nobody_looks_at_stays_small() -> None:
    watch = Watch()
    for number in range(10_000):
        watch.tell(f"job_{number}")
    assert len(watch._job_ids) == 10_000
    for number in range(50_000):
        watch.tell(f"job_{number % 20_000}")
        assert len(watch._job_ids) <= 10_000
    changes = await watch.wait(0)
    assert changes.everything
    assert await watch.wait(0) == NOTHING_HEARD


async def test_a_wait_that_is_cut_off_loses_nothing() -> None:
    watch = Watch()
    waiting = asyncio.create_task(watch.wait(DEADLINE))
    await asyncio.sleep(0)
    watch.tell("job_1")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await watch.wait(0) == Changes(frozenset({"job_1"}), everything=False)
