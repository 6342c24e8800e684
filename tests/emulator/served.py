"""The emulator over real sockets, beside whoever uses it."""

import contextlib
import socket
import struct
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio.to_thread
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tests.emulator.app import application
from tests.emulator.clock import Clock
from tests.emulator.faults import Faults
from tests.emulator.options import Options
from tests.emulator.outcomes import Outcomes
from tests.emulator.requests import Requests
from tests.emulator.world import World


class _Connection(HttpToolsProtocol):
    """A connection that the application can reset."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        extensions: dict[str, Any] = {"emulator.reset": self._reset}
        self.scope["extensions"] = extensions

    def _reset(self) -> None:
        connection = self.transport.get_extra_info("socket")
        if connection is not None and not self.transport.is_closing():
            # Nothing lingers: the other side gets a reset, not an end.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


@dataclass(frozen=True, slots=True)
class Emulator:
    """A workspace at `url`."""

    url: str
    world: World = field(repr=False)

    @property
    def token(self) -> str:
        return self.world.options.token

    @property
    def clock(self) -> Clock:
        return self.world.clock

    @property
    def requests(self) -> Requests:
        return self.world.requests

    @property
    def faults(self) -> Faults:
        return self.world.faults

    @property
    def outcomes(self) -> Outcomes:
        return self.world.outcomes


@contextmanager
def serving(options: Options, folder: Path | None = None, port: int = 0) -> Iterator[Emulator]:
    """Serve on loopback in a thread of its own, so that blocking clients may call from any other.

    Files go below `folder`, or below a temporary one that is removed afterwards.
    """
    with contextlib.ExitStack() as stack:
        below = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="databricks-")))
        world = World(options, below)
        # Bound here, so that whoever calls before the thread runs waits in line.
        listening = stack.enter_context(socket.create_server(("127.0.0.1", port)))
        server = uvicorn.Server(
            uvicorn.Config(
                application(world),
                http=_Connection,
                lifespan="off",
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=1,
            )
        )
        thread = threading.Thread(target=server.run, args=([listening],), name="databricks-emulator", daemon=True)
        thread.start()
        try:
            yield Emulator(f"http://127.0.0.1:{listening.getsockname()[1]}", world)
        finally:
            world.faults.clear()
            server.should_exit = True
            thread.join()


@asynccontextmanager
async def emulator(*, folder: Path | None = None, **options: Any) -> AsyncIterator[Emulator]:  # noqa: ANN401  (Options)
    """Serve for as long as the block runs; `options` are the fields of `Options`."""
    with contextlib.ExitStack() as stack:
        served = await anyio.to_thread.run_sync(stack.enter_context, serving(Options(**options), folder))
        try:
            yield served
        finally:
            await anyio.to_thread.run_sync(stack.close)
