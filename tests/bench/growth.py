"""Whether a list costs more when there is more of it: on a far page, and beside a hundred times as many jobs."""

import json
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.harness import Cell, measure, ratio
from tests.bench.load import Connection, Request, connected
from tests.bench.postgres import Postgres
from tests.bench.queries import LIST, PAGE
from tests.bench.servers import TUNEGRAPH, Server, serving

FAR = 500
LARGEST_PAGE = 100
WALK = """query Walk($first: Int, $after: String) {
  trainingJobs(first: $first, after: $after) { pageInfo { endCursor } }
}"""


@dataclass(frozen=True, slots=True)
class Grown:
    """What a page of a list costs, absolute and as a ratio to page 1 of the smaller database."""

    jobs: int
    page: int
    total: float
    ratio: float


async def run(postgres: Postgres, urls: Mapping[int, str], folder: Path, *, rounds: int, seconds: float) -> list[Grown]:
    """Measure page 1 and page 500 over each database; `urls` are by number of jobs, the smallest first."""
    async with AsyncExitStack() as stack:
        cells: dict[tuple[int, int], Cell] = {}
        for jobs, url in urls.items():
            server = await stack.enter_async_context(serving(TUNEGRAPH, url, folder))
            for page in (1, FAR):
                cursor = await cursor_before(server, page)
                requests = [_asked(LIST.text("graphql"), server.port, after=cursor)]
                cells[jobs, page] = Cell(f"{jobs} {page}", server, requests)
                await _check(server, requests[0])
        samples = await measure(list(cells.values()), postgres, rounds=rounds, seconds=seconds)
    totals = {place: [sample.total for sample in samples[cell.name]] for place, cell in cells.items()}
    base = next(iter(totals.values()))
    return [Grown(*place, median(total), ratio(total, base)) for place, total in totals.items()]


async def cursor_before(server: Server, page: int) -> str | None:
    """The cursor behind which a page of the list begins, found as a client finds it."""
    cursor, left = None, (page - 1) * PAGE
    async with connected(server.port) as connection:
        while left:
            step = min(left, LARGEST_PAGE)
            answer = await ask(connection, WALK, first=step, after=cursor)
            cursor, left = answer["data"]["trainingJobs"]["pageInfo"]["endCursor"], left - step
    return cursor


async def _check(server: Server, request: bytes) -> None:
    """Assert that the page is a full one."""
    async with connected(server.port) as connection:
        answer = json.loads(await connection.ask(request))
    nodes = answer["data"]["trainingJobs"]["nodes"]
    if len(nodes) != PAGE or not all(node["events"]["nodes"] for node in nodes):
        raise ValueError(f"a page of {len(nodes)} jobs, or of jobs without events, can't be compared")


async def ask(connection: Connection, query: str, **variables: object) -> Any:  # noqa: ANN401  (any JSON)
    """The whole answer to a query."""
    return json.loads(await connection.ask(_asked(query, connection.port, **variables)))


def _asked(query: str, port: int, **variables: object) -> bytes:
    return Request("/graphql", json.dumps({"query": query, "variables": variables}).encode()).bytes(port)
