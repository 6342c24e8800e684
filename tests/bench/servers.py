"""The servers that are compared, each as a process of its own on a core that it shares with no load."""

import asyncio
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import psutil

from server.postgres.postmaster import free_port
from tests.bench import cpu, postgraphile
from tests.bench.load import Request, connected
from tests.bench.queries import NOTHING, Question

CHECKOUT: Final = Path(__file__).parents[2]
START_TIMEOUT = 60.0
END_TIMEOUT = 20.0
ATTEMPT_EVERY = 0.05

Asked = Callable[[Question, Sequence[str]], list[Request]]


class NotThere(Exception):
    """A side that can't be measured on this machine; the message says why, on its first line in short."""


class DidNotStart(NotThere):
    """A server that never answered; the message has the end of what it said."""


@dataclass(frozen=True, slots=True)
class Side:
    """One way to answer the questions. `command` is given a database's address and a port, and may raise NotThere.

    The others are measured without it when it is `optional`.
    """

    name: str
    title: str
    command: Callable[[str, int], Sequence[str | Path]]
    asked: Asked
    environment: Callable[[str, int, Path], Mapping[str, str]] = field(default=lambda *_: {})
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Server:
    """A side at work over one database."""

    side: Side
    port: int
    process: psutil.Process

    def cpu(self) -> float:
        """Seconds of CPU that it has used."""
        return cpu.cpu_seconds(self.process)

    def requests(self, question: Question, jobs: Sequence[str]) -> list[bytes]:
        """The requests of a question, one for each job that it is asked about."""
        return [request.bytes(self.port) for request in self.side.asked(question, jobs)]


def _tunegraph_settings(url: str, port: int, folder: Path) -> Mapping[str, str]:
    return {"DATABASE_URL": url, "TUNEGRAPH_PORT": str(port), "TUNEGRAPH_DATA_DIR": str(folder / "tunegraph")}


def _logging(url: str, port: int, folder: Path) -> Mapping[str, str]:
    return {**_tunegraph_settings(url, port, folder), "TUNEGRAPH_LOG_REQUESTS": "true"}


def _oracle(url: str, port: int) -> list[str]:
    if importlib.util.find_spec("tests.oracle") is None or importlib.util.find_spec("tests.oracle.__main__") is None:
        raise NotThere("there is no tests.oracle to start")
    return [sys.executable, "-m", "tests.oracle", "--database", url, "--port", str(port)]


def _postgraphile(url: str, port: int) -> list[str | Path]:
    try:
        return postgraphile.command(url, port)
    except postgraphile.NotInstalled as error:
        raise NotThere(str(error)) from error


TUNEGRAPH: Final = Side(
    "tunegraph",
    "Tunegraph",
    lambda _url, _port: [sys.executable, "-m", "tests.bench.tunegraph"],
    Question.graphql,
    _tunegraph_settings,
)
LOGGING: Final = replace(TUNEGRAPH, name="tunegraph-logging", title="Tunegraph, logging requests", environment=_logging)
HANDWRITTEN: Final = Side(
    "handwritten",
    "hand-written",
    lambda url, port: [sys.executable, "-m", "tests.bench.handwritten", "--database", url, "--port", str(port)],
    Question.handwritten,
)
ORACLE: Final = Side("oracle", "tuned resolvers", _oracle, Question.graphql, optional=True)
POSTGRAPHILE: Final = Side("postgraphile", "PostGraphile 5", _postgraphile, Question.postgraphile, optional=True)
SIDES: Final = (HANDWRITTEN, TUNEGRAPH, LOGGING, ORACLE, POSTGRAPHILE)


def broadcasting(text: str) -> Side:
    """The bare broadcast, which sends this text."""
    return Side(
        "broadcast",
        "bare broadcast",
        lambda url, port: [
            *(sys.executable, "-m", "tests.bench.broadcast"),
            *("--database", url, "--port", str(port), "--text", text),
        ],
        Question.handwritten,
    )


# the program as people start it, poller and all
PROGRAM: Final = replace(
    TUNEGRAPH, name="program", command=lambda _url, _port: [sys.executable, "-m", "server", "serve"]
)


@asynccontextmanager
async def serving(side: Side, url: str, folder: Path) -> AsyncIterator[Server]:
    """A side over the database at `url`, from when it answers; its log is kept in `folder` meanwhile.

    Raises:
        NotThere: this machine lacks something that it needs.
        DidNotStart: it ended, or did not answer in time.
    """
    port = free_port()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TUNEGRAPH_", "DATABASE_URL"))}
    command = side.command(url, port)
    log = folder / f"{side.name}-{port}.log"
    with log.open("wb") as output, cpu.pinned(cpu.server_cores()):
        process = subprocess.Popen(  # noqa: ASYNC220  (it returns at once)
            command,
            cwd=CHECKOUT,
            env={**kept, **side.environment(url, port, folder)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        server = Server(side, port, psutil.Process(process.pid))
        if not await _answers(server, process):
            raise DidNotStart(f"it did not start\n{_end_of(log)}")
        yield server
    finally:
        await asyncio.to_thread(_end, process)


async def _answers(server: Server, process: "subprocess.Popen[bytes]") -> bool:
    """Return once it answers, or once it is clear that it will not."""
    [request] = server.requests(NOTHING, [])
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and process.poll() is None:
        try:
            async with connected(server.port) as connection:
                await connection.ask(request)
        except OSError:
            await asyncio.sleep(ATTEMPT_EVERY)
        else:
            return True
    return False


def _end_of(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-3000:]


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(END_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
