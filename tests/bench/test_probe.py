import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.bench import probe, pulse
from tests.bench.load import BadAnswer, connected
from tests.bench.probe import Times
from tests.bench.pulse import Pulse
from tests.waiting import until

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b"


@asynccontextmanager
async def answering(body: bytes, *, slow: int = -1, seconds: float = 0.0) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that gives one answer to all, late to one of the requests; its port, and what it was sent."""
    sent: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100_000):
            sent.append(data)
            if len(sent) - 1 == slow:
                await asyncio.sleep(seconds)
            writer.write(HEAD % (len(body), body))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], sent


def test_one_of_twenty_may_take_longer_than_the_percentile() -> None:
    times = Times([0.5, *[0.1] * 18, 0.2])

    assert (times.p95, times.longest) == (0.2, 0.5)
    assert Times([0.3]).p95 == 0.3


async def test_requests_behind_a_slow_one_are_late_too() -> None:
    async with answering(b"{}", slow=2, seconds=0.2) as (port, sent), connected(port) as connection:
        taken = await probe.ask_steadily(connection, "typename", rate=50, seconds=0.2)

    assert len(taken) == len(sent) == 10
    assert taken[2] >= 0.2
    assert taken[2] > taken[3] > taken[4] >= 0.15


async def test_sheets_have_different_names_and_must_be_made() -> None:
    made, refused = (b'{"data":{"createSheet":{"__typename":"%b"}}}' % name for name in (b"Sheet", b"Conflict"))

    async with answering(made) as (port, sent), connected(port) as connection:
        await probe.ask_steadily(connection, "sheet", rate=100, seconds=0.05)
    assert len(set(sent)) == len(sent) == 5

    async with answering(refused) as (port, _), connected(port) as connection:
        with pytest.raises(BadAnswer, match="Conflict"):
            await probe.ask_steadily(connection, "sheet", rate=100, seconds=0.05)


async def test_a_probe_asks_from_a_process_of_its_own() -> None:
    async with answering(b"{}") as (port, sent):
        times = await probe.run(port, {"typename": 50.0, "list": 25.0}, 0.2)

    assert {kind: len(each.seconds) for kind, each in times.items()} == {"typename": 10, "list": 5}
    assert len(sent) == 15


async def test_a_probe_that_fails_is_told() -> None:
    async with answering(b"{}") as (port, _):
        with pytest.raises(RuntimeError, match="did not get through"):
            await probe.run(port, {"sheet": 50.0}, 0.1)


def test_a_pause_belongs_to_the_attack_in_which_it_began() -> None:
    beats = Pulse([(0.0, 0.001), (9.99, 3.0), (13.0, 0.002), (20.0, 0.003)])

    assert beats.longest(10.0, 12.0) == 3.0
    assert beats.longest(12.5, 14.0) == 0.002
    assert beats.longest(14.0, 15.0) == 0.0


async def test_a_pulse_notices_that_it_was_held_up() -> None:
    async with answering(b"{}", slow=3, seconds=0.3) as (port, sent), pulse.beating(port) as beats:

        async def beaten() -> bool:
            return len(sent) >= 6

        await until(beaten)

    assert len(beats.beats) == len(sent)
    taken = [seconds for _, seconds in beats.beats]
    assert taken.index(max(taken)) == 3
    assert beats.longest(0.0, float("inf")) == max(taken) >= 0.3
