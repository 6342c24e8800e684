"""Measuring several servers by turns, so that whatever else the machine does meets all of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from tests.bench import cpu, load
from tests.bench.postgres import Postgres
from tests.bench.servers import Server

WARM_UP = 0.5  # seconds for each; statements are executed often enough for Postgres to settle on their plans
MOST = 100_000  # requests in one round


@dataclass(frozen=True, slots=True)
class Cell:
    """One thing to measure: a server, and what it is asked in turn."""

    name: str
    server: Server
    requests: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Sample:
    """One round of one cell: seconds of CPU a request, of the server and of Postgres, and requests a second."""

    server: float
    postgres: float
    rate: float

    @property
    def total(self) -> float:
        """Seconds of CPU a request, of both."""
        return self.server + self.postgres


Samples = dict[str, list[Sample]]


async def measure(cells: Sequence[Cell], postgres: Postgres, *, rounds: int, seconds: float) -> Samples:
    """All cells in each round, each round beginning with another one."""
    found: Samples = {cell.name: [] for cell in cells}
    for cell in cells:
        await _sample(cell, postgres, WARM_UP)
    for turn in range(rounds):
        first = turn % len(cells)
        for cell in (*cells[first:], *cells[:first]):
            found[cell.name].append(await _sample(cell, postgres, seconds))
    return found


async def _sample(cell: Cell, postgres: Postgres, seconds: float) -> Sample:
    with cpu.pinned(cpu.load_cores()):
        return await _pressed(cell, postgres, seconds)


async def _pressed(cell: Cell, postgres: Postgres, seconds: float) -> Sample:
    async with load.connections(cell.server.port) as open_connections:
        server, backends = cell.server.cpu(), postgres.cpu()
        done = await load.press(open_connections, cell.requests, seconds=seconds, most=MOST)
        server, backends = cell.server.cpu() - server, postgres.cpu() - backends
    return Sample(server / done.requests, backends / done.requests, done.requests / done.seconds)


def ratio(of: Sequence[float], to: Sequence[float]) -> float:
    """The median of what the rounds say. NaN when in most of them the divisor was too short to be measured."""
    ratios = [one / other for one, other in zip(of, to, strict=True) if other > 0]
    return median(ratios) if 2 * len(ratios) > len(to) else float("nan")
