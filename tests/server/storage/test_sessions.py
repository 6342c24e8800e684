"""Sessions for reads: used again, replaced when they are lost, and never more than there may be."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from server.storage.sessions import Sessions
from tests.waiting import until

pytestmark = pytest.mark.database

MOST = 2
OWN = "SELECT pg_backend_pid()"


@pytest.fixture
async def sessions(database_url: str) -> AsyncIterator[Sessions]:
    async with asyncpg.create_pool(database_url, min_size=0, max_size=MOST) as pool:
        sessions = Sessions(pool, MOST, 30)
        yield sessions
        await sessions.close()


async def test_reads_in_turn_share_a_session(sessions: Sessions) -> None:
    assert len({await sessions.value(OWN) for _ in range(5)}) == 1


async def test_reads_at_once_wait_for_one_another(sessions: Sessions) -> None:
    found = await asyncio.gather(*(sessions.value("SELECT $1::int", [number]) for number in range(20)))
    assert found == list(range(20))
    assert len(set(await asyncio.gather(*(sessions.value(OWN) for _ in range(20))))) <= MOST


async def test_a_lost_session_is_replaced(sessions: Sessions, database_url: str) -> None:
    lost = await sessions.value(OWN)
    connection = await asyncpg.connect(database_url)
    await connection.execute("SELECT pg_terminate_backend($1, 5000)", lost)
    await connection.close()
    assert await sessions.value(OWN) != lost


async def test_a_statement_that_fails_leaves_its_session_usable(sessions: Sessions) -> None:
    own = await sessions.value(OWN)
    with pytest.raises(asyncpg.DivisionByZeroError):
        await sessions.value("SELECT 1 / 0")
    assert await sessions.value(OWN) == own


async def test_a_read_that_is_given_up_ends_and_frees_its_session(sessions: Sessions, database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(7)")
        waiting = [asyncio.create_task(sessions.value("SELECT pg_advisory_xact_lock(7)")) for _ in range(MOST + 1)]

        async def blocked(sessions: int) -> None:
            count = "SELECT count(*) = $1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            await until(lambda: connection.fetchval(count, sessions))

        await blocked(MOST)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        assert all(task.cancelled() for task in waiting)
        assert await sessions.value("SELECT 1") == 1
        await blocked(0)
    await connection.close()


async def test_a_session_may_be_held_for_several_statements(sessions: Sessions) -> None:
    async with sessions.session() as first, sessions.session() as second:
        assert await first.fetchval(OWN) != await second.fetchval(OWN)
        waiting = asyncio.ensure_future(sessions.value(OWN))
        await asyncio.sleep(0)
        assert not waiting.done()
    assert isinstance(await waiting, int)
