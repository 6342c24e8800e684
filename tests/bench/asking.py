"""What hostile requests do to everybody else: how long others wait, what is answered, and the server's memory."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from tests.bench import cpu, data, pulse
from tests.bench.hostile import Attack, attacks
from tests.bench.load import connected
from tests.bench.servers import PROGRAM, Server, serving
from tests.large.watching import Memory, memory

TIMEOUT_SECONDS: Final = 30.0  # of one hostile request; then its sender hangs up
REST_SECONDS: Final = 0.5  # between two attacks
AFTER_SECONDS: Final = 2.0
# nothing is left to poll, and pairs are as long as those of people
PREPARE: Final = """
SET session_replication_role = replica;
UPDATE training_jobs SET status = 'SUCCEEDED', progress_percent = 100, completed_at = updated_at
WHERE status = 'RUNNING';
UPDATE qa_pairs SET messages = json_build_array(
  json_build_object('role', 'user', 'content', repeat('How are invoices signed? ', 4)),
  json_build_object('role', 'assistant', 'content', repeat('By whoever may do so. ', 8)));
VACUUM ANALYZE;
"""


@dataclass(frozen=True, slots=True)
class Held:
    """What one attack did: the longest that others waited, in seconds; the largest response and the most memory, in
    bytes; how long it took, and how many of its requests were answered.
    """

    title: str
    pause: float
    response_bytes: int
    memory_bytes: int
    seconds: float
    requests: int
    answered: int


@dataclass(frozen=True, slots=True)
class Asking:
    """All attacks in turn on one server, whose memory was so large before and after. `quiet` is a pause without any."""

    attacks: Sequence[Held]
    quiet: float
    before_bytes: int
    after_bytes: int


@dataclass(frozen=True, slots=True)
class _Done:
    title: str
    began: float
    ended: float
    sizes: Sequence[int]
    requests: int
    memory_bytes: int


async def run(url: str, folder: Path) -> Asking:
    """Attack a server over a copy of the database at `url`."""
    copied = await data.copy(url, "bench_asking")
    await _prepare(copied)
    with cpu.pinned(cpu.load_cores()):
        async with serving(PROGRAM, copied, folder) as server:
            with memory(server.process.pid) as seen:
                return await _attacked(server, seen)


async def _attacked(server: Server, seen: Memory) -> Asking:
    done: list[_Done] = []
    async with pulse.beating(server.port) as beats:
        await asyncio.sleep(AFTER_SECONDS)
        began, before = time.monotonic(), server.process.memory_info().rss
        await asyncio.sleep(AFTER_SECONDS)
        quiet = (began, time.monotonic())
        for attack in attacks():
            done.append(await _attack(server.port, attack, seen))
            await asyncio.sleep(REST_SECONDS)
        await asyncio.sleep(AFTER_SECONDS)
        after = server.process.memory_info().rss
    return Asking(
        [_held(one, beats.longest(one.began, one.ended)) for one in done], beats.longest(*quiet), before, after
    )


async def _attack(port: int, attack: Attack, seen: Memory) -> _Done:
    requests = list(attack.requests(port))
    waiting = list(requests)
    sizes: list[int] = []
    seen.restart()
    began = time.monotonic()

    async def send() -> None:
        while waiting:
            size = await _response_bytes(port, waiting.pop())
            if size is not None:
                sizes.append(size)

    await asyncio.gather(*(send() for _ in range(attack.at_once)))
    return _Done(attack.title, began, time.monotonic(), sizes, len(requests), seen.peak)


def _held(done: _Done, pause: float) -> Held:
    largest = max(done.sizes, default=0)
    took = done.ended - done.began
    return Held(done.title, pause, largest, done.memory_bytes, took, done.requests, len(done.sizes))


async def _response_bytes(port: int, request: bytes) -> int | None:
    """The size of the response's body; None when the server hung up, or did not answer in time."""
    try:
        async with connected(port) as connection:
            _, body = await connection.exchange(request, TIMEOUT_SECONDS)
            return len(body)
    except (OSError, EOFError, TimeoutError):
        return None


async def _prepare(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in PREPARE.split(";\n"):
            if statement.strip():
                await connection.execute(statement)
    finally:
        await connection.close()
