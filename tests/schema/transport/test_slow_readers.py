"""Clients that stop reading: they cost bounded memory, hold up nobody, and miss nothing once they read again."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

import pytest

from schema.execution.subscribers import MOST_BYTES
from server.domain.status import JobStatus
from tests.schema.clients import DEADLINE, PROTOCOL, eventually
from tests.schema.served import Served, serving

pytestmark = pytest.mark.database

EVENTS = "subscription($id:ID!){trainingJobEvents(jobId:$id){sequence message}}"
LARGE = 200_000  # characters of a message: a few fill the buffers of a connection
COUNT = 60


@pytest.fixture
async def served(database_url: str) -> AsyncIterator[Served]:
    async with serving(database_url) as served:
        yield served


Connection: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connected(served: Served) -> Connection:
    """A connection that reads little ahead of what it is asked to."""
    host, port = served.authority.split(":")
    return await asyncio.open_connection(host, int(port), limit=1024)


def handshake(served: Served) -> bytes:
    return (
        f"GET /graphql HTTP/1.1\r\nHost: {served.authority}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        f"Sec-WebSocket-Protocol: {PROTOCOL}\r\n\r\n"
    ).encode()


def frame(**message: object) -> bytes:
    """A text frame of less than 64 kB, masked with zeros."""
    text = json.dumps(message).encode()
    return bytes([0x81, 0x80 | 126]) + len(text).to_bytes(2, "big") + bytes(4) + text


async def over_websocket(served: Served, job_id: str) -> Connection:
    reader, writer = await connected(served)
    writer.write(handshake(served))
    async with asyncio.timeout(DEADLINE):
        await reader.readuntil(b"\r\n\r\n")
    payload = {"query": EVENTS, "variables": {"id": job_id}}
    writer.write(frame(type="connection_init") + frame(type="subscribe", id="1", payload=payload))
    return reader, writer


async def over_sse(served: Served, job_id: str) -> Connection:
    reader, writer = await connected(served)
    body = json.dumps({"query": EVENTS, "variables": {"id": job_id}}).encode()
    head = (
        f"POST /graphql HTTP/1.1\r\nHost: {served.authority}\r\nAccept: text/event-stream\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    return reader, writer


Follow: TypeAlias = Callable[[Served, str], Awaitable[Connection]]


@pytest.mark.parametrize("follow", [over_websocket, over_sse])
async def test_a_client_that_stops_reading_costs_little_and_misses_nothing(served: Served, follow: Follow) -> None:
    job_id = await served.job()
    reader, writer = await follow(served, job_id)
    await served.watched(1)
    async with served.socket() as quick:
        await quick.subscribe("quick", EVENTS, id=job_id)
        await served.watched(2)
        for number in range(1, COUNT + 1):
            await served.tell(job_id, f"<{number}>" + "x" * LARGE)
            assert (await quick.next("quick"))["trainingJobEvents"]["sequence"] == number
        [feed] = served.subscriptions._feeds.values()
        held = {subscriber._size for subscriber in feed.subscribers}
        assert 0 < max(held) <= MOST_BYTES + 2 * LARGE
        await served.move(job_id, JobStatus.SUCCEEDED)
        assert (await quick.next("quick"))["trainingJobEvents"]["sequence"] == COUNT + 1
        assert await quick.receive() == {"id": "quick", "type": "complete"}
    await served.watched(1)
    text = b""
    async with asyncio.timeout(DEADLINE):
        while b"complete" not in text[-200:]:
            text += await reader.read(1 << 20)
    places = [text.index(f"<{number}>".encode()) for number in range(1, COUNT + 1)]
    assert places == sorted(places)
    assert text.count(b"xxx<") == 0
    assert text.count(b'"sequence":') == COUNT + 1
    writer.close()
    await served.watched(0)


@pytest.mark.parametrize("follow", [over_websocket, over_sse])
async def test_one_that_stops_reading_and_goes_leaves_nothing_behind(served: Served, follow: Follow) -> None:
    job_id = await served.job()
    _, writer = await follow(served, job_id)
    await served.watched(1)
    for number in range(COUNT):
        await served.tell(job_id, f"{number}" + "x" * LARGE)
    [feed] = served.subscriptions._feeds.values()
    [subscriber] = feed.subscribers
    await eventually(lambda: subscriber.starved)
    writer.transport.abort()
    await served.watched(0)
    assert served.subscriptions.feeds == 0
