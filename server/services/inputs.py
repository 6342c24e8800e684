"""What values from outside must be like before anything is stored; the same for mutations and for the bulk import."""

import json
import math
from collections.abc import Collection, Iterable, Sequence

from server.domain import examples
from server.domain.errors import InvalidInput
from server.domain.examples import Message
from server.domain.gates import DataUse

MAX_NAME_CHARACTERS = 255
MAX_LOCATION_CHARACTERS = 2_000
MAX_PROMPT_CHARACTERS = 100_000
MAX_LABEL_BYTES = 64 * 1024
MAX_LABEL_DEPTH = 64
USES = frozenset(DataUse)

Path = tuple[str, ...]


def refused(path: Path, reason: str) -> InvalidInput:
    """An InvalidInput whose message names the place as a reader would write it: `pairs[1].messages[0].role: …`."""
    place = ""
    for step in path[1:] if path[:1] == ("input",) else path:
        place += f"[{step}]" if step.isdecimal() else f".{step}" if place else step
    return InvalidInput(f"{place}: {reason}" if place else reason, path)


def text(value: str, path: Path, most: int = MAX_NAME_CHARACTERS) -> str:
    """A text of at most `most` characters that Postgres can hold. Raises `InvalidInput` for any other."""
    if len(value) > most:
        raise refused(path, f"has {len(value):,} characters; at most {most:,} are allowed")
    if reason := examples.unstorable_text(value):
        raise refused(path, reason)
    return value


def filled(value: str, path: Path, most: int = MAX_NAME_CHARACTERS) -> str:
    """A `text` that is more than white space. Raises `InvalidInput`."""
    if not value.strip():
        raise refused(path, "must not be blank")
    return text(value, path, most)


def optional(value: str | None, path: Path, most: int = MAX_NAME_CHARACTERS) -> str | None:
    """A text that may be left out, but is not blank when given. Raises `InvalidInput`."""
    return None if value is None else filled(value, path, most)


def prompt(value: str | None, path: Path) -> str | None:
    """A system prompt of at most `MAX_PROMPT_CHARACTERS`; None for a blank one. Raises `InvalidInput`."""
    return None if value is None or not value.strip() else text(value, path, MAX_PROMPT_CHARACTERS)


def messages(value: Sequence[Message], path: Path) -> None:
    """Raise `InvalidInput` for messages that can't be stored; whether they can be trained on is not checked here."""
    if problem := examples.unstorable(value):
        where, reason = problem
        raise refused((*path, *where), reason)


def uses(values: Iterable[str], path: Path) -> list[str]:
    """Data uses, each once and in the order of `DataUse`. Raises `InvalidInput` for an unknown one."""
    given = list(values)
    for index, value in enumerate(given):
        if value not in USES:
            raise refused((*path, str(index)), f"unknown use {value[:40]!a}; use one of {', '.join(DataUse)}")
    return [use.value for use in DataUse if use in given]


def count(values: Collection[object], path: Path, most: int) -> None:
    """Raise `InvalidInput` for a list that is empty or has more than `most` entries."""
    if not values:
        raise refused(path, "needs at least one entry")
    if len(values) > most:
        raise refused(path, f"has {len(values):,} entries; at most {most:,} are allowed")


def label_data(value: object, path: Path) -> str:
    """The JSON text of a label's data: any JSON but null that Postgres can hold, of at most 64 KiB.

    Raises `InvalidInput` for any other.
    """
    if value is None:
        raise refused(path, "must not be null")
    level: list[object] = [value]
    for _ in range(MAX_LABEL_DEPTH):
        for item in level:
            if reason := _unstorable(item):
                raise refused(path, reason)
        level = [child for item in level for child in _children(item)]
    if level:
        raise refused(path, f"is nested more than {MAX_LABEL_DEPTH} levels deep")
    try:
        written = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except ValueError:  # the interpreter writes no whole number of more than 4300 digits
        raise refused(path, "contains a number with too many digits") from None
    size = len(written.encode())
    if size > MAX_LABEL_BYTES:
        raise refused(path, f"has {size:,} bytes as JSON; at most {MAX_LABEL_BYTES:,} are allowed")
    return written


def _unstorable(item: object) -> str | None:
    match item:
        case str():
            return examples.unstorable_text(item)
        case float() if not math.isfinite(item):
            return "contains a number that is not finite, which JSON can't hold"
        case dict() | list() | int() | float() | None:
            return None
        case _:
            return f"contains a {type(item).__name__}, which JSON can't hold"


def _children(item: object) -> Iterable[object]:
    match item:
        case dict():
            return (*item.keys(), *item.values())
        case list():
            return item
        case _:
            return ()
