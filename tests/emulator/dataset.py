"""What a training learns from, read as the training services read it."""

import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.emulator.disk import Disk
from tests.emulator.errors import ApiError

CHARACTERS_OF_A_TOKEN = 4
ROLES = frozenset({"system", "user", "assistant"})


class Malformed(Exception):
    """The data can't be trained on; the message is what the run's owner reads."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """How much there is to learn, and a seed that differs with the content."""

    rows: int
    tokens: int
    seed: str


class Datasets:
    """Where trainings find their data: volumes, and tables and splits of which only the size is known."""

    def __init__(self, disk: Disk, sizes: Mapping[str, int]) -> None:
        self._disk = disk
        self._sizes = sizes

    def read(self, path: str, task: str) -> Dataset:
        """Read what is at `path` for a kind of task (FMAPI's names).

        Raises:
            Malformed: When it is not there or not what the task needs.
        """
        if path in self._sizes:
            return Dataset(self._sizes[path], self._sizes[path] * 100, path)
        if not path.removeprefix("dbfs:").startswith("/Volumes/"):
            raise Malformed(f"Could not find the dataset {path}.")
        try:
            place = self._disk.file(path)
        except ApiError as error:
            raise Malformed(error.message) from None
        if task == "CONTINUED_PRETRAIN":
            return _texts(place, path)
        if not place.is_file():
            raise Malformed(f"Could not find the file {path}.")
        return read_jsonl(place, path, task)


def _texts(place: Path, path: str) -> Dataset:
    contents = [inner.read_bytes() for inner in sorted(place.rglob("*.txt"))] if place.is_dir() else []
    if not contents:
        raise Malformed(f"Found no .txt file in {path}.")
    return _sized(len(contents), b"".join(contents))


def read_jsonl(place: Path, path: str, task: str) -> Dataset:
    """Read a file of one JSON object a line.

    Raises:
        Malformed: With the number of the first line that is not what the task needs.
    """
    content = place.read_bytes()
    rows = 0
    for number, line in enumerate(content.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            raise Malformed(f"Line {number} of {path} is not JSON.") from None
        wrong = _wrong(row, task)
        if wrong:
            raise Malformed(f"Line {number} of {path}: {wrong}")
        rows += 1
    if not rows:
        raise Malformed(f"There are no examples in {path}.")
    return _sized(rows, content)


def _sized(rows: int, content: bytes) -> Dataset:
    return Dataset(rows, len(content) // CHARACTERS_OF_A_TOKEN, hashlib.sha256(content).hexdigest())


def _wrong(row: Any, task: str) -> str | None:  # noqa: ANN401  (JSON has no type)
    """Why a row is refused."""
    if not isinstance(row, dict):
        return "an object is needed"
    if task == "INSTRUCTION_FINETUNE":
        answer = row.get("response", row.get("completion"))
        return (
            None if isinstance(row.get("prompt"), str) and isinstance(answer, str) else "prompt and response are needed"
        )
    messages = row.get("messages")
    if not isinstance(messages, list) or not messages:
        return "messages are needed"
    for message in messages:
        if (
            not isinstance(message, dict)
            or message.get("role") not in ROLES
            or not isinstance(message.get("content"), str)
        ):
            return "a message needs a role (system, user or assistant) and a content"
    return _out_of_turn([message["role"] for message in messages])


def _out_of_turn(roles: list[str]) -> str | None:
    turns = roles[1:] if roles[0] == "system" else roles
    if "system" in turns:
        return "a system message may only come first"
    if not turns or turns[-1] != "assistant":
        return "the last message has to be the assistant's"
    if any(one == next_one for one, next_one in itertools.pairwise(turns)):
        return "user and assistant have to alternate"
    return None
