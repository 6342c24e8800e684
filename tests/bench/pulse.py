"""How long a server holds others up: a tiny request every few milliseconds, from a process of its own."""

import argparse
import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import uvloop

from tests.bench import cpu
from tests.bench.load import connected
from tests.bench.queries import NOTHING

EVERY_SECONDS = 0.005
UNDER_WAY_SECONDS = 0.05  # that a request may have been on its way; one that took longer was held up before
START_TIMEOUT_SECONDS = 30.0
END_TIMEOUT_SECONDS = 60.0
BEATS = b"beats\n"


@dataclass(slots=True)
class Pulse:
    """When each request was sent (`time.monotonic`, which all processes share) and the seconds that it took."""

    beats: list[tuple[float, float]] = field(default_factory=list)

    def longest(self, began: float, ended: float) -> float:
        """The longest that a request took that was sent between the two, or was under way when the first had come."""
        sent_since = began - UNDER_WAY_SECONDS
        return max((taken for sent, taken in self.beats if sent_since <= sent <= ended), default=0.0)


@asynccontextmanager
async def beating(port: int) -> AsyncIterator[Pulse]:
    """Beat for the length of the context; the beats are there once it has ended."""
    with cpu.pinned(cpu.load_cores()):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.bench.pulse", str(port), stdout=asyncio.subprocess.PIPE
        )
    pulse = Pulse()
    try:
        async with asyncio.timeout(START_TIMEOUT_SECONDS):
            line = await process.stdout.readline() if process.stdout is not None else b""
        if line != BEATS:
            raise RuntimeError("the pulse did not start")
        yield pulse
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(END_TIMEOUT_SECONDS):
            output, _ = await process.communicate()
        pulse.beats += [(sent, taken) for sent, taken in json.loads(output)]
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def beat(port: int, ended: asyncio.Event) -> Sequence[tuple[float, float]]:
    """Ask until `ended` is set; one request at a time."""
    [request] = NOTHING.graphql([])
    beats: list[tuple[float, float]] = []
    async with connected(port) as connection:
        text = request.bytes(port)
        while not ended.is_set():
            sent = time.monotonic()
            await connection.ask(text)
            beats.append((sent, time.monotonic() - sent))
            await asyncio.sleep(EVERY_SECONDS)
    return beats


async def _main(port: int) -> Sequence[tuple[float, float]]:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    sys.stdout.buffer.write(BEATS)
    sys.stdout.buffer.flush()
    return await beat(port, ended)


def main() -> None:
    """Beat until SIGTERM, and print all beats as JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.pulse", description=__doc__)
    parser.add_argument("port", type=int)
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.stdout.write(json.dumps(runner.run(_main(options.port))))


if __name__ == "__main__":
    main()
