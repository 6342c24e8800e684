"""The limits of connections, over real sockets."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import httpx
import pytest
import uvicorn
from starlette.routing import Router, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from server.web.connections import ConnectionLimits, Connections
from server.web.frames import WRITE_TEXT
from server.web.protocols import LimitedConfig
from tests.schema.clients import eventually
from tests.server.web.standins import LIMIT, Around

DEADLINE = 30.0
HURRIED = ConnectionLimits(head_seconds=0.2, body_seconds=0.4, silence_seconds=0.2, linger_seconds=0.2)
REQUEST = b"POST /graphql HTTP/1.1\r\nHost: localhost\r\n"


class _Server(uvicorn.Server):
    def __init__(self, config: LimitedConfig) -> None:
        super().__init__(config)
        self.answers = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.answers.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Served:
    def __init__(self, port: int, connections: Connections) -> None:
        self.port = port
        self.connections = connections
        self._writers: list[asyncio.StreamWriter] = []

    async def open(self, sent: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._writers.append(writer)
        writer.write(sent)
        return reader, writer

    async def ask(self, sent: bytes) -> bytes:
        """All that is answered until the server ends the connection."""
        reader, _ = await self.open(sent)
        return await ended(reader)

    async def answers(self) -> bool:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", trust_env=False) as client:
            return (await client.get("/healthz")).status_code == 200

    def close(self) -> None:
        for writer in self._writers:
            writer.close()


async def ended(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(DEADLINE):
        return await reader.read()


@asynccontextmanager
async def served(limits: ConnectionLimits, app: ASGIApp | None = None) -> AsyncIterator[Served]:
    connections = Connections(limits)
    config = LimitedConfig(
        app or Around().app(), connections, loop="none", lifespan="off", log_config=None, timeout_graceful_shutdown=1
    )
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = _Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        served = Served(listening.getsockname()[1], connections)
        try:
            async with asyncio.timeout(DEADLINE):
                await server.answers.wait()
            yield served
        finally:
            served.close()
            server.should_exit = True
            await serving


def status(response: bytes) -> int:
    return int(response.split(b" ", 2)[1]) if response else 0


def code(response: bytes) -> str:
    (_, _, name) = response.partition(b'"code":"')
    return name.partition(b'"')[0].decode()


async def test_heads_within_the_limit_are_read_in_any_pieces() -> None:
    async with served(ConnectionLimits(head_bytes=4096)) as server:
        reader, writer = await server.open(REQUEST)
        for number in range(30):
            writer.write(b"X-Filler-%d: %b\r\n" % (number, b"x" * 100))
            await writer.drain()
            await asyncio.sleep(0)
        writer.write(b"Content-Length: 2000\r\nConnection: close\r\n\r\n" + b"x" * 2000)
        assert status(await ended(reader)) == 200


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"X-Large: " + b"x" * 70_000 + b"\r\n\r\n", 431),
        (b"".join(b"X-Many-%d: x\r\n" % number for number in range(10_000)) + b"\r\n", 431),
        (b"X" * 70_000 + b": x\r\n\r\n", 431),
        (b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Trailer: " + b"x" * 400_000, 431),
        (b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * 400_000, 431),
    ],
    ids=["value", "many", "name", "trailer", "extension"],
)
async def test_a_head_over_the_limit_is_refused(head: bytes, expected: int) -> None:
    async with served(ConnectionLimits()) as server:
        response = await server.ask(REQUEST + head)
        assert (status(response), code(response)) == (expected, "REQUEST_HEADER_FIELDS_TOO_LARGE")
        assert b"connection: close" in response


async def test_an_address_over_the_limit_is_refused() -> None:
    async with served(ConnectionLimits()) as server:
        for rest in (b"", b" HTTP/1.1\r\nHost: localhost\r\n\r\n"):
            response = await server.ask(b"GET /graphql?query=" + b"x" * 40_000 + rest)
            assert (status(response), code(response)) == (414, "REQUEST_URI_TOO_LONG")


async def test_a_huge_header_is_refused_before_it_is_all_sent_and_stalls_nobody() -> None:
    async with served(ConnectionLimits()) as server:
        reader, writer = await server.open(REQUEST + b"X-Huge: ")
        received = asyncio.create_task(ended(reader))
        for _ in range(40 * 16):
            writer.write(b"x" * 65_536)
            await writer.drain()
            if received.done():
                break
        assert status(await received) == 431
        assert await server.answers()


async def test_a_request_that_is_none_is_a_bad_request() -> None:
    async with served(ConnectionLimits()) as server:
        response = await server.ask(b"nonsense\r\n\r\n")
        assert (status(response), code(response)) == (400, "BAD_REQUEST")


@pytest.mark.parametrize("sent", [b"", b"\r\n"])
async def test_a_silent_socket_is_closed(sent: bytes) -> None:
    async with served(HURRIED) as server:
        assert await server.ask(sent) == b""


async def test_stray_bytes_after_a_response_do_not_keep_a_connection_open() -> None:
    async with served(HURRIED) as server:
        reader, writer = await server.open(REQUEST + b"Content-Length: 0\r\n\r\n")
        assert b"200 OK" in await reader.readline()
        writer.write(b"\r\n")
        await ended(reader)


@pytest.mark.parametrize("sent", [b"P", REQUEST, REQUEST + b"X-Half: "])
async def test_headers_that_take_too_long_are_refused(sent: bytes) -> None:
    async with served(HURRIED) as server:
        response = await server.ask(sent)
        assert (status(response), code(response)) == (408, "REQUEST_TIMEOUT")


async def dribble(server: Served, head: bytes) -> bytes:
    """The answer to a client that goes on sending a byte at a time."""
    reader, writer = await server.open(head)
    received = asyncio.create_task(ended(reader))
    while not received.done():
        writer.write(b"x")
        await asyncio.wait({received}, timeout=0.02)
    return await received


async def test_headers_that_dribble_are_refused() -> None:
    async with served(HURRIED) as server:
        assert status(await dribble(server, REQUEST + b"X-Slow: ")) == 408


async def test_a_body_that_dribbles_is_refused() -> None:
    async with served(HURRIED) as server:
        assert status(await dribble(server, REQUEST + b"Content-Length: 2000\r\n\r\n")) == 408


async def test_a_body_that_stops_is_refused() -> None:
    limits = ConnectionLimits(head_seconds=DEADLINE, body_seconds=DEADLINE, silence_seconds=0.2, linger_seconds=0.2)
    async with served(limits) as server:
        assert status(await server.ask(REQUEST + b"Content-Length: 2000\r\n\r\nhalf")) == 408


async def test_a_request_that_is_served_is_in_no_hurry() -> None:
    async with served(HURRIED) as server:
        reader, _ = await server.open(REQUEST + b"Accept: text/event-stream\r\nContent-Length: 6\r\n\r\nstream")
        async with asyncio.timeout(DEADLINE):
            await reader.readuntil(b"event: next\n\n\r\n")
            silent = await server.ask(b"")  # it came later, and its time is up
        assert silent == b""
        assert not reader.at_eof()
        assert server.connections._open == 1


async def hold(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.receive()


HOLDING = Router([WebSocketRoute("/graphql", hold)])


async def test_a_websocket_is_in_no_hurry() -> None:
    async with (
        served(HURRIED, HOLDING) as server,
        connect(f"ws://127.0.0.1:{server.port}/graphql", proxy=None) as opened,
    ):
        assert await server.ask(b"") == b"", "it came later, and its time is up"
        async with asyncio.timeout(DEADLINE):
            await (await opened.ping())


async def test_one_connection_too_many_is_refused_until_another_ends() -> None:
    async with served(ConnectionLimits(most=2)) as server:
        (reader, writer), _ = await server.open(REQUEST), await server.open(REQUEST)
        response = await server.ask(b"")
        assert (status(response), code(response)) == (503, "SERVICE_UNAVAILABLE")
        writer.write(b"Content-Length: 0\r\nConnection: close\r\n\r\n")
        assert status(await ended(reader)) == 200
        assert await server.answers()


async def test_a_websocket_counts_until_it_ends() -> None:
    async with served(ConnectionLimits(most=1), HOLDING) as server:
        for _ in range(3):
            async with connect(f"ws://127.0.0.1:{server.port}/graphql", proxy=None):
                assert status(await server.ask(b"")) == 503


@pytest.mark.parametrize(
    "headers",
    [b"X-Large: " + b"x" * 20_000 + b"\r\n", b"".join(b"X-Many-%d: x\r\n" % number for number in range(500))],
    ids=["large", "many"],
)
async def test_a_handshake_that_can_not_be_read_is_refused(headers: bytes) -> None:
    handshake = (
        b"GET /graphql HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
    )
    async with served(ConnectionLimits(), HOLDING) as server:
        assert status(await server.ask(handshake + headers + b"\r\n")) == 400


async def test_who_is_answered_already_gets_no_second_answer() -> None:
    foreign = b"POST /graphql HTTP/1.1\r\nHost: page.example\r\nContent-Length: 2000\r\n\r\nhalf"
    async with served(HURRIED) as server:
        reader, _ = await server.open(foreign)
        with suppress(ConnectionResetError):
            async with asyncio.timeout(DEADLINE):
                assert await reader.readline() == b"HTTP/1.1 421 Misdirected Request\r\n"
                assert b"HTTP/1.1" not in await reader.read()


def test_loopback_may_have_all_connections_and_another_address_its_share() -> None:
    connections = Connections(ConnectionLimits(most=4, most_of_address=1))
    admitted = [connections.admit(each) for each in ("127.0.0.1", "::1", "127.0.0.1", "192.0.2.1", "192.0.2.2")]
    assert admitted == [True, True, True, True, False]
    connections.release("::1")
    assert [connections.admit("192.0.2.1"), connections.admit("192.0.2.2")] == [False, True]


async def test_a_refused_websocket_is_no_error_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "uvicorn.error"):
        async with served(ConnectionLimits()) as server:
            with pytest.raises(InvalidStatus) as refused:
                await connect(f"ws://127.0.0.1:{server.port}/graphql", origin="http://127.0.0.1:9", proxy=None)  # type: ignore[arg-type]
    assert refused.value.response.status_code == 403
    assert b"FORBIDDEN" in refused.value.response.body
    assert caplog.messages == []


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_client_that_reads_only_when_all_is_sent_hears_why_it_was_refused(*, chunked: bool) -> None:
    size = 32 * 1024 * 1024
    head = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % size if chunked else b"Content-Length: %d\r\n\r\n" % size
    assert size > LIMIT

    def send_and_read(port: int) -> bytes:
        with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as client:
            client.sendall(REQUEST + head + b"x" * size + (b"\r\n0\r\n\r\n" if chunked else b""))
            return client.recv(65_536)

    async with served(ConnectionLimits()) as server:
        response = await asyncio.to_thread(send_and_read, server.port)
    assert (status(response), code(response)) == (413, "BODY_TOO_LARGE")


class Direct:
    """An endpoint that is told by its client how often to write what, and says how that went."""

    def __init__(self) -> None:
        self.written: list[bool] = []
        self.write: Callable[[str], bool] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        write = self.write = scope["extensions"][WRITE_TEXT]["write"]
        self.written.append(write("before the handshake"))
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            count, text = message["text"].split(" ")
            self.written += [write(text) for _ in range(int(count))]
            await send({"type": "websocket.send", "text": "done"})


async def test_texts_are_written_at_once_and_in_order() -> None:
    app = Direct()
    texts = ["", "a", "é" * 70, "x" * 65_536, "y" * 300_000, "y" * 300_000, "a"]
    async with served(ConnectionLimits(), app) as server:
        async with connect(f"ws://127.0.0.1:{server.port}/", compression=None) as client, asyncio.timeout(DEADLINE):
            for text in texts:
                await client.send(f"2 {text}")
                assert [await client.recv() for _ in range(2)] == [text] * 2
                assert await client.recv() == "done"
        assert app.write is not None
        await eventually(lambda: server.connections._open == 0)
        assert app.write("after the end") is False
    assert app.written == [False, *[True] * 2 * len(texts)]


async def test_a_compressed_socket_is_written_to_by_send_alone() -> None:
    app = Direct()
    async with (
        served(ConnectionLimits(), app) as server,
        connect(f"ws://127.0.0.1:{server.port}/", compression="deflate") as client,
        asyncio.timeout(DEADLINE),
    ):
        await client.send("1 text")
        assert await client.recv() == "done"
    assert app.written == [False, False]


async def test_who_does_not_read_is_not_written_to_at_once() -> None:
    app = Direct()
    async with (
        served(ConnectionLimits(), app) as server,
        connect(f"ws://127.0.0.1:{server.port}/", compression=None) as client,
        asyncio.timeout(DEADLINE),
    ):
        await client.send(f"200 {'x' * 500_000}")
        sent = 0
        while (text := await client.recv()) != "done":
            assert text == "x" * 500_000
            sent += 1
    assert app.written[1:] == [True] * sent + [False] * (200 - sent)
    assert 0 < sent < 200
