"""What was measured of the live paths, as tables."""

from collections.abc import Iterator, Sequence

from tests.bench.active import INTERVAL_SECONDS, WINDOW_SECONDS, Active
from tests.bench.asking import Asking
from tests.bench.beside import EVENTS_A_SECOND, SUBSCRIBERS, Beside
from tests.bench.live_lines import Live
from tests.bench.queued import SECONDS, Queued
from tests.bench.report import Table, times
from tests.bench.watching import Fanout, Reading

MICRO, MILLI, KILOBYTE, MEGABYTE = 1e6, 1e3, 1e3, 1e6


def live(measured: Live) -> Iterator[Table]:
    """A table for everything that was measured."""
    if measured.fanout:
        yield fanout(measured.fanout)
    if measured.beside:
        yield beside(measured.beside)
    if measured.queued is not None:
        yield queued(measured.queued)
    if measured.active is not None:
        yield active(measured.active)
    if measured.asking is not None:
        yield asking(measured.asking)


def fanout(measured: Sequence[Fanout]) -> Table:
    """Subscribers beside a bare broadcast."""
    columns = ("", "CPU", "latency", "memory", "CPU µs a message", "ms to the last", "kB each", "bare: µs", "ms", "kB")
    rows = [
        (
            f"{each.subscribers:,} of {'one job' if each.jobs == 1 else f'{each.jobs:,} jobs'}",
            *map(times, (each.cpu_ratio, each.latency_ratio, each.memory_ratio)),
            *_reading(each.ours),
            *_reading(each.bare),
        )
        for each in measured
    ]
    failures = [f"{each.subscribers:,} subscribers: {each.failure}." for each in measured if each.failure]
    return Table("One event to many subscribers", columns, rows, " ".join(failures))


def _reading(reading: Reading | None) -> tuple[str, str, str]:
    if reading is None:
        return ("-", "-", "-")
    latency = f"{reading.latency * MILLI:,.1f}" if reading.latency else "-"
    return f"{reading.cpu * MICRO:,.0f}", latency, f"{reading.memory / KILOBYTE:,.0f}"


def beside(measured: Sequence[Beside]) -> Table:
    """Others, while many watch."""
    rows = [(each.kind, times(each.ratio), f"{each.idle * MILLI:.1f}", f"{each.busy * MILLI:.1f}") for each in measured]
    title = f"Other requests, p95, while {SUBSCRIBERS:,} are told of {EVENTS_A_SECOND:.0f} events a second"
    return Table(title, ("", "ratio", "idle ms", "busy ms"), rows)


def queued(measured: Queued) -> Table:
    """A line of local jobs."""
    values = f"{measured.rows:,.1f}", f"{measured.wal_bytes / KILOBYTE:,.1f}", f"{measured.cpu:.1%}"
    columns = ("", "rows written a second", "WAL kB a second", "of a core")
    return Table(
        "Local jobs that wait in line", columns, [(f"{measured.jobs:,} jobs", *values)], f"Over {SECONDS:.0f} s."
    )


def active(measured: Active) -> Table:
    """Jobs of FMAPI."""
    standing, ending = measured.standing, measured.ending
    rows = [
        (
            f"{measured.few:,} jobs with a step each in {INTERVAL_SECONDS:.0f} s: calls a second",
            f"{measured.calls:,.1f}",
        ),
        (f"{standing.jobs:,} jobs that stand still: longest time without a look, s", f"{standing.gap:.1f}"),
        ("list calls a pass", f"{standing.list_calls:,.1f}"),
        ("calls a second", f"{standing.calls:,.1f}"),
        ("rows written in tables of jobs", f"{standing.rows_of_jobs:,}"),
        ("rows written in all", f"{standing.rows:,}"),
        ("of a core", f"{standing.cpu:.1%}"),
        ("p95 of the list, ms", f"{standing.busy * MILLI:.1f}"),
        ("the same without the poller, ms", f"{standing.idle * MILLI:.1f}"),
        (f"{ending.jobs:,} that end: ended right", f"{ending.right:,}"),
        ("all had ended after the last run, s", f"{ending.late:.1f}"),
    ]
    return Table("Jobs at an emulated FMAPI", ("", "measured"), rows, f"Standing still over {WINDOW_SECONDS:.0f} s.")


def asking(measured: Asking) -> Table:
    """Hostile requests."""
    rows = [
        (
            attack.title,
            f"{attack.pause * MILLI:,.0f}",
            f"{attack.response_bytes / KILOBYTE:,.1f}",
            f"{attack.memory_bytes / MEGABYTE:,.0f}",
            f"{attack.seconds:.2f}",
            f"{attack.answered} of {attack.requests}",
        )
        for attack in measured.attacks
    ]
    note = (
        f"Without an attack the longest pause was {measured.quiet * MILLI:,.0f} ms. The server's memory was"
        f" {measured.before_bytes / MEGABYTE:,.0f} MB before and {measured.after_bytes / MEGABYTE:,.0f} MB afterwards."
    )
    columns = ("", "others wait ms", "largest response kB", "memory MB", "s", "answered")
    return Table("Hostile requests", columns, rows, note)
