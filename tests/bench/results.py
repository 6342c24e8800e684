"""All that one run has measured, and what it says of the lines to hold."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.bench import live_lines
from tests.bench.growth import FAR, Grown
from tests.bench.line import Line
from tests.bench.live_lines import Live
from tests.bench.rare import Rare
from tests.bench.reads import Measured, Reads
from tests.bench.report import Table, times
from tests.bench.servers import ORACLE, POSTGRAPHILE, TUNEGRAPH
from tests.bench.start import BASE, PROGRAM, WITH_TABLES, Start

COMPILED, POSTGRAPHILE_CPU, POSTGRAPHILE_RATE, RESOLVERS = 1.2, 5.0, 2.0, 20.0
NOISE, GROWTH, CLIFF, IMPORTS = 1.15, 1.5, 3.0, 2.5


@dataclass(slots=True)
class Results:
    """What was measured; the rest is None or empty."""

    reads: Reads | None = None
    growth: Sequence[Grown] = ()
    rare: Sequence[Rare] = ()
    start: Start | None = None
    seconds_to_fill: dict[int, float] = field(default_factory=dict)
    live: Live = field(default_factory=Live)


def lines(results: Results) -> list[Line]:
    """Every line, in the order in which they are told."""
    return [
        _compiled(results.reads),
        *_against_others(results.reads),
        *_growth(results.growth),
        _cliff(results.rare),
        *_start(results.start),
        *live_lines.lines(results.live),
    ]


def lines_table(results: Results) -> Table:
    """The lines as a table."""
    verdicts = {True: "holds", False: "does not hold", None: "-"}
    rows = [(line.says, line.found, verdicts[line.holds]) for line in lines(results)]
    return Table("The lines to hold", ("line", "found", ""), rows)


def _compiled(reads: Reads | None) -> Line:
    says = f"Reads need at most {COMPILED} times the server CPU of the hand-written endpoint: list, one job, status"
    if reads is None:
        return Line(says)
    found = [_of(reads, name, TUNEGRAPH.name) for name in ("list", "job", "status")]
    ratios = [measured.server_ratio for measured in found if measured]
    if len(ratios) < len(found):
        return Line(says)
    return Line(says, " · ".join(map(times, ratios)), max(ratios) <= COMPILED)


def _against_others(reads: Reads | None) -> Iterator[Line]:
    cpu = f"The list needs at least {POSTGRAPHILE_CPU:.0f} times less server CPU than PostGraphile 5"
    rate = f"and gets at least {POSTGRAPHILE_RATE:.0f} times its requests a second"
    resolvers = f"The list needs at least {RESOLVERS:.0f} times less server CPU than tuned resolvers"
    ours = _of(reads, "list", TUNEGRAPH.name)
    other, oracle = _of(reads, "list", POSTGRAPHILE.name), _of(reads, "list", ORACLE.name)
    if ours is None or other is None:
        yield from (Line(cpu), Line(rate))
    else:
        yield _at_least(cpu, other.server_ratio / ours.server_ratio, POSTGRAPHILE_CPU)
        yield _at_least(rate, ours.rate_ratio / other.rate_ratio, POSTGRAPHILE_RATE)
    if ours is None or oracle is None:
        yield Line(resolvers)
    else:
        yield _at_least(resolvers, oracle.server_ratio / ours.server_ratio, RESOLVERS)


def _growth(growth: Sequence[Grown]) -> Iterator[Line]:
    far = f"Page {FAR} of the list costs what page 1 costs, server and Postgres together ({NOISE} is noise)"
    many = f"The list costs at most {GROWTH} times as much with the larger number of jobs"
    ratios = {(grown.jobs, grown.page): grown.ratio for grown in growth}
    sizes = sorted({grown.jobs for grown in growth})
    if not ratios:
        yield from (Line(far), Line(many))
        return
    by_page = [ratios[jobs, FAR] / ratios[jobs, 1] for jobs in sizes]
    yield Line(far, " · ".join(map(times, by_page)), max(by_page) <= NOISE)
    by_size = [ratios[sizes[-1], page] / ratios[sizes[0], page] for page in (1, FAR)]
    yield Line(many, " · ".join(map(times, by_size)), max(by_size) <= GROWTH)


def _cliff(rare: Sequence[Rare]) -> Line:
    says = f"A rare filter is at most {CLIFF:.0f} times slower in executions 6 to 10 than in the first five"
    if not rare:
        return Line(says)
    worst = max(tried.ratio for tried in rare)
    return Line(says, times(worst), worst <= CLIFF)


def _start(start: Start | None) -> Iterator[Line]:
    imports = f"Importing the program needs at most {IMPORTS} times the CPU of importing {BASE}"
    heavy = "mlflow, databricks.sdk and sklearn are not imported by a server that has started"
    if start is None:
        yield from (Line(imports), Line(heavy))
        return
    found = next(imported.ratio for imported in start.imports if imported.what == PROGRAM)
    with_tables = next((imported.ratio for imported in start.imports if imported.what == WITH_TABLES), float("nan"))
    yield Line(imports, f"{times(found)} ({times(found / with_tables)} with sqlmodel)", found <= IMPORTS)
    yield Line(heavy, start.heavy or "none of them", not start.heavy)


def _of(reads: Reads | None, question: str, side: str) -> Measured | None:
    rows = reads.by_question[question] if reads is not None else []
    return next((row for row in rows if row.side.name == side), None)


def _at_least(says: str, found: float, wanted: float) -> Line:
    return Line(says, times(found), found >= wanted)
