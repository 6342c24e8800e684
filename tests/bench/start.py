"""What it costs to import the program, in fresh interpreters, against libraries that every such program needs."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from tests.bench.harness import ratio
from tests.bench.servers import CHECKOUT, TUNEGRAPH, serving

BASE = "strawberry, starlette, uvicorn, asyncpg"
WITH_TABLES = f"{BASE}, sqlmodel"
PROGRAM = "the program"
IMPORTS: Final = {
    BASE: "strawberry, starlette.applications, uvicorn, asyncpg",
    WITH_TABLES: "strawberry, starlette.applications, uvicorn, asyncpg, sqlmodel",
    PROGRAM: "server.__main__, server.commands.serve",
}
SCRIPT = """
import time
import {modules}
seconds = time.process_time()
import psutil
print(seconds, psutil.Process().memory_info().rss)
"""
HEAVY = re.compile(r"^heavy: (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Imported:
    """Seconds of CPU and the memory (MB) of one interpreter, and the seconds as a ratio to the base."""

    what: str
    seconds: float
    memory: float
    ratio: float


@dataclass(frozen=True, slots=True)
class Start:
    """What imports cost, and which heavy libraries a server had imported when it ended."""

    imports: list[Imported]
    heavy: str


async def run(url: str, folder: Path, *, rounds: int) -> Start:
    """Import by turns, and start the program over the database at `url` once."""
    for modules in IMPORTS.values():
        _imported(modules)  # whatever is not compiled yet is compiled now
    found: dict[str, list[tuple[float, float]]] = {what: [] for what in IMPORTS}
    for _ in range(rounds):
        for what, modules in IMPORTS.items():
            found[what].append(_imported(modules))
    base = [seconds for seconds, _ in found[BASE]]
    imports = []
    for what, samples in found.items():
        seconds, memory = [first for first, _ in samples], [second for _, second in samples]
        imports.append(Imported(what, median(seconds), median(memory), ratio(seconds, base)))
    return Start(imports, await _heavy(url, folder))


async def _heavy(url: str, folder: Path) -> str:
    async with serving(TUNEGRAPH, url, folder) as server:
        log = folder / f"{TUNEGRAPH.name}-{server.port}.log"
    said = HEAVY.search(log.read_text(encoding="utf-8", errors="replace"))
    if said is None:
        raise RuntimeError("the server did not say what it had imported")
    return said[1]


def _imported(modules: str) -> tuple[float, float]:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(modules=modules)],
        cwd=CHECKOUT,
        env=kept,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{modules} can't be imported:\n{done.stderr[-2000:]}")
    seconds, memory = done.stdout.split()
    return float(seconds), float(memory) / 1e6
