"""The real program as its own process, with a data folder of its own on a free port."""

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from server.commands.demo.client import Client
from tests.database import throwaway_folder
from tests.e2e import trainings

CHECKOUT = Path(__file__).parents[2]
READY = re.compile(r"http://(\S+)/graphql")
START_TIMEOUT = 60.0
END_TIMEOUT = 60.0


def environment(data_dir: Path, **settings: str) -> dict[str, str]:
    """This process's environment without its settings, but with those given."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TUNEGRAPH_", "DATABASE_URL"))}
    given = {f"TUNEGRAPH_{name.upper()}": value for name, value in settings.items()}
    return kept | {"TUNEGRAPH_DATA_DIR": str(data_dir), "TUNEGRAPH_PORT": "0"} | given


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has come to its end."""

    status: int
    output: str
    complaints: str


async def run(data_dir: Path, *arguments: str, within: float = END_TIMEOUT, **settings: str) -> Ended:
    """Run a sub-command to its end."""
    process = await _start(environment(data_dir, **settings), *arguments, stderr=PIPE)
    try:
        async with asyncio.timeout(within):
            output, complaints = await process.communicate()
    finally:
        await _end(process)
    return Ended(process.returncode or 0, output.decode(), complaints.decode())


class Program:
    """A server that is started, stopped and killed as often as a test needs it."""

    def __init__(self, data_dir: Path, settings: Mapping[str, str]) -> None:
        self.data_dir = data_dir
        self.authority = ""
        self._settings = settings
        self._process: Process | None = None

    async def start(self) -> Self:
        """Start it and wait until it says where it is."""
        with (self.data_dir / "server.log").open("ab") as log:
            self._process = await _start(environment(self.data_dir, **self._settings), "serve", stderr=log)
        output = self._process.stdout
        async with asyncio.timeout(START_TIMEOUT):
            while output is not None and (line := await output.readline()):
                if found := READY.search(line.decode()):
                    self.authority = found[1]
                    return self
        raise AssertionError(f"The server did not start:\n{self.log()}")

    async def stop(self) -> int:
        """Ask it to end, and wait until it has; its exit status."""
        return await self._signal(signal.SIGTERM)

    async def kill(self) -> None:
        """End it without asking: nothing of its own is run."""
        await self._signal(signal.SIGKILL)

    def client(self) -> AbstractAsyncContextManager[Client]:
        """A client of it."""
        return Client.open(self.authority)

    def log(self) -> str:
        """What it has logged."""
        return (self.data_dir / "server.log").read_text(errors="replace")

    async def close(self) -> None:
        """Make sure that it has ended."""
        if self._process is not None:
            await _end(self._process)

    async def _signal(self, number: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        async with asyncio.timeout(END_TIMEOUT):
            return await self._process.wait()


@asynccontextmanager
async def program(**settings: str) -> AsyncIterator[Program]:
    """A program that is not started yet. All it has started and stored goes with it."""
    with throwaway_folder() as folder:
        it = Program(folder, {"log_format": "json", **settings})
        try:
            yield it
        finally:
            await it.close()
            trainings.end_all(folder)


async def _start(variables: Mapping[str, str], *arguments: str, stderr: int | IO[bytes]) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "server",
        *arguments,
        cwd=CHECKOUT,
        env=variables,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=PIPE,
        stderr=stderr,
    )


async def _end(process: Process) -> None:
    """Leave no process behind, however a test ends: first by asking, so that its database goes with it."""
    for ask, patience in ((process.terminate, 15.0), (process.kill, END_TIMEOUT)):
        if process.returncode is None:
            with suppress(ProcessLookupError, TimeoutError):
                ask()
                async with asyncio.timeout(patience):
                    await process.wait()
