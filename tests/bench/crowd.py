"""Very many WebSocket subscribers in one process: raw sockets, and no more of the protocols than they need.

Each speaks graphql-transport-ws over RFC 6455. Client frames are masked with zeros, which the RFC permits.
"""

import asyncio
import json
import re
import resource
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, cast

OPENING_TIMEOUT_SECONDS = 120.0
OPENED_AT_ONCE = 100
SPARE_FILES = 200
HANDSHAKE: Final = (
    "GET /graphql HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
)
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
SHORT, MEDIUM = 126, 127  # the lengths that stand for two and for eight more bytes
TYPE: Final = re.compile(rb'"type": ?"(\w+)"')
CODE: Final = re.compile(rb'"code": ?"(\w+)"')


class CrowdFailed(Exception):
    """A subscription ended, was refused or said something else than it should have."""


def frame(opcode: int, payload: bytes) -> bytes:
    """A frame of a client. Its payload has fewer than 65,536 bytes."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < SHORT else bytes([0x80 | SHORT]) + size.to_bytes(2, "big")
    return bytes([0x80 | opcode]) + length + b"\0\0\0\0" + payload


def next_frame(data: bytes, start: int) -> tuple[int, int, int] | None:
    """Opcode, begin and end of the payload of a server's frame at `start`; None while it is not whole."""
    if len(data) < start + 2:
        return None
    size, begin = data[start + 1], start + 2
    if size >= SHORT:
        begin += 2 if size == SHORT else 8
        size = int.from_bytes(data[start + 2 : begin], "big")
    return (data[start] & 0x0F, begin, begin + size) if begin + size <= len(data) else None


def subscribe(document: str, **variables: object) -> bytes:
    """All that a subscriber says: who it is, what it wants, and a ping whose pong says that both were read."""
    messages: list[dict[str, Any]] = [
        {"type": "connection_init"},
        {"id": "1", "type": "subscribe", "payload": {"query": document, "variables": variables}},
        {"type": "ping"},
    ]
    return b"".join(frame(TEXT, json.dumps(message).encode()) for message in messages)


class Subscriber(asyncio.Protocol):
    """One socket with one subscription. `count` messages have come, the last of which is `last`."""

    def __init__(self, crowd: "Crowd", port: int, opening: bytes) -> None:
        self.count = 0
        self.last = b""
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._crowd = crowd
        self._port = port
        self._opening = opening
        self._data = b""
        self._upgraded = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(HANDSHAKE.format(port=self._port).encode())

    def data_received(self, data: bytes) -> None:
        data = self._data + data if self._data else data
        if not self._upgraded:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self._data = head
                return
            self._upgrade(head)
        start = 0
        while parsed := next_frame(data, start):
            opcode, begin, start = parsed
            self._receive(opcode, data[begin:start])
        self._data = data[start:]

    def connection_lost(self, error: Exception | None) -> None:
        self._crowd.fail(f"a connection ended: {error or 'closed by the server'}")

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _upgrade(self, head: bytes) -> None:
        if not head.startswith(b"HTTP/1.1 101"):
            self._crowd.fail(f"no WebSocket was opened: {head[:200]!r}")
        self._upgraded = True
        self._write(self._opening)

    def _receive(self, opcode: int, payload: bytes) -> None:
        if opcode == TEXT:
            self._read(payload)
        elif opcode == PING:
            self._write(frame(PONG, payload))
        elif opcode == CLOSE:
            self._crowd.fail(f"a socket was closed: {payload[:2].hex()} {payload[2:]!r}")

    def _read(self, payload: bytes) -> None:
        kind = TYPE.search(payload)
        match kind and kind[1]:
            case b"next":
                self.last = payload
                self._crowd.receive(self.count, payload)
                self.count += 1
            case b"ping":
                self._write(frame(TEXT, b'{"type":"pong"}'))
            case b"pong":
                if not self.ready.done():
                    self.ready.set_result(None)
            case b"connection_ack":
                pass
            case _:
                code = CODE.search(payload)
                self._crowd.fail(f"a subscription ended with {code[1].decode()}" if code else f"{payload[:100]!r} came")

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


class Crowd:
    """Subscribers; those of an `equal` crowd must all be sent the same messages in the same order."""

    def __init__(self, *, equal: bool) -> None:
        self.members: list[Subscriber] = []
        self.received = 0
        self._messages: list[bytes] | None = [] if equal else None
        self._failure: str | None = None
        self._closing = False
        self._wanted = 0
        self._delivered: asyncio.Future[float] | None = None

    async def join(self, port: int, openings: Sequence[bytes]) -> None:
        """Open a subscriber for each of `openings`, until the server has read what all have said."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(OPENING_TIMEOUT_SECONDS):
            for first in range(0, len(openings), OPENED_AT_ONCE):
                portion = [Subscriber(self, port, opening) for opening in openings[first : first + OPENED_AT_ONCE]]
                self.members += portion
                await asyncio.gather(
                    *(loop.create_connection(lambda one=one: one, "127.0.0.1", port) for one in portion)  # type: ignore[misc]
                )
                await asyncio.gather(*(one.ready for one in portion))
        self.check()

    def expect(self, messages: int) -> "asyncio.Future[float]":
        """When the last of so many more messages has come: a moment of `time.perf_counter`."""
        self._wanted = self.received + messages
        self._delivered = asyncio.get_running_loop().create_future()
        self.check()
        return self._delivered

    def receive(self, position: int, payload: bytes) -> None:
        """Count a message that a subscriber was sent as its `position`th, from 0."""
        self.received += 1
        messages = self._messages
        if messages is not None:
            if position == len(messages):
                messages.append(payload)
            elif messages[position] != payload:
                self.fail(f"two subscribers were sent different messages: {payload[:300]!r}")
        if self.received == self._wanted and self._delivered is not None and not self._delivered.done():
            self._delivered.set_result(time.perf_counter())

    def fail(self, why: str) -> None:
        """Note that something went wrong; whoever waits learns of it."""
        if self._closing or self._failure is not None:
            return
        self._failure = why
        for waiting in (self._delivered, *(one.ready for one in self.members)):
            if waiting is not None and not waiting.done():
                waiting.set_exception(CrowdFailed(why))

    def close(self) -> None:
        """Leave without a word."""
        self._closing = True
        for one in self.members:
            one.close()

    def check(self) -> None:
        """Raise `CrowdFailed` when something went wrong."""
        if self._failure is not None:
            raise CrowdFailed(self._failure)


@asynccontextmanager
async def joined(port: int, openings: Sequence[bytes], *, equal: bool) -> AsyncIterator[Crowd]:
    """A crowd that leaves with the context. Raises `CrowdFailed`, and TimeoutError when it takes too long."""
    crowd = Crowd(equal=equal)
    try:
        await crowd.join(port, openings)
        yield crowd
    finally:
        crowd.close()


def allow_files(count: int) -> bool:
    """Let this process and those that it starts open so many files, and some more; whether the system permits it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + SPARE_FILES
    if hard != resource.RLIM_INFINITY and hard < wanted:
        return False
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return True
