"""A small HTTP/1.1 client that keeps its connections alive and asks again as soon as it is answered."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

CONNECTIONS = 8
TIMEOUT = 60.0  # seconds for one answer
LARGEST_HEADER = 64 * 1024
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class BadAnswer(Exception):
    """A server answered with another status than 200, or not as it did before."""


@dataclass(frozen=True, slots=True)
class Request:
    """A POST as it is sent: to a path, with a JSON body."""

    path: str
    body: bytes

    def bytes(self, port: int) -> bytes:
        """The whole request."""
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
            f"Accept: application/json\r\nContent-Length: {len(self.body)}\r\n\r\n"
        )
        return head.encode() + self.body


@dataclass(slots=True)
class Load:
    """What was asked of one server in one stretch of time."""

    requests: int = 0
    seconds: float = 0.0
    answers: dict[int, bytes] = field(default_factory=dict)


class Connection:
    """One connection to a server on this machine."""

    def __init__(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.port = port
        self._reader = reader
        self._writer = writer

    async def ask(self, request: bytes) -> bytes:
        """The body of the answer. Raises `BadAnswer` for any status but 200."""
        head, body = await self.exchange(request)
        if not head.startswith(b"HTTP/1.1 200"):
            raise BadAnswer((head + body)[:2000].decode(errors="replace"))
        return body

    async def exchange(self, request: bytes, timeout_seconds: float = TIMEOUT) -> tuple[bytes, bytes]:
        """Head and body of a response, whatever its status. Raises TimeoutError; OSError or EOFError when it is cut."""
        self._writer.write(request)
        async with asyncio.timeout(timeout_seconds):
            head = await self._reader.readuntil(b"\r\n\r\n")
            length = LENGTH.search(head)
            return head, await self._reader.readexactly(int(length[1])) if length else await self._chunks()

    async def _chunks(self) -> bytes:
        body = b""
        while size := int(await self._reader.readline(), 16):
            body += await self._reader.readexactly(size)
            await self._reader.readexactly(2)
        await self._reader.readline()
        return body

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Connection]:
    """A connection that is closed afterwards."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=LARGEST_HEADER)
    connection = Connection(port, reader, writer)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def connections(port: int, count: int = CONNECTIONS) -> AsyncIterator[list[Connection]]:
    """Several of them."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(connected(port)) for _ in range(count)]


async def press(
    open_connections: Sequence[Connection], requests: Sequence[bytes], *, seconds: float, most: int
) -> Load:
    """Ask for `requests` in turn over all connections for a while, `most` at most; no request is left unanswered.

    Raises `BadAnswer` when the same request is answered in two ways.
    """
    load = Load()
    began = time.perf_counter()
    until = began + seconds

    async def work(connection: Connection) -> None:
        while load.requests < most and time.perf_counter() < until:
            turn = load.requests % len(requests)
            load.requests += 1
            answer = await connection.ask(requests[turn])
            if load.answers.setdefault(turn, answer) != answer:
                raise BadAnswer(f"the same request was answered in two ways: {answer[:500]!r}")

    async with asyncio.TaskGroup() as group:
        for connection in open_connections:
            group.create_task(work(connection))
    load.seconds = time.perf_counter() - began
    return load
