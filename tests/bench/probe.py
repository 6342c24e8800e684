"""A client that asks at a steady rate, in a process of its own, and tells how long each request took.

A request counts from the moment at which it was to be sent, so that one that takes long makes those behind it long too,
as it does for users.
"""

import argparse
import asyncio
import json
import math
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import uvloop

from tests.bench import cpu
from tests.bench.load import BadAnswer, Connection, Request, connected
from tests.bench.queries import LIST, NOTHING

CREATE_SHEET: Final = """mutation Create($name: String!) {
  createSheet(input: {name: $name, source: EXTERNAL}) { __typename ... on Sheet { id } }
}"""
KINDS: Final = ("list", "sheet", "typename")
LATE_SECONDS = 15.0  # after which no more is asked
SPARE_SECONDS = 90.0  # for the last request, and for the process


@dataclass(frozen=True, slots=True)
class Times:
    """How long the requests of one kind took, in seconds."""

    seconds: Sequence[float]

    @property
    def p95(self) -> float:
        """Nineteen of twenty took no longer."""
        return sorted(self.seconds)[math.ceil(0.95 * len(self.seconds)) - 1]

    @property
    def longest(self) -> float:
        return max(self.seconds)


async def run(port: int, rates: Mapping[str, float], seconds: float) -> dict[str, Times]:
    """Ask the server at `port` for so long, each kind so many times a second, from another process."""
    arguments = [f"{kind}={rate}" for kind, rate in rates.items()]
    with cpu.pinned(cpu.load_cores()):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.bench.probe", str(port), str(seconds), *arguments),
            stdout=asyncio.subprocess.PIPE,
        )
    try:
        async with asyncio.timeout(seconds + SPARE_SECONDS):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise RuntimeError("the probe did not get through")
    return {kind: Times(taken) for kind, taken in json.loads(output).items()}


def body(kind: str, turn: int) -> bytes:
    """The body of a request. Every sheet has a name of its own."""
    if kind == "sheet":
        asked = {"query": CREATE_SHEET, "variables": {"name": f"Probe {os.getpid()} {turn}"}}
    else:
        asked = {"query": (LIST if kind == "list" else NOTHING).text("graphql"), "variables": {}}
    return json.dumps(asked).encode()


async def ask_steadily(connection: Connection, kind: str, rate: float, seconds: float) -> list[float]:
    """The seconds that each request took. Raises `BadAnswer`."""
    taken: list[float] = []
    began = time.perf_counter()
    for turn in range(math.ceil(rate * seconds)):
        due = began + turn / rate
        if (early := due - time.perf_counter()) > 0:
            await asyncio.sleep(early)
        result = await connection.ask(Request("/graphql", body(kind, turn)).bytes(connection.port))
        if kind == "sheet" and b'"Sheet"' not in result:
            raise BadAnswer(result[:500].decode(errors="replace"))
        taken.append(time.perf_counter() - due)
        if time.perf_counter() - began > seconds + LATE_SECONDS:
            break
    return taken


async def _probe(port: int, seconds: float, rates: Mapping[str, float]) -> dict[str, list[float]]:
    async def one(kind: str, rate: float) -> list[float]:
        async with connected(port) as connection:
            return await ask_steadily(connection, kind, rate, seconds)

    taken = await asyncio.gather(*(one(kind, rate) for kind, rate in rates.items()))
    return dict(zip(rates, taken, strict=True))


def main() -> None:
    """Print the seconds as JSON, by kind."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.probe", description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("rates", nargs="+", metavar="KIND=RATE", help=f"of {', '.join(KINDS)}: how often a second")
    options = parser.parse_args()
    rates = {kind: float(rate) for kind, _, rate in (given.partition("=") for given in options.rates)}
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        taken = runner.run(_probe(options.port, options.seconds, rates))
    sys.stdout.write(json.dumps(taken))


if __name__ == "__main__":
    main()
