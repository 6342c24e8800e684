"""Chromium without a window, as a process of our own that reaches one host and nothing else."""

import asyncio
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless",
    "--no-sandbox",  # root has none; the only page it opens is ours
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)
START_SECONDS = 30.0
STOP_SECONDS = 10.0
LISTENING = re.compile(rb"DevTools listening on (ws://\S+)")


class NoChromium(Exception):
    """No browser is installed, or it does not start."""


def find_chromium() -> str:
    """Where the browser is: $CHROMIUM, else the first of its usual names on PATH. Raises NoChromium."""
    if wanted := os.environ.get("CHROMIUM"):
        if found := shutil.which(wanted):
            return found
        raise NoChromium(f"CHROMIUM names {wanted}, which is not a program")
    for name in NAMES:
        if found := shutil.which(name):
            return found
    raise NoChromium(
        "no Chromium found: install it (Debian, Ubuntu: apt-get install chromium), or set CHROMIUM to its path"
    )


@asynccontextmanager
async def chromium(host: str) -> AsyncIterator[str]:
    """Run a browser with an empty profile that resolves no name but `host`, and yield its DevTools address.

    Raises NoChromium.
    """
    with tempfile.TemporaryDirectory(prefix="tunegraph-chromium-", ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            find_chromium(),
            *FLAGS,
            f"--user-data-dir={profile}",
            f"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE {host}",
            "about:blank",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            yield await _started(process)
        finally:
            await _end(process)


async def _started(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    try:
        return await asyncio.wait_for(_address(process.stderr), START_SECONDS)
    except TimeoutError as error:
        raise NoChromium(f"Chromium did not start within {START_SECONDS:.0f} s") from error


async def _address(stderr: asyncio.StreamReader) -> str:
    said: list[str] = []
    async for line in stderr:
        if found := LISTENING.search(line):
            return found[1].decode()
        said.append(line.decode(errors="replace").rstrip())
    raise NoChromium("Chromium ended at once:\n" + "\n".join(said[-5:]))


async def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        # communicate() also empties stderr, so that a full pipe cannot hold the browser back
        await asyncio.wait_for(process.communicate(), STOP_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
