"""The README says what is so: its tables are those that the code makes, and its commands exist."""

import re
from pathlib import Path

import pytest

from server.domain.status import MOVES
from server.settings import variables

CHECKOUT = Path(__file__).parents[1]
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")


def settings() -> str:
    rows = [
        f"| `{variable.name}` | {f'`{variable.default}`' if variable.default else ''} | {variable.description} |"
        for variable in variables()
    ]
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows])


def moves() -> str:
    rows = [
        f"| `{status}` | {', '.join(f'`{to}`' for to in MOVES if to in following)} |".replace("|  |", "| |")
        for status, following in MOVES.items()
    ]
    return "\n".join(["| from | to |", "|---|---|", *rows])


@pytest.mark.parametrize(("part", "made"), [("settings", settings()), ("moves", moves())])
def test_a_table_is_the_one_that_the_code_makes(part: str, made: str) -> None:
    shown = re.search(rf"<!-- {part} -->\n(.*)\n<!-- /{part} -->", README, re.DOTALL)
    assert shown is not None
    assert shown[1] == made


def test_every_command_it_gives_exists() -> None:
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z0-9-]+):", makefile, re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z][a-z0-9-]+)\b(?=[^\n]*(?:`|#|$))", README)) <= targets


def test_every_file_it_links_exists() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(links) >= 5
    assert [link for link in links if not (CHECKOUT / link).exists()] == []


def test_the_quoted_operations_are_those_of_the_examples() -> None:
    examples = (CHECKOUT / "examples" / "operations.graphql").read_text(encoding="utf-8")
    quoted = re.findall(r"```graphql\n(.*?)```", README, re.DOTALL)
    assert len(quoted) >= 3
    assert [operation for operation in quoted if operation not in examples] == []
