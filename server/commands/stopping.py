"""How SIGINT and SIGTERM end a server: at once while it still starts, else in order and within a bound."""

import asyncio
import faulthandler
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

DEADLINE_SECONDS = 9.0  # a service manager that sends SIGKILL waits 10 or more


class Stop:
    """What a signal does now. Until `server` is known it breaks off the task that starts it."""

    def __init__(self) -> None:
        """Remember who starts the server."""
        self.server: uvicorn.Server | None = None
        self._requested = False
        self._starting = asyncio.current_task()

    def request(self) -> None:
        """Stop the server, or the task that starts it. A second request does nothing to a server that is closing."""
        if not self._requested:
            # Whatever hangs, a thread at the very end too, the process ends: the next one goes on from what is stored.
            faulthandler.dump_traceback_later(DEADLINE_SECONDS, exit=True)
        self._requested = True
        if self.server is not None:
            self.server.should_exit = True
        elif self._starting is not None:
            self._starting.cancel()


@contextmanager
def on_signals() -> Iterator[Stop]:
    """Until the end of the context, signals go to what this gives."""
    stop = Stop()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.request)
    try:
        yield stop
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
