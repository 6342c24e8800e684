import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from tests.bench import crowd
from tests.bench.crowd import CrowdFailed, joined, subscribe

DOCUMENT = "subscription($id: ID!) { a(id: $id) }"
OPENING = subscribe(DOCUMENT, id="job_1")
Serve = Callable[[ServerConnection], Awaitable[None]]


def told(value: object) -> str:
    return json.dumps({"id": "1", "type": "next", "payload": {"data": value}}, separators=(",", ":"))


async def greet(socket: ServerConnection) -> dict[str, object]:
    """Answer what every subscriber says first; what it subscribed to."""
    assert json.loads(await socket.recv()) == {"type": "connection_init"}
    await socket.send('{"type":"connection_ack"}')
    wanted: dict[str, object] = json.loads(await socket.recv())
    assert json.loads(await socket.recv()) == {"type": "ping"}
    await socket.send('{"type":"pong"}')
    return wanted


@asynccontextmanager
async def answering(converse: Serve) -> AsyncIterator[int]:
    protocol = Subprotocol("graphql-transport-ws")
    async with serve(converse, "127.0.0.1", 0, subprotocols=[protocol], compression=None) as server:
        yield next(iter(server.sockets)).getsockname()[1]


@given(size=st.sampled_from([0, 1, 125, 126, 127, 65_535]), after=st.binary(max_size=3))
def test_a_frame_ends_where_it_says(size: int, after: bytes) -> None:
    length = bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2, "big")
    data = b"xx\x81" + length + b"p" * size + after

    parsed = crowd.next_frame(data, 2)

    assert parsed is not None
    opcode, begin, end = parsed
    assert (opcode, data[begin:end], data[end:]) == (crowd.TEXT, b"p" * size, after)
    assert {crowd.next_frame(data[:cut], 2) for cut in {2, 3, begin, end - 1} - {end}} == {None}


def test_a_frame_may_be_longer_than_two_bytes_can_say() -> None:
    data = b"\x81\x7f" + (70_000).to_bytes(8, "big") + b"p" * 70_000

    assert crowd.next_frame(data, 0) == (crowd.TEXT, 10, 70_010)


async def test_every_message_counts_however_it_is_cut() -> None:
    subscribed = []

    async def converse(socket: ServerConnection) -> None:
        subscribed.append(await greet(socket))
        await socket.ping()
        await socket.send('{"type":"ping"}')
        assert json.loads(await socket.recv()) == {"type": "pong"}
        for number, size in enumerate((1, 1_000, 100_000)):
            await socket.send(told([number, "x" * size]))
        await socket.wait_closed()

    async with answering(converse) as port, joined(port, [OPENING] * 3, equal=True) as members:
        if members.received < 9:
            await members.expect(9 - members.received)

        assert [one.count for one in members.members] == [3, 3, 3]
        assert {one.last for one in members.members} == {told([2, "x" * 100_000]).encode()}
    wanted = {"id": "1", "type": "subscribe", "payload": {"query": DOCUMENT, "variables": {"id": "job_1"}}}
    assert subscribed == [wanted] * 3


async def test_equal_subscribers_must_be_sent_the_same() -> None:
    numbers = iter(range(10))
    begin = asyncio.Event()

    async def converse(socket: ServerConnection) -> None:
        await greet(socket)
        await begin.wait()
        await socket.send(told(next(numbers)))
        await socket.wait_closed()

    async with answering(converse) as port, joined(port, [OPENING] * 2, equal=True) as members:
        delivered = members.expect(3)
        begin.set()
        with pytest.raises(CrowdFailed, match="different messages"):
            await delivered


@pytest.mark.parametrize(
    "ending", ['{"id":"1","type":"error","payload":[]}', '{"id":"1","type":"complete"}', None], ids=str
)
async def test_a_subscription_that_ends_is_told_to_whoever_waits(ending: str | None) -> None:
    begin = asyncio.Event()

    async def converse(socket: ServerConnection) -> None:
        await greet(socket)
        await begin.wait()
        if ending is not None:
            await socket.send(ending)

    async with answering(converse) as port, joined(port, [OPENING], equal=True) as members:
        delivered = members.expect(1)
        begin.set()
        with pytest.raises(CrowdFailed):
            await delivered
        with pytest.raises(CrowdFailed):
            members.check()


async def test_a_server_that_opens_no_socket_is_told() -> None:
    async def refuse(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        with pytest.raises(CrowdFailed, match="503"):
            async with joined(server.sockets[0].getsockname()[1], [OPENING], equal=True):
                pass
