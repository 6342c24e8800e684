"""What the story comes to: figures of each chapter, and the promises that were kept or not."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from tests.large.watching import Pause

LONGEST_PAUSE = 0.100  # seconds
MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Chapter:
    """What was measured while one thing happened. Memory is the most seen, in bytes; times are in seconds.

    `usual` and `slowest` say how long a small query took, asked all the while: 95 of 100 times at most, and at worst.
    """

    name: str
    seconds: float
    pause: Pause
    server: int
    other: tuple[str, int] | None
    usual: float
    slowest: float


@dataclass(frozen=True, slots=True)
class Promise:
    """Something that has to be so, and what was found."""

    text: str
    kept: bool
    found: str


def tell(chapters: Sequence[Chapter], promises: Sequence[Promise]) -> bool:
    """Print both; whether every promise was kept."""
    console = Console(width=140, highlight=False)
    console.print(_table_of(chapters))
    longest = max(chapter.pause.seconds for chapter in chapters)
    console.print(
        f"* how long the event loop of the server was held up at worst: {_milliseconds(longest)} over the whole story;"
        f" {_milliseconds(LONGEST_PAUSE)} is the limit"
    )
    console.print("† of a small query that is asked all the while\n")
    for promise in promises:
        console.print(
            f"{'kept  ' if promise.kept else 'BROKEN'}  {promise.text}: {promise.found}", markup=False, soft_wrap=True
        )
    return all(promise.kept for promise in promises)


def pauses(chapters: Sequence[Chapter]) -> list[Promise]:
    """That no chapter held up the loop."""
    limit = _milliseconds(LONGEST_PAUSE)
    return [
        Promise(
            f"No pause of {limit} in “{chapter.name}”",
            chapter.pause.seconds < LONGEST_PAUSE,
            f"{_milliseconds(chapter.pause.seconds)}, at work for {_milliseconds(chapter.pause.work)} of it",
        )
        for chapter in chapters
    ]


def megabytes(size: int) -> str:
    return f"{size / MEGABYTE:.0f} MB"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.1f} ms"


def _table_of(chapters: Sequence[Chapter]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for name in ("seconds", "pause*", "server", "other process", "p95†", "slowest†"):
        table.add_column(name, justify="right")
    for chapter in chapters:
        other = f"{chapter.other[0]} {megabytes(chapter.other[1])}" if chapter.other else ""
        table.add_row(
            chapter.name,
            f"{chapter.seconds:.2f}",
            _milliseconds(chapter.pause.seconds),
            megabytes(chapter.server),
            other,
            _milliseconds(chapter.usual),
            _milliseconds(chapter.slowest),
        )
    return table
