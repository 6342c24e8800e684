"""What was measured, as tables."""

from collections.abc import Iterator

from tests.bench.live_tables import live
from tests.bench.queries import QUESTIONS
from tests.bench.rare import FOUND, SESSIONS
from tests.bench.report import Table, times
from tests.bench.results import Results

MICRO, MILLI = 1e6, 1e3
READS = ("", "server CPU", "Postgres CPU", "requests/s", "server µs", "Postgres µs", "a second", "kB")


def of_all(results: Results) -> Iterator[Table]:
    """A table for everything that was measured."""
    for part in (reads, growth, rare, start):
        yield from part(results)
    yield from live(results.live)


def reads(results: Results) -> Iterator[Table]:
    """A table for each question."""
    if results.reads is None:
        return
    missing = " ".join(f"{title} was left out: {why.splitlines()[0]}." for title, why in results.reads.missing.items())
    for question in QUESTIONS:
        rows = [
            (
                row.side.title,
                times(row.server_ratio),
                times(row.postgres_ratio),
                times(row.rate_ratio),
                f"{row.server * MICRO:,.0f}",
                f"{row.postgres * MICRO:,.0f}",
                f"{row.rate:,.0f}",
                f"{row.size / 1000:,.1f}",
            )
            for row in results.reads.by_question[question.name]
        ]
        fields = results.reads.fields[question.name]
        yield Table(f"{question.title[0].upper()}{question.title[1:]} ({fields:,} fields)", READS, rows, missing)


def growth(results: Results) -> Iterator[Table]:
    """The list over few and many jobs."""
    if not results.growth:
        return
    rows = [
        (f"{grown.jobs:,} jobs, page {grown.page}", times(grown.ratio), f"{grown.total * MICRO:,.0f}")
        for grown in results.growth
    ]
    filled = ", ".join(f"{jobs:,} in {seconds:.0f} s" for jobs, seconds in results.seconds_to_fill.items())
    yield Table("The list as it grows", ("", "CPU", "µs"), rows, f"Jobs written: {filled}.")


def rare(results: Results) -> Iterator[Table]:
    """Each filter that few jobs pass."""
    if not results.rare:
        return
    rows = [
        (tried.filter, times(tried.ratio), f"{tried.first * MILLI:.2f}", f"{tried.worst * MILLI:.2f}")
        for tried in results.rare
    ]
    columns = ("filter", "ratio", "median of 1 to 5, ms", "worst of 6 to 10, ms")
    jobs = max(results.seconds_to_fill)
    note = (
        f"At most {FOUND} of {jobs:,} jobs pass each. As a client sees it: how long the request takes, over"
        f" {SESSIONS} sessions."
    )
    yield Table("Rare values, ten executions on one session", columns, rows, note)


def start(results: Results) -> Iterator[Table]:
    """What imports cost."""
    if results.start is None:
        return
    found = results.start.imports
    rows = [(row.what, times(row.ratio), f"{row.seconds:.2f}", f"{row.memory:.0f}") for row in found]
    yield Table("Importing", ("", "CPU", "s", "memory MB"), rows)
