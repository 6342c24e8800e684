"""The client of the API: what it sends, and what it makes of answers and of streams that break."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager

import httpx
import pytest
from websockets.asyncio.server import ServerConnection, serve

from server.commands.demo.client import PROTOCOL, Client, Data, RequestFailed, StreamLost

Script = Callable[[ServerConnection, str], Awaitable[None]]


def answering(status: int, content: bytes) -> Client:
    async def handle(request: httpx.Request) -> httpx.Response:
        return httpx.Response(status, content=content)

    return Client("host", httpx.AsyncClient(transport=httpx.MockTransport(handle), base_url="http://host"))


async def test_a_question_is_posted_with_its_variables_and_its_data_is_the_answer() -> None:
    asked: list[Data] = []

    async def handle(request: httpx.Request) -> httpx.Response:
        assert (request.method, request.url.path) == ("POST", "/graphql")
        asked.append(json.loads(request.content))
        return httpx.Response(200, json={"data": {"node": {"id": "1"}}})

    http = httpx.AsyncClient(transport=httpx.MockTransport(handle), base_url="http://host")
    answer = await Client("host", http).ask("query($id: ID!) { node(id: $id) { id } }", id="1")
    assert answer == {"node": {"id": "1"}}
    assert asked == [{"query": "query($id: ID!) { node(id: $id) { id } }", "variables": {"id": "1"}}]


@pytest.mark.parametrize(
    ("status", "content", "message"),
    [
        (200, b'{"data": null, "errors": [{"message": "first"}, {"message": "second"}]}', "first; second"),
        (400, b'{"errors": [{"message": "Syntax Error"}]}', "Syntax Error"),
        (502, b"<html>", "The server did not answer: "),
    ],
)
async def test_an_answer_with_errors_is_none(status: int, content: bytes, message: str) -> None:
    with pytest.raises(RequestFailed, match=message):
        await answering(status, content).ask("{ x }")


@asynccontextmanager
async def streaming(script: Script) -> AsyncIterator[tuple[Client, list[Data]]]:
    """A client of a server that greets, takes one subscription and then does as `script` says."""
    received: list[Data] = []

    async def handle(socket: ServerConnection) -> None:
        assert socket.subprotocol == "graphql-transport-ws"
        received.append(json.loads(await socket.recv()))
        await socket.send('{"type": "ping"}')
        received.append(json.loads(await socket.recv()))
        await socket.send('{"type": "connection_ack"}')
        subscription = json.loads(await socket.recv())
        received.append(subscription)
        await script(socket, subscription["id"])

    async with serve(handle, "127.0.0.1", 0, subprotocols=[PROTOCOL]) as server:
        port = server.sockets[0].getsockname()[1]
        async with Client.open(f"127.0.0.1:{port}") as client:
            yield client, received


async def send(socket: ServerConnection, stream: str, kind: str, payload: object = None) -> None:
    await socket.send(json.dumps({"type": kind, "id": stream, "payload": payload}))


async def test_a_stream_gives_its_data_until_it_completes() -> None:
    async def script(socket: ServerConnection, stream: str) -> None:
        await send(socket, stream, "next", {"data": {"n": 1}})
        await send(socket, "another", "next", {"data": {"n": 0}})
        await socket.send('{"type": "ping"}')
        assert json.loads(await socket.recv()) == {"type": "pong"}
        await send(socket, stream, "next", {"data": {"n": 2}})
        await send(socket, stream, "complete")

    async with streaming(script) as (client, received):
        assert [data async for data in client.follow("subscription { n }", k="v")] == [{"n": 1}, {"n": 2}]
    init, pong, subscription = received
    assert (init, pong) == ({"type": "connection_init"}, {"type": "pong"})
    assert subscription["payload"] == {"query": "subscription { n }", "variables": {"k": "v"}}


async def test_a_stream_that_is_refused_says_why() -> None:
    async def script(socket: ServerConnection, stream: str) -> None:
        await send(socket, stream, "error", [{"message": "Cannot query field"}])

    async with streaming(script) as (client, _):
        with pytest.raises(RequestFailed, match="Cannot query field") as refused:
            [data async for data in client.follow("subscription { nothing }")]
    assert not isinstance(refused.value, StreamLost)


@pytest.mark.parametrize("code", [1000, 1012])
async def test_a_stream_that_ends_before_it_completes_is_lost(code: int) -> None:
    async def script(socket: ServerConnection, stream: str) -> None:
        await send(socket, stream, "next", {"data": {"n": 1}})
        await socket.close(code)

    async with streaming(script) as (client, _):
        stream = client.follow("subscription { n }")
        assert await anext(stream) == {"n": 1}
        with pytest.raises(StreamLost):
            await anext(stream)


async def test_nobody_there_is_a_stream_lost() -> None:
    async with serve(lambda _: asyncio.sleep(0), "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
    async with Client.open(f"127.0.0.1:{port}") as client:
        with pytest.raises(StreamLost):
            [data async for data in client.follow("subscription { n }")]


async def test_a_stream_can_be_left() -> None:
    left = asyncio.Event()

    async def script(socket: ServerConnection, stream: str) -> None:
        await send(socket, stream, "next", {"data": {"n": 1}})
        await socket.wait_closed()
        left.set()

    async with streaming(script) as (client, _):
        async with aclosing(client.follow("subscription { n }")) as stream:
            assert await anext(stream) == {"n": 1}
        async with asyncio.timeout(5):
            await left.wait()
