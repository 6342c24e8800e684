"""The questions of a dashboard, asked of every side over the same rows."""

import json
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.bench import data
from tests.bench.harness import Cell, Sample, Samples, measure, ratio
from tests.bench.load import connected
from tests.bench.postgres import Postgres
from tests.bench.queries import QUESTIONS, Question
from tests.bench.servers import (
    HANDWRITTEN,
    LOGGING,
    ORACLE,
    SIDES,
    TUNEGRAPH,
    NotThere,
    Server,
    Side,
    serving,
)

JOBS_ASKED_ABOUT = 64
CONTEXT = 60  # characters on both sides of a difference
SAME_ANSWERS = (HANDWRITTEN.name, TUNEGRAPH.name, LOGGING.name, ORACLE.name)


class Different(Exception):
    """Two sides that must give the same answer did not."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one side needs for one question, absolute and as ratios to the hand-written endpoint."""

    side: Side
    server: float
    postgres: float
    rate: float
    size: int
    server_ratio: float
    postgres_ratio: float
    rate_ratio: float


@dataclass(frozen=True, slots=True)
class Reads:
    """All that was measured: by question, one for each side that was there. `missing` says which were not, and why."""

    fields: dict[str, int]
    by_question: dict[str, list[Measured]]
    missing: dict[str, str]


async def run(
    postgres: Postgres, url: str, folder: Path, *, rounds: int, seconds: float, sides: Sequence[Side] = SIDES
) -> Reads:
    """Ask all questions of all sides. Raises `Different` when their answers differ."""
    jobs = await data.newest(url, JOBS_ASKED_ABOUT)
    missing: dict[str, str] = {}
    async with AsyncExitStack() as stack:
        servers: list[Server] = []
        for side in sides:
            try:
                servers.append(await stack.enter_async_context(serving(side, url, folder)))
            except NotThere as error:
                if not side.optional:
                    raise
                missing[side.title] = str(error)
        fields: dict[str, int] = {}
        by_question: dict[str, list[Measured]] = {}
        for question in QUESTIONS:
            answers = await _answers(servers, question, jobs)
            fields[question.name] = count_fields(json.loads(answers[0])["data"])
            cells = [Cell(server.side.name, server, server.requests(question, jobs)) for server in servers]
            samples = await measure(cells, postgres, rounds=rounds, seconds=seconds)
            by_question[question.name] = _summed(servers, samples, list(map(len, answers)))
    return Reads(fields, by_question, missing)


async def _answers(servers: Sequence[Server], question: Question, jobs: Sequence[str]) -> list[bytes]:
    """What each server answers about the first job, once all that must agree have agreed about all jobs."""
    answers: dict[str, list[bytes]] = {}
    for server in servers:
        async with connected(server.port) as connection:
            asked = server.requests(question, jobs)
            answers[server.side.name] = [await connection.ask(request) for request in asked]
    wanted = answers[servers[0].side.name]
    for name in answers.keys() & set(SAME_ANSWERS):
        for one, other in zip(wanted, answers[name], strict=True):
            if canonical(one) != canonical(other):
                raise Different(
                    f"{question.title}: {servers[0].side.name} and {name} differ at {difference(one, other)}"
                )
    for name, found in answers.items():
        if any(b'"errors"' in answer for answer in found):
            raise Different(f"{question.title}: {name} answers with errors: {found[0][:3000]!r}")
    return [found[0] for found in answers.values()]


def canonical(answer: bytes) -> str:
    """An answer without insignificant blanks; the order of its keys counts, and 1.0 is 1, as in JSON."""
    return json.dumps(json.loads(answer, parse_float=_number), separators=(",", ":"))


def _number(text: str) -> float:
    number = float(text)
    return int(number) if number.is_integer() else number


def difference(one: bytes, other: bytes) -> str:
    """Where two answers begin to differ."""
    first, second = canonical(one), canonical(other)
    place = next((at for at, pair in enumerate(zip(first, second, strict=False)) if pair[0] != pair[1]), 0)
    begin = max(0, place - CONTEXT)
    return f"{first[begin : place + CONTEXT]!r} and {second[begin : place + CONTEXT]!r}"


def count_fields(value: object) -> int:
    """How many fields of objects an answer has."""
    if isinstance(value, dict):
        return sum(1 + count_fields(inner) for inner in value.values())
    return sum(map(count_fields, value)) if isinstance(value, list) else 0


def _summed(servers: Sequence[Server], samples: Samples, sizes: Sequence[int]) -> list[Measured]:
    base = samples[servers[0].side.name]
    return [
        _measured(server.side, samples[server.side.name], base, size)
        for server, size in zip(servers, sizes, strict=True)
    ]


def _measured(side: Side, samples: Sequence[Sample], base: Sequence[Sample], size: int) -> Measured:
    return Measured(
        side,
        median(sample.server for sample in samples),
        median(sample.postgres for sample in samples),
        median(sample.rate for sample in samples),
        size,
        ratio([sample.server for sample in samples], [sample.server for sample in base]),
        ratio([sample.postgres for sample in samples], [sample.postgres for sample in base]),
        ratio([sample.rate for sample in samples], [sample.rate for sample in base]),
    )
