"""`python -m tests.bench`: what reading, watching, waiting and asking cost, measured side by side in one run."""

import argparse
import asyncio
import functools
import os
import signal
import sys
import tempfile
import time
from collections.abc import Coroutine, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import uvloop
from rich.console import Console

from tests.bench import data, document, growth, live, postgres, rare, reads, report, servers, start, tables
from tests.bench.postgres import Postgres
from tests.bench.report import Table
from tests.bench.results import Results, lines_table

READS = ("reads", "growth", "rare", "start")
SECTIONS = (*READS, *live.SECTIONS)
INTERRUPTED = 130
LONGEST_ROUND = 60.0  # seconds
WIDTH = 120  # where the output is no terminal


def options(arguments: Sequence[str]) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=SECTIONS, help="only this part; may be given more than once")
    parser.add_argument(
        "--rounds", type=int, default=11, help="rounds, over which medians are taken; of watching at most 5 [11]"
    )
    parser.add_argument("--seconds", type=float, default=0.5, help="how long a server is asked in each round [0.5]")
    parser.add_argument("--jobs", type=int, default=1_000_000, help="jobs in the larger database [1,000,000]")
    names = [side.name for side in servers.SIDES]
    parser.add_argument("--side", action="append", choices=names, help="reads: only the hand-written endpoint and this")
    parser.add_argument("--write", type=Path, metavar="FILE.md", help="write the report as Markdown as well")
    chosen = parser.parse_args(arguments)
    if chosen.rounds < 1 or not 0 < chosen.seconds <= LONGEST_ROUND:
        parser.error(f"--rounds must be at least 1, and --seconds above 0 and at most {LONGEST_ROUND:.0f}")
    if chosen.jobs <= data.FEWEST:
        parser.error(f"--jobs must be more than {data.FEWEST:,}")
    return chosen


async def run(chosen: argparse.Namespace, console: Console) -> None:
    """Measure, and report what was measured as soon as it is."""
    pg_bin = Path(os.environ["PG_BIN"]) if os.environ.get("PG_BIN") else None
    with tempfile.TemporaryDirectory(prefix="tunegraph-bench-") as folder:
        async with postgres.started(pg_bin) as database:
            machine = document.machine(await data.version(database.url))
            console.print(machine)
            results = await measured(chosen, console, database, Path(folder))
    for title, why in (results.reads.missing if results.reads else {}).items():
        console.print(f"{title} was left out: {why}", markup=False)
    if chosen.write:
        command = " ".join(["python -m tests.bench", *sys.argv[1:]]).replace(str(chosen.write), chosen.write.name)
        page = document.written(
            results, command=command, machine=machine, jobs=reads.JOBS_ASKED_ABOUT, moment=datetime.now(UTC)
        )
        chosen.write.write_text(page, encoding="utf-8")


async def measured(chosen: argparse.Namespace, console: Console, database: Postgres, folder: Path) -> Results:
    """All parts that were asked for."""
    wanted = set(chosen.only or SECTIONS)
    results, filled = Results(), {}
    sizes = [data.FEWEST, *([chosen.jobs] if wanted & {"growth", "rare"} else [])]
    for jobs in sizes:
        began = time.monotonic()
        filled[jobs] = await data.make(database.url, f"bench_{jobs}", jobs)
        results.seconds_to_fill[jobs] = time.monotonic() - began
        console.print(f"{jobs:,} jobs written in {results.seconds_to_fill[jobs]:.1f} s")
    lengths = {"rounds": chosen.rounds, "seconds": chosen.seconds}
    if "start" in wanted:
        results.start = await start.run(filled[data.FEWEST], folder, rounds=chosen.rounds)
        show(console, tables.start(results))
    if "reads" in wanted:
        sides = [side for side in servers.SIDES if not chosen.side or side.name in {"handwritten", *chosen.side}]
        results.reads = await reads.run(database, filled[data.FEWEST], folder, sides=sides, **lengths)
        show(console, tables.reads(results))
    if "growth" in wanted:
        results.growth = await growth.run(database, filled, folder, **lengths)
        show(console, tables.growth(results))
    if "rare" in wanted:
        results.rare = await rare.run(filled[chosen.jobs], folder)
        show(console, tables.rare(results))
    results.live = await live.run(
        wanted,
        database,
        filled[data.FEWEST],
        folder,
        rounds=chosen.rounds,
        show=functools.partial(show, console),
    )
    show(console, [lines_table(results)])
    return results


def show(console: Console, found: Iterable[Table]) -> None:
    """Tell what was measured as soon as it is."""
    for table in found:
        report.show(console, table)


def main() -> int:
    """Run on a quick loop, since the one who asks shares the machine."""
    chosen = options(sys.argv[1:])
    console = Console() if sys.stdout.isatty() else Console(width=WIDTH)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_until_told(run(chosen, console)))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return INTERRUPTED
    return 0


async def _until_told(work: Coroutine[None, None, None]) -> None:
    """The work; SIGTERM ends it as SIGINT does, with every server that it has started."""
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await task


if __name__ == "__main__":
    sys.exit(main())
