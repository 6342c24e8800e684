import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.bench.load import BadAnswer, Request, connected, connections, press

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n3\r\n!!!\r\n0\r\n\r\n"
FAILED = b"HTTP/1.1 500 Oh\r\ncontent-length: 4\r\n\r\nboom"


@asynccontextmanager
async def answering(*answers: bytes) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that gives its answers by turns, over all connections; its port, and the bodies that it was sent."""
    bodies: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.read(10_000):
            bodies.append(head.partition(b"\r\n\r\n")[2])
            writer.write(answers[(len(bodies) - 1) % len(answers)])
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], bodies


@pytest.mark.parametrize(("answer", "body"), [(PLAIN, b"ok"), (CHUNKED, b"ok!!!")])
async def test_a_body_is_read_whichever_way_its_end_is_told(answer: bytes, body: bytes) -> None:
    async with answering(answer) as (port, sent), connected(port) as connection:
        request = Request("/graphql", b'{"query":"{ a }"}').bytes(port)

        assert [await connection.ask(request) for _ in range(2)] == [body, body]
        assert sent == [b'{"query":"{ a }"}'] * 2


async def test_another_status_than_200_is_an_error() -> None:
    async with answering(FAILED) as (port, _), connected(port) as connection:
        with pytest.raises(BadAnswer, match="boom"):
            await connection.ask(b"x")


async def test_pressing_ends_after_so_many_requests_and_asks_by_turns() -> None:
    async with answering(PLAIN) as (port, sent), connections(port, 3) as among:
        load = await press(among, [Request("/", body).bytes(port) for body in (b"1", b"2")], seconds=60, most=10)

    assert (load.requests, load.answers) == (10, {0: b"ok", 1: b"ok"})
    assert sorted(sent) == [b"1"] * 5 + [b"2"] * 5


async def test_pressing_ends_after_a_while() -> None:
    async with answering(PLAIN) as (port, sent), connections(port, 2) as among:
        load = await press(among, [b"x"], seconds=0.05, most=10**9)

    assert load.requests == len(sent) > 0
    assert 0.05 <= load.seconds < 5


async def test_an_answer_that_changes_is_an_error() -> None:
    async with answering(PLAIN, CHUNKED) as (port, _), connections(port, 1) as among:
        with pytest.raises(ExceptionGroup) as raised:
            await press(among, [b"x"], seconds=60, most=10)

    assert raised.group_contains(BadAnswer, match="answered in two ways")
