"""The server of the story as a process of its own, and commands beside it."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.database import throwaway_folder
from tests.e2e import trainings
from tests.e2e.program import CHECKOUT, END_TIMEOUT, READY, START_TIMEOUT, environment

LOG_TAIL = 4_000  # characters


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers at `authority`, and whose pauses are written to a file."""

    data_dir: Path
    authority: str
    pid: int

    @property
    def pauses(self) -> Path:
        return _pauses(self.data_dir)


@asynccontextmanager
async def server() -> AsyncIterator[Server]:
    """A started server. All it has started and stored goes with it."""
    with throwaway_folder() as folder:
        log = folder / "server.log"
        process = await start(folder, "tests.large.server", str(_pauses(folder)), stderr=log)
        try:
            yield Server(folder, await _authority(process), process.pid)
        except Exception as error:
            error.add_note(f"The server's log ends with:\n{log.read_text(errors='replace')[-LOG_TAIL:]}")
            raise
        finally:
            await end(process)
            trainings.end_all(folder)


async def start(data_dir: Path, module: str, *arguments: str, stderr: Path) -> Process:
    """Start a module of ours on a data folder."""
    with stderr.open("ab") as file:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            *arguments,
            cwd=CHECKOUT,
            env=environment(data_dir, log_format="json"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=PIPE,
            stderr=file,
        )


async def end(process: Process) -> None:
    """Ask a process to end, and wait until it has."""
    if process.returncode is None:
        process.terminate()
        async with asyncio.timeout(END_TIMEOUT):
            await process.wait()


def _pauses(folder: Path) -> Path:
    return folder / "pauses.txt"


async def _authority(process: Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(START_TIMEOUT):
        while line := await process.stdout.readline():
            if found := READY.search(line.decode()):
                return found[1]
    raise AssertionError("The server did not start")
