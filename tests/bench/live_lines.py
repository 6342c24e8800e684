"""What one run says of the lines that the live paths have to hold: watching, waiting and asking."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.bench import active, queued
from tests.bench.active import INTERVAL_SECONDS, Active
from tests.bench.asking import Asking, Held
from tests.bench.beside import SUBSCRIBERS, Beside
from tests.bench.line import Line
from tests.bench.queued import Queued
from tests.bench.report import times
from tests.bench.watching import JOBS, SIZES, Fanout

FANOUT, LATENCY, BUSY = 1.3, 2.0, 1.5
LATENCY_SUBSCRIBERS: Final = 1_000
DIFFERENT_SECONDS: Final = 150e-6
ROWS_A_SECOND, QUEUE_CPU = 2.0, 0.02
LATE_SECONDS: Final = 3.0  # that a look may come late, of its interval of 30 s
PAGE = 100  # runs, of FMAPI's list
CALLS_SLACK: Final = 1.05  # a window does not end with a pass
CALLS_A_SECOND: Final = 5.0
PAUSE_SECONDS: Final = 0.1
RESPONSE_BYTES: Final = 32 * 1024 * 1024
MEMORY_BYTES: Final = 400_000_000


@dataclass(slots=True)
class Live:
    """What was measured; the rest is None or empty. A part that could not be measured to its end is in `failures`."""

    fanout: Sequence[Fanout] = ()
    beside: Sequence[Beside] = ()
    queued: Queued | None = None
    active: Active | None = None
    asking: Asking | None = None
    failures: dict[str, str] = field(default_factory=dict)


def lines(live: Live) -> Iterator[Line]:
    """Every line, in the order of the parts."""
    yield from _watching(live)
    yield _beside(live)
    yield _queued(live)
    yield from _active(live)
    yield from _asking(live)


def _watching(live: Live) -> Iterator[Line]:
    equal = [each for each in live.fanout if each.jobs == 1]
    sizes = " · ".join(f"{size:,}" for size in SIZES)
    cpu = f"Equal subscribers need at most {FANOUT} times the server CPU a message of a bare broadcast: {sizes}"
    memory = f"and at most {FANOUT} times its memory a subscriber: {sizes}"
    latency = (
        f"From commit to last delivery at {LATENCY_SUBSCRIBERS:,} at most {LATENCY:.0f} times the bare broadcast's"
    )
    different = (
        f"{JOBS:,} subscribers of {JOBS:,} different jobs need at most {DIFFERENT_SECONDS * 1e6:.0f} µs a message"
    )
    if not live.fanout:
        yield from (_open(live, "watching", says) for says in (cpu, memory, latency, different))
        return
    yield _ratios(cpu, [each.cpu_ratio for each in equal], FANOUT, _failure(equal))
    yield _ratios(memory, [each.memory_ratio for each in equal], FANOUT, _failure(equal))
    at_size = [each for each in equal if each.subscribers == LATENCY_SUBSCRIBERS]
    yield _ratios(latency, [each.latency_ratio for each in at_size], LATENCY, _failure(at_size))
    yield _different(different, [each for each in live.fanout if each.jobs > 1])


def _different(says: str, measured: Sequence[Fanout]) -> Line:
    reading = measured[0].ours if measured else None
    if reading is None:
        return Line(says, _failure(measured) or "not measured", holds=False)
    shown = f"{reading.cpu * 1e6:,.0f} µs ({times(measured[0].cpu_ratio)} times a bare one)"
    return Line(says, shown, reading.cpu <= DIFFERENT_SECONDS)


def _failure(measured: Sequence[Fanout]) -> str:
    """At which sizes it failed; the table says how."""
    sizes = [f"{each.subscribers:,}" for each in measured if each.failure]
    return f"failed at {' and '.join(sizes)}" if sizes else ""


def _ratios(says: str, ratios: Sequence[float], most: float, failure: str) -> Line:
    """Every ratio is at most so much; one that was not measured does not hold."""
    shown = " · ".join(map(times, ratios))
    return Line(says, f"{shown} ({failure})" if failure else shown, all(ratio <= most for ratio in ratios))


def _beside(live: Live) -> Line:
    says = f"While {SUBSCRIBERS:,} watch, the list and createSheet keep their p95 within {BUSY} times of idle"
    if not live.beside:
        return _open(live, "beside", says)
    return _ratios(says, [each.ratio for each in live.beside], BUSY, "")


def _queued(live: Live) -> Line:
    says = (
        f"{queued.JOBS} local jobs in line write at most {ROWS_A_SECOND:.0f} rows a second,"
        f" and need at most {QUEUE_CPU:.0%} of a core"
    )
    measured = live.queued
    if measured is None:
        return _open(live, "queued", says)
    holds = measured.rows <= ROWS_A_SECOND and measured.cpu <= QUEUE_CPU
    return Line(says, f"{measured.rows:,.1f} · {measured.cpu:.1%}", holds)


def _active(live: Live) -> Iterator[Line]:
    many, pages = f"{active.MANY:,} jobs of FMAPI", math.ceil(active.MANY / PAGE)
    every = f"{many}: each run is listed every {INTERVAL_SECONDS:.0f} s ({LATE_SECONDS:.0f} s late is noise)"
    calls = f"{many} need {pages} list calls a pass, ⌈n/page⌉"
    rows = f"{many} that do not change: no row is written for a job"
    busy = f"{many}: the list's p95 is within {BUSY} times of idle"
    ended = f"{active.ENDING:,} of them that end within a minute all end right"
    few = (
        f"{active.FEW:,} jobs of FMAPI, each with a step in {INTERVAL_SECONDS:.0f} s, need at most"
        f" {CALLS_A_SECOND:.0f} calls at Databricks a second"
    )
    if live.active is None:
        yield from (_open(live, "active", says) for says in (every, calls, rows, busy, ended, few))
        return
    standing, ending = live.active.standing, live.active.ending
    yield Line(every, f"{standing.gap:.1f} s", standing.gap <= INTERVAL_SECONDS + LATE_SECONDS)
    yield Line(calls, f"{standing.list_calls:,.1f}", standing.list_calls <= pages * CALLS_SLACK)
    yield Line(rows, f"{standing.rows_of_jobs:,}; {standing.rows:,} in all tables", standing.rows_of_jobs == 0)
    yield _ratios(busy, [standing.busy / standing.idle], BUSY, "")
    right = f"{ending.right:,} of {ending.jobs:,}, {ending.late:.0f} s after the last run"
    yield Line(ended, right, ending.right == ending.jobs)
    shown = f"{live.active.calls:,.1f}; {standing.calls:,.1f} for {standing.jobs:,} that stand still"
    yield Line(few, shown, live.active.calls <= CALLS_A_SECOND)


def _asking(live: Live) -> Iterator[Line]:
    pause = f"No hostile request holds others up for more than {PAUSE_SECONDS * 1e3:.0f} ms"
    size = f"and none is answered with more than {RESPONSE_BYTES // 1024**2} MiB"
    memory = f"and the server's memory stays below {MEMORY_BYTES / 1e6:.0f} MB"
    if live.asking is None:
        yield from (_open(live, "asking", says) for says in (pause, size, memory))
        return
    attacks = live.asking.attacks
    longest: Held = max(attacks, key=lambda attack: attack.pause)
    largest: Held = max(attacks, key=lambda attack: attack.response_bytes)
    fattest: Held = max(attacks, key=lambda attack: attack.memory_bytes)
    yield Line(pause, f"{longest.pause * 1e3:,.0f} ms ({longest.title})", longest.pause <= PAUSE_SECONDS)
    yield Line(size, f"{largest.response_bytes / 1024**2:,.1f} MiB", largest.response_bytes <= RESPONSE_BYTES)
    shown = f"{fattest.memory_bytes / 1e6:,.0f} MB, {live.asking.after_bytes / 1e6:,.0f} MB afterwards"
    yield Line(memory, shown, fattest.memory_bytes < MEMORY_BYTES)


def _open(live: Live, part: str, says: str) -> Line:
    """A line that was not measured, or whose part broke off: that does not hold."""
    failure = live.failures.get(part)
    return Line(says) if failure is None else Line(says, failure, holds=False)
