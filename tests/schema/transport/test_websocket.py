"""Operations over a WebSocket: each has its answers and its end, and none has to do with another."""

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from schema.execution import json_text
from schema.transport import decoding
from schema.transport.websocket import MOST_STREAMS
from tests.schema.clients import eventually
from tests.schema.served import Served, serving
from tests.schema.world import JOBS, World

pytestmark = [pytest.mark.database, pytest.mark.asyncio(loop_scope="module")]

COUNT = "{trainingJobs{totalCount}}"
COUNTED = {"trainingJobs": {"totalCount": JOBS}}
ALL = "subscription{trainingJobsUpdated{id}}"
CREATE = "mutation($name:String!){createSheet(input:{name:$name,source:EXTERNAL}){... on Sheet{name}}}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(world: World) -> AsyncIterator[Served]:
    """One endpoint for all tests that only read."""
    async with serving(world.url) as served:
        yield served


@pytest_asyncio.fixture(loop_scope="module")
async def own(database_url: str) -> AsyncIterator[Served]:
    async with serving(database_url) as served:
        yield served


def tasks() -> set[str]:
    return {task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith(("stream ", "websocket "))}


async def test_queries_and_mutations_are_answered_and_completed(own: Served) -> None:
    async with own.socket() as socket:
        await socket.subscribe("1", COUNT)
        assert await socket.receive() == {
            "id": "1",
            "type": "next",
            "payload": {"data": {"trainingJobs": {"totalCount": 0}}},
        }
        assert await socket.receive() == {"id": "1", "type": "complete"}
        await socket.subscribe("2", CREATE, name="ä 🦓")
        assert await socket.next("2") == {"createSheet": {"name": "ä 🦓"}}
        assert await socket.receive() == {"id": "2", "type": "complete"}
        payload = {"query": "query A{__typename} query B{trainingJobs{totalCount}}", "operationName": "B"}
        await socket.send(type="subscribe", id="3", payload=payload | {"variables": None, "extensions": None})
        assert await socket.next("3") == {"trainingJobs": {"totalCount": 0}}


async def test_an_id_is_free_again_right_after_the_client_completes(served: Served) -> None:
    async with served.socket() as socket:
        for _ in range(20):
            await socket.subscribe("same", ALL)
            await socket.send(type="complete", id="same")
        await socket.subscribe("same", COUNT)
        assert await socket.receive() == {"id": "same", "type": "next", "payload": {"data": COUNTED}}
        assert await socket.receive() == {"id": "same", "type": "complete"}
        await served.watched(0)


async def test_an_id_is_free_again_right_after_the_server_completes(served: Served) -> None:
    async with served.socket() as socket:
        for query in ["{__typename}", "{"] * 20:
            await socket.subscribe("same", query)
            while (await socket.receive())["type"] not in {"complete", "error"}:
                pass
        await socket.send(type="complete", id="same")
        await socket.send(type="complete", id="never")
        await socket.send(type="ping")
        assert await socket.receive() == {"type": "pong"}


async def test_ids_may_hold_any_character(served: Served) -> None:
    async with served.socket() as socket:
        for stream in ("\ud800", "\x00", "🦓" * 64, " "):
            await socket.subscribe(stream, "{__typename}")
            assert await socket.next(stream) == {"__typename": "Query"}
            assert await socket.receive() == {"id": stream, "type": "complete"}


@pytest.mark.parametrize(
    ("payload", "code", "message"),
    [
        ({"query": "{"}, None, "Syntax Error: Expected Name, found <EOF>."),
        ({"query": "{trainingJobs{total}}"}, None, "Cannot query field 'total' on type 'TrainingJobConnection'."),
        ({"query": COUNT, "operationName": "A"}, None, "the document has no operation called 'A'; it has (unnamed)"),
        (
            {"query": "query($n:Int!){trainingJobs(first:$n){totalCount}}"},
            None,
            "Variable '$n' has invalid value: Expected a value of non-null type 'Int!' to be provided.",
        ),
        (
            {"query": 'subscription{trainingJobEvents(jobId:"job_1"){id}}'},
            "NOT_FOUND",
            "no job has the id 'job_1'",
        ),
        (
            {"query": 'subscription{trainingJobUpdated(id:"job_1"){id}}'},
            "NOT_FOUND",
            "no job has the id 'job_1'",
        ),
    ],
)
async def test_an_error_ends_its_operation_alone(
    served: Served, payload: dict[str, object], code: str | None, message: str
) -> None:
    async with served.socket() as socket:
        await socket.subscribe("all", ALL)
        await served.watched(1)
        await socket.send(type="subscribe", id="bad", payload=payload)
        answer = await socket.receive()
        assert (answer["id"], answer["type"]) == ("bad", "error")
        [error] = answer["payload"]
        assert (error.get("extensions", {}).get("code"), error["message"]) == (code, message)
        await socket.subscribe("good", COUNT)
        assert await socket.next("good") == COUNTED
        assert await socket.receive() == {"id": "good", "type": "complete"}
        await served.watched(1)


async def test_a_field_that_fails_is_part_of_the_answer(served: Served) -> None:
    async with served.socket() as socket:
        await socket.subscribe("1", "{trainingJobs(first:-1){totalCount}}")
        assert await socket.receive() == {
            "id": "1",
            "type": "next",
            "payload": {
                "errors": [
                    {
                        "message": "first must not be negative",
                        "locations": [{"line": 1, "column": 2}],
                        "path": ["trainingJobs"],
                        "extensions": {"code": "INVALID_ARGUMENT"},
                    }
                ],
                "data": None,
            },
        }
        assert await socket.receive() == {"id": "1", "type": "complete"}


async def test_a_socket_carries_a_hundred_operations_at_once(served: Served) -> None:
    async with served.socket() as socket:
        for number in range(MOST_STREAMS):
            await socket.subscribe(str(number), ALL)
        await served.watched(MOST_STREAMS)
        await socket.subscribe("more", COUNT)
        error = {"message": "more than 100 operations on one socket", "extensions": {"code": "TOO_MANY_OPERATIONS"}}
        assert await socket.receive() == {"id": "more", "type": "error", "payload": [error]}
        await served.watched(MOST_STREAMS)
        await socket.send(type="complete", id="7")
        await socket.subscribe("more", COUNT)
        assert await socket.next("more") == COUNTED
        assert await socket.receive() == {"id": "more", "type": "complete"}
        await served.watched(MOST_STREAMS - 1)
    await served.watched(0)
    await eventually(lambda: tasks() == set())


@pytest.mark.parametrize("abrupt", [False, True])
async def test_a_client_that_goes_leaves_nothing_behind(own: Served, *, abrupt: bool) -> None:
    job_id = await own.job()
    with capture_logs() as logged:
        async with own.locked("sheets") as lock, own.socket() as socket:
            await socket.subscribe("all", ALL)
            await socket.subscribe("one", "subscription($id:ID!){trainingJobUpdated(id:$id){id}}", id=job_id)
            await socket.next("one")
            await socket.subscribe("query", "{sheets{totalCount}}")
            await socket.subscribe("mutation", CREATE, name="never")
            await own.watched(2)
            await lock.waiting(2)
            assert tasks() == {"stream query", "stream mutation"}
            if abrupt:
                socket.connection.transport.abort()
            else:
                await socket.connection.close()
            await own.watched(0)
            await eventually(lambda: tasks() == set())
            await eventually(lambda: own.connections_in_use() == 0)
    assert logged == []
    assert (await own.post("{sheets{nodes{name}}}")).json() == {"data": {"sheets": {"nodes": [{"name": "sheet 0"}]}}}


async def test_the_end_of_the_server_ends_its_sockets(database_url: str) -> None:
    async with serving(database_url) as served:
        entered = served.socket()
        socket = await entered.__aenter__()
        await socket.subscribe("all", ALL)
        await served.watched(1)
    assert await socket.closed() == (1012, "")
    assert tasks() == set()
    assert served.watches() == 0
    await entered.__aexit__(None, None, None)


async def test_a_large_message_is_decoded_beside_the_event_loop(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[bool] = []

    def decode(text: str | bytes) -> object:
        threads.append(threading.current_thread() is threading.main_thread())
        return json_text.decode(text)

    monkeypatch.setattr(decoding, "decode", decode)
    async with served.socket() as socket:
        await socket.subscribe("1", COUNT, unused="x" * decoding.SMALL_BYTES)
        assert await socket.next("1") == {"trainingJobs": {"totalCount": JOBS}}
    assert threads == [True, False], "the greeting, and the operation"
