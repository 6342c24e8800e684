"""The real server with a watch in its event loop: `python -m tests.large.server FILE` writes the pauses to FILE."""

import asyncio
import os
import sys
import time
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path

from server import __main__ as program
from server.commands import running
from server.commands.running import run

TICK = 0.002  # seconds between two looks; a pause is what lies between them, the tick included
WINDOW = 0.1  # seconds of which the longest pause is told


async def watch(file: int) -> None:
    """Write a line for each window.

    It says when the longest pause began (monotonic time), how many seconds it took, and for how many of them this
    process was at work: the rest it waited for a processor, which others had.
    """
    began, worked = time.monotonic(), time.process_time()
    until, pause = began + WINDOW, (0.0, 0.0, 0.0)
    while True:
        await asyncio.sleep(TICK)
        now, work = time.monotonic(), time.process_time()
        if now - began > pause[1]:
            pause = (began, now - began, work - worked)
        if now >= until:
            os.write(file, "{:.6f} {:.6f} {:.6f}\n".format(*pause).encode())
            now, work = time.monotonic(), time.process_time()
            until, pause = now + WINDOW, (0.0, 0.0, 0.0)
        began, worked = now, work


def main() -> int:
    """Serve as `python -m server serve` does, until told to end."""
    file = os.open(Path(sys.argv[1]), os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    async def watched(command: Coroutine[None, None, int]) -> int:
        watching = asyncio.create_task(watch(file), name="watch")
        try:
            return await command
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching

    running.run = lambda command: run(watched(command))
    return program.main(["serve"])


if __name__ == "__main__":
    sys.exit(main())
