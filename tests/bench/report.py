"""Tables for a terminal and for Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table as Drawn


@dataclass(frozen=True, slots=True)
class Table:
    """A table of texts. The first column says what a row is about; `note` is a sentence below."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


def show(console: Console, table: Table) -> None:
    """Draw a table in a terminal."""
    drawn = Drawn(title=table.title, title_justify="left", caption=table.note or None, caption_justify="left")
    for number, column in enumerate(table.columns):
        drawn.add_column(column, justify="right" if number else "left", no_wrap=number > 0)
    for row in table.rows:
        drawn.add_row(*row)
    console.print(drawn)


def markdown(table: Table) -> str:
    """A table in GitHub's Markdown, under a heading."""
    lines = [
        f"### {table.title}",
        "",
        _row(table.columns),
        _row(["---", *("---:" for _ in table.columns[1:])]),
        *map(_row, table.rows),
        *(["", table.note] if table.note else []),
    ]
    return "\n".join(lines)


def times(ratio: float) -> str:
    """A ratio with as many digits as mean something."""
    if ratio != ratio:  # noqa: PLR0124  (only NaN differs from itself)
        return "-"
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
