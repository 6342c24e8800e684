"""How a command runs: its coroutine to the end, and one line on standard error for what it could not do."""

import asyncio
import signal
import sys
from collections.abc import Coroutine

import uvloop

from server import logs
from server.domain.errors import Refused, Unavailable
from server.postgres import PostgresError

FAILED = 1
CANNOT = 2
INTERRUPTED = 130


class Cannot(Exception):
    """What was asked of a command can't be done; the message is one line for the person who asked."""


def run(command: Coroutine[None, None, int]) -> int:
    """Run `command` on an event loop of its own; the exit status."""
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_until_signalled(command))
    except (Cannot, Refused, Unavailable, PostgresError) as error:
        complain(str(error))
        return CANNOT
    except (KeyboardInterrupt, asyncio.CancelledError):
        return INTERRUPTED


async def _until_signalled(command: Coroutine[None, None, int]) -> int:
    """The command; SIGTERM ends it as SIGINT does, with everything closed that it has opened."""
    task = asyncio.ensure_future(command)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


def complain(message: str) -> None:
    """Write a line to standard error, with passwords masked."""
    sys.stderr.write(f"tunegraph: {logs.mask(message)}\n")
