"""Filters that few rows of very many pass, asked ten times on one session.

From the sixth execution on, Postgres may use one plan for all values of a statement's parameters. Where a value is
rarer than the average, that plan may be a thousand times slower than the first five.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

import asyncpg

from tests.bench import cpu
from tests.bench.growth import ask
from tests.bench.load import Connection, connected
from tests.bench.servers import TUNEGRAPH, serving

BEFORE, AFTER = 5, 5  # executions that are planned for their values, and those after them
SESSIONS = 5
FOUND = 15  # what the filters leave of the jobs with rare values
QUERY = """query Rare($filter: TrainingJobFilter) {
  trainingJobs(first: 20, filter: $filter) { nodes { id } pageInfo { hasNextPage } }
}"""
NOTHING: Final = {"trainingSheetId": "tsheet_0"}
FILTERS: Final[tuple[Mapping[str, Any], ...]] = (
    {"status": ["CANCELLED"]},
    {"trainer": "FMAPI"},
    {"createdBy": "rare@example.com"},
    {"modelName": "rare-model"},
    {"status": ["CANCELLED"], "createdBy": "rare@example.com"},
    {"trainer": "FMAPI", "modelName": "rare-model"},
    NOTHING,
)
APPLICATION = "tunegraph reads"
OPENED = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1"


@dataclass(frozen=True, slots=True)
class Rare:
    """How a filter fared: the median of the first five executions, the worst after them (seconds), and the ratio."""

    filter: str
    first: float
    worst: float
    ratio: float


async def run(url: str, folder: Path) -> list[Rare]:
    """Try all filters over the database at `url`, on the one session of one server after another."""
    sessions = [await _on_one_session(url, folder) for _ in range(SESSIONS)]
    return [_summed(wanted, [session[turn] for session in sessions]) for turn, wanted in enumerate(FILTERS)]


async def _on_one_session(url: str, folder: Path) -> list[list[float]]:
    """How long each execution of each filter took; every filter is a statement of its own."""
    async with serving(TUNEGRAPH, url, folder) as server, connected(server.port) as connection:
        with cpu.pinned(cpu.load_cores()):
            took = [[await _timed(connection, wanted) for _ in range(BEFORE + AFTER)] for wanted in FILTERS]
        used = await _sessions(url)
    if used != 1:
        raise RuntimeError(f"the executions were spread over {used} sessions")
    return took


def _summed(wanted: Mapping[str, Any], sessions: Sequence[Sequence[float]]) -> Rare:
    first = [median(session[:BEFORE]) for session in sessions]
    worst = [max(session[BEFORE:]) for session in sessions]
    ratios = [after / before for before, after in zip(first, worst, strict=True)]
    return Rare(", ".join(_shown(*part) for part in wanted.items()), median(first), median(worst), median(ratios))


async def _timed(connection: Connection, wanted: Mapping[str, Any]) -> float:
    began = time.perf_counter()
    answer = await ask(connection, QUERY, filter=wanted)
    took = time.perf_counter() - began
    if len(answer["data"]["trainingJobs"]["nodes"]) != (0 if wanted == NOTHING else FOUND):
        raise ValueError(f"{wanted} leaves other jobs than expected")
    return took


async def _sessions(url: str) -> int:
    """How many sessions for reads the server has opened."""
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval(OPENED, APPLICATION))
    finally:
        await connection.close()


def _shown(name: str, value: object) -> str:
    return f"{name} {' '.join(value) if isinstance(value, list) else value}"
