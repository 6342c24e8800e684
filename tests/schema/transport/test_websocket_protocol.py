"""The messages of graphql-transport-ws, and how a socket is closed on a client that breaks the protocol."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from structlog.testing import capture_logs
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from schema.transport.timing import Timing
from schema.transport.websocket import LONGEST_ID
from tests.schema.clients import PROTOCOL, Socket, eventually
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


async def test_the_protocol_is_the_one_that_is_spoken(served: Served) -> None:
    async with served.socket(greet=False) as socket:
        assert socket.connection.subprotocol == PROTOCOL


@pytest.mark.parametrize("offered", [[], ["graphql-ws"], ["a", "b"]])
async def test_another_protocol_is_refused(served: Served, offered: list[str]) -> None:
    subprotocols = [Subprotocol(name) for name in offered] or None
    async with connect(f"ws://{served.authority}/graphql", subprotocols=subprotocols, proxy=None) as connection:
        assert connection.subprotocol is None
        assert await Socket(connection).closed() == (4406, "Subprotocol not acceptable")


@pytest.mark.parametrize("offered", [["graphql-ws", PROTOCOL], [PROTOCOL, "graphql-ws"]])
async def test_a_client_may_offer_others_beside(served: Served, offered: list[Subprotocol]) -> None:
    async with connect(f"ws://{served.authority}/graphql", subprotocols=offered, proxy=None) as connection:
        assert connection.subprotocol == PROTOCOL


@pytest.mark.parametrize("greeting", [{}, {"payload": None}, {"payload": {"token": "x"}}])
async def test_a_greeting_may_say_something_or_nothing(served: Served, greeting: dict[str, object]) -> None:
    async with served.socket(greet=False) as socket:
        await socket.send(type="connection_init", **greeting)
        assert await socket.receive() == {"type": "connection_ack"}


NO_OBJECT = "A message must be a JSON object in a text frame"
NO_PAYLOAD = "The payload of a message must be an object"
ID = f"An id must be a string of 1 to {LONGEST_ID} characters"
QUERY = {"query": COUNT}


def subscribing(payload: dict[str, object]) -> str:
    return json.dumps({"type": "subscribe", "id": "1", "payload": payload})


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        ("[]", NO_OBJECT),
        ('[{"type":"ping"}]', NO_OBJECT),
        ("null", NO_OBJECT),
        ('"ping"', NO_OBJECT),
        ("1", NO_OBJECT),
        ("", NO_OBJECT),
        ("{", NO_OBJECT),
        ('{"type":"ping","payload":{"a":NaN}}', NO_OBJECT),
        ('{"type":"ping","payload":{"a":1e999}}', NO_OBJECT),
        ("[" * 100_000, NO_OBJECT),
        ('{"type":' * 100_000, NO_OBJECT),
        ('{"type":' + "9" * 5000 + "}", NO_OBJECT),
        (b'{"type":"ping"}', NO_OBJECT),
        (b"\xff", NO_OBJECT),
        ("{}", "The type of a message must be a string"),
        ('{"type":null}', "The type of a message must be a string"),
        ('{"type":["ping"]}', "The type of a message must be a string"),
        ('{"type":' + "[" * 900 + "]" * 900 + "}", "The type of a message must be a string"),
        ('{"type":"start"}', "Unknown message type 'start'"),
        ('{"type":"connection_terminate"}', "Unknown message type 'connection_terminate'"),
        ('{"type":"ü\\ud800' + "x" * 100 + '"}', "Unknown message type '\\xfc\\ud800" + "x" * 38 + "'"),
        ('{"type":"ping","payload":"x"}', NO_PAYLOAD),
        ('{"type":"pong","payload":[]}', NO_PAYLOAD),
        ('{"type":"connection_init","payload":1}', NO_PAYLOAD),
        ('{"type":"complete"}', ID),
        ('{"type":"complete","id":1}', ID),
        (json.dumps({"type": "subscribe", "payload": QUERY}), ID),
        (json.dumps({"type": "subscribe", "id": None, "payload": QUERY}), ID),
        (json.dumps({"type": "subscribe", "id": {"a": 1}, "payload": QUERY}), ID),
        (json.dumps({"type": "subscribe", "id": ["1"], "payload": QUERY}), ID),
        (json.dumps({"type": "subscribe", "id": "", "payload": QUERY}), ID),
        (json.dumps({"type": "subscribe", "id": "x" * (LONGEST_ID + 1), "payload": QUERY}), ID),
        (json.dumps({"type": "subscribe", "id": "1"}), "The payload of subscribe must be an object"),
        (json.dumps({"type": "subscribe", "id": "1", "payload": None}), "The payload of subscribe must be an object"),
        (subscribing({}), "The query of a payload must be a string"),
        (subscribing({"query": None}), "The query of a payload must be a string"),
        (subscribing({"query": COUNT, "operationName": 1}), "The operationName of a payload must be a string"),
        (subscribing({"query": COUNT, "variables": []}), "The variables of a payload must be an object"),
        (subscribing({"query": COUNT, "extensions": "x"}), "The extensions of a payload must be an object"),
        (json.dumps({"type": "subscribe", "id": "1", "payload": COUNT}), NO_PAYLOAD),
        (json.dumps({"type": "subscribe", "id": "1", "payload": [QUERY]}), NO_PAYLOAD),
    ],
)
async def test_a_message_that_is_none_closes_the_socket(served: Served, frame: str | bytes, reason: str) -> None:
    with capture_logs() as logged:
        async with served.socket() as socket:
            await socket.subscribe("all", ALL)
            await served.watched(1)
            await socket.connection.send(frame)
            assert await socket.closed() == (4400, reason)
        await served.watched(0)
        await eventually(lambda: tasks() == set())
    assert logged == []


async def test_nothing_is_executed_before_the_greeting(own: Served) -> None:
    async with own.socket(greet=False) as socket:
        await socket.subscribe("1", CREATE, name="a")
        assert await socket.closed() == (4401, "Unauthorized")
    assert (await own.post("{sheets{totalCount}}")).json() == {"data": {"sheets": {"totalCount": 0}}}


async def test_a_client_that_does_not_greet_is_let_go(database_url: str) -> None:
    async with serving(database_url, Timing(init_within=0.05)) as served:
        async with served.socket(greet=False) as socket:
            await socket.send(type="ping")
            assert await socket.receive() == {"type": "pong"}
            assert await socket.closed() == (4408, "Connection initialisation timeout")
        async with served.socket() as greeted:
            await greeted.subscribe("all", ALL)
            await served.watched(1)
            async with served.socket(greet=False) as late:
                assert (await late.closed())[0] == 4408
            await greeted.send(type="ping")
            assert await greeted.receive() == {"type": "pong"}


async def test_greeting_twice_is_too_often(served: Served) -> None:
    async with served.socket() as socket:
        await socket.send(type="connection_init")
        assert await socket.closed() == (4429, "Too many initialisation requests")


async def test_an_id_in_use_can_not_be_used_again(served: Served) -> None:
    longest = "ü" * LONGEST_ID
    async with served.socket() as socket:
        await socket.subscribe(longest, ALL)
        await socket.subscribe(longest, COUNT)
        code, reason = await socket.closed()
    assert (code, reason) == (4409, "Subscriber for " + "ü" * 54)
    assert len(reason.encode()) == 123
    await served.watched(0)


async def test_half_a_character_can_be_named_in_a_close_frame(served: Served) -> None:
    async with served.socket() as socket:
        await socket.subscribe("\ud800", ALL)
        await socket.subscribe("\ud800", ALL)
        assert await socket.closed() == (4409, "Subscriber for ? already exists")


async def test_a_ping_is_answered_before_the_greeting_and_after(served: Served) -> None:
    async with served.socket(greet=False) as socket:
        await socket.send(type="ping", payload={"at": 1})
        assert await socket.receive() == {"type": "pong"}
        await socket.send(type="pong")
        await socket.send(type="connection_init")
        assert await socket.receive() == {"type": "connection_ack"}
        await socket.send(type="ping", payload=None)
        await socket.send(type="pong", payload={})
        assert await socket.receive() == {"type": "pong"}


async def test_the_server_pings_a_silent_client(database_url: str) -> None:
    async with serving(database_url, Timing(ping_every=0.01)) as served, served.socket(greet=False) as socket:
        for _ in range(3):
            assert await socket.receive() == {"type": "ping"}
            await socket.send(type="pong")


async def test_a_client_that_goes_in_its_handshake_is_no_error(served: Served) -> None:
    with capture_logs() as logged:
        host, port = served.authority.split(":")
        for _ in range(5):
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(
                f"GET /graphql HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                f"Sec-WebSocket-Protocol: {PROTOCOL}\r\n\r\n".encode()
            )
            writer.transport.abort()
        async with served.socket() as socket:
            await socket.subscribe("1", COUNT)
            assert await socket.next("1") == COUNTED
    assert logged == []
