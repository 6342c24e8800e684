"""Real conversations to train on: `python examples/chatterbot.py OUT.jsonl` writes the English `chatterbot-corpus`."""
# ruff: noqa: INP001  (a program to run, not a package)

import argparse
import importlib.util
import json
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

PACKAGE = "chatterbot_corpus"
MISSING = """\
The conversations come with a package that is not installed. Install it beside the server's own with one of
  uv pip install --no-deps -r examples/chatterbot.lock
  python -m pip install --no-deps -r examples/chatterbot.lock
and try again.
"""

Line = dict[str, str]


def lines(folder: Path) -> list[Line]:
    """The lines to import: the first two turns of each conversation in a folder of YAML files, by file and position.

    What follows the second turn is left out: some files go on with the conversation there, others give more answers
    to its first turn, and nothing in them says which. Of conversations that begin with the same question only the
    first is kept: the rest repeat it word for word, or answer it differently, so that no answer would be the right one.
    """
    kept: dict[str, Line] = {}
    for item_ref, question, answer in _openings(folder):
        line = {"item_ref": item_ref, "prompt": question, "response": answer, "status": "labeled"}
        kept.setdefault(_normalised(question), line)
    return list(kept.values())


def _openings(folder: Path) -> Iterator[tuple[str, str, str]]:
    for file in sorted(folder.glob("*.yml")):
        # The base loader builds nothing but texts, lists and mappings, so that an answer of "Yes" or "5" stays a text.
        content = yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506
        for number, turns in enumerate(content["conversations"], 1):
            question, answer = [turn.strip() for turn in turns[:2]] if len(turns) > 1 else ("", "")
            if question and answer:
                yield f"{file.stem}-{number}", question, answer


def _normalised(question: str) -> str:
    # the server's own rule for two questions being the same
    return " ".join(unicodedata.normalize("NFKC", question).casefold().split())


def installed() -> Path | None:
    """The folder of the installed package's English files; None when it is not installed."""
    package = importlib.util.find_spec(PACKAGE)
    if package is None or not package.submodule_search_locations:
        return None
    return Path(package.submodule_search_locations[0], "data", "english")


def main(arguments: Sequence[str]) -> int:
    """Write the file; the exit status is 0, or 1 when there is nothing to read or no place to write."""
    parser = argparse.ArgumentParser(
        prog="python examples/chatterbot.py",
        description="Write the English conversations of the chatterbot-corpus package as a file to import.",
    )
    parser.add_argument("out", type=Path, metavar="OUT.jsonl", help="the file to write; one that exists is replaced")
    out: Path = parser.parse_args(arguments).out
    folder = installed()
    if folder is None:
        sys.stderr.write(MISSING)
        return 1
    found = lines(folder)
    try:
        out.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in found), encoding="utf-8")
    except OSError as error:
        sys.stderr.write(f"{out} can't be written: {error.strerror}\n")
        return 1
    sys.stdout.write(f"{len(found)} pairs written to {out}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
