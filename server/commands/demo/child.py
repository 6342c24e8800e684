"""The server of the demo: `python -m server serve` as a process of its own."""

import asyncio
import re
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from server.commands.running import Cannot

ANNOUNCED = re.compile(rb"http://(\S+)/graphql")
START_TIMEOUT_SECONDS = 120.0  # the first start makes the database
STOP_TIMEOUT_SECONDS = 15.0
SHOWN_LINES = 15


@dataclass(frozen=True, slots=True)
class Child:
    """A server that answers at `authority` ("127.0.0.1:8000")."""

    authority: str
    process: Process


@asynccontextmanager
async def serving(log: Path) -> AsyncIterator[Child]:
    """A server with the settings of this process, which is stopped at the end; what it logs goes to the file `log`.

    Raises:
        Cannot: it does not start; with the last lines of its log.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as sink:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "server", "serve", stdin=asyncio.subprocess.DEVNULL, stdout=PIPE, stderr=sink
        )
    try:
        try:
            async with asyncio.timeout(START_TIMEOUT_SECONDS):
                authority = await _announced(process)
                await _ready(authority)
        except TimeoutError:
            raise _failed(f"The server was not ready within {START_TIMEOUT_SECONDS:.0f} s", log) from None
        if authority is None:
            raise _failed(f"The server ended with status {process.returncode} before it was ready", log)
        yield Child(authority, process)
    finally:
        await _stop(process)


async def _announced(process: Process) -> str | None:
    """The authority that the server prints; None when it ended instead."""
    output = process.stdout
    while output is not None and (line := await output.readline()):
        if match := ANNOUNCED.search(line):
            return match[1].decode()
    await process.wait()
    return None


async def _ready(authority: str | None) -> None:
    if authority is None:
        return
    async with httpx.AsyncClient(base_url=f"http://{authority}", trust_env=False) as http:
        while (await http.get("/readyz")).status_code != httpx.codes.OK:  # noqa: ASYNC110  (another process's state)
            await asyncio.sleep(0.1)


async def _stop(process: Process) -> None:
    """End the server, also when this task is cancelled meanwhile: its database must not outlive it."""
    with suppress(ProcessLookupError):
        process.terminate()
    stopping = asyncio.ensure_future(asyncio.wait_for(process.wait(), STOP_TIMEOUT_SECONDS))
    while not stopping.done():
        with suppress(asyncio.CancelledError, TimeoutError):
            await asyncio.shield(stopping)
    if process.returncode is None:
        process.kill()
        await process.wait()


def _failed(reason: str, log: Path) -> Cannot:
    lines = log.read_text(errors="replace").splitlines()[-SHOWN_LINES:]
    return Cannot("\n".join([f"{reason}; the end of {log}:", *lines]))
