"""Clients that go away while they are served: nothing goes on for nobody."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message
from structlog.testing import capture_logs

from schema.transport.disconnect import unless_gone
from tests.schema.clients import eventually
from tests.schema.served import Served, serving

COUNT = "{trainingJobs{totalCount}}"
CREATE = 'mutation{createSheet(input:{name:"a",source:EXTERNAL}){__typename}}'
HEAD = "POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n"


@pytest.fixture
async def served(database_url: str) -> AsyncIterator[Served]:
    async with serving(database_url) as served:
        yield served


@pytest.mark.database
async def test_a_client_that_goes_takes_its_query_along(served: Served) -> None:
    await served.job()
    async with served.locked("training_jobs") as lock:
        asking = asyncio.create_task(served.post(COUNT))
        await lock.waiting(1)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await lock.waiting(0)
    assert (await served.post(COUNT)).json() == {"data": {"trainingJobs": {"totalCount": 1}}}


@pytest.mark.database
async def test_a_client_that_goes_takes_its_mutation_along(served: Served) -> None:
    async with served.locked("sheets") as lock:
        asking = asyncio.create_task(served.post(CREATE))
        await lock.waiting(1)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await eventually(lambda: served.connections_in_use() == 0)
    assert (await served.post("{sheets{totalCount}}")).json() == {"data": {"sheets": {"totalCount": 0}}}


@pytest.mark.database
async def test_a_client_that_goes_in_the_middle_of_its_body_is_no_error(served: Served) -> None:
    with capture_logs() as logged:
        host, port = served.authority.split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(HEAD.encode() + b'{"query":')
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        assert (await served.post(COUNT)).json() == {"data": {"trainingJobs": {"totalCount": 0}}}
    assert logged == []


async def test_work_that_is_given_up_has_ended_before_anybody_hears_of_it() -> None:
    begun, steps = asyncio.Event(), list[str]()

    async def receive() -> Message:
        await begun.wait()
        return {"type": "http.disconnect"}

    async def work() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            for _ in range(3):
                await asyncio.sleep(0)
            steps.append("cleaned up")

    with pytest.raises(ClientDisconnect):
        await unless_gone(receive, work())
    assert steps == ["cleaned up"]


async def test_work_that_is_done_is_done_wherever_the_client_is() -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def work() -> int:
        return 7

    assert await unless_gone(receive, work()) == 7


async def test_a_client_that_goes_while_its_answer_is_late_is_noticed_only_then() -> None:
    """Nobody listens for a client whose answer is there at once."""
    listened = asyncio.Event()

    async def receive() -> Message:
        listened.set()
        return await asyncio.Future()

    async def slow() -> int:
        await listened.wait()
        return 7

    async def quick() -> int:
        return 7

    assert await unless_gone(receive, quick()) == 7
    assert not listened.is_set()
    assert await unless_gone(receive, slow()) == 7


async def test_a_cancellation_from_elsewhere_stays_one() -> None:
    gone = asyncio.Event()

    async def receive() -> Message:
        gone.set()
        return {"type": "http.disconnect"}

    async def work() -> None:
        await asyncio.Event().wait()

    serving = asyncio.create_task(unless_gone(receive, work()))
    await asyncio.sleep(0)  # it begins to wait
    serving.cancel()
    await asyncio.wait({serving})
    assert serving.cancelled()
    assert not gone.is_set()


async def test_what_fails_fails_as_it_is() -> None:
    async def receive() -> Message:
        return await asyncio.Future()

    async def work() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await unless_gone(receive, work())
