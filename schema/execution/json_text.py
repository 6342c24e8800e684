"""JSON as it is read from clients and written to them."""

import json
import math
from typing import Any, Final

MOST_ENTRIES: Final = 250_000  # a list of a million lists of nothing is 3 MB of text and 60 MB of memory
QUOTE: Final = '"'


class NotJson(ValueError):
    """What a client sent is no JSON text in UTF-8, or one that nests beyond reason."""


class TooManyEntries(NotJson):
    """A JSON text with more lists, objects and entries than any request needs."""

    def __init__(self) -> None:
        super().__init__(
            f"has more than {MOST_ENTRIES} lists, objects and entries; send less at once, or use"
            " `python -m server import` for many pairs"
        )


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


DECODER: Final = json.JSONDecoder(parse_constant=_finite, parse_float=_finite)


def decode(text: str | bytes) -> Any:  # noqa: ANN401  (whatever a client sent)
    """The value of a JSON text. Raises `NotJson`, for numbers beyond any use as well: NaN, 1e999, 5,000 digits.

    Raises `TooManyEntries` before anything is made of the text: Python's decoder holds all threads while it works.
    """
    try:
        plain = text if isinstance(text, str) else text.decode()
        too_many = _separators(plain, 0, len(plain)) > MOST_ENTRIES and _has_too_many_entries(plain)
        value = None if too_many else DECODER.decode(plain)
    except (ValueError, RecursionError):
        raise NotJson from None
    if too_many:
        raise TooManyEntries
    return value


def encode(value: object) -> bytes:
    """JSON in UTF-8. A lone surrogate of a client's that an error quotes is written as JSON's escape for it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode(errors="backslashreplace")


def _separators(text: str, start: int, end: int) -> int:
    """How many lists, objects and further entries begin in a part of a text that has no string."""
    return sum(text.count(mark, start, end) for mark in ",[{")


def _has_too_many_entries(text: str) -> bool:
    """Whether there are too many outside of strings; for a text that is no JSON, perhaps sooner."""
    entries = strings = start = 0
    while (opening := text.find(QUOTE, start)) >= 0:
        entries += _separators(text, start, opening)
        strings += 1
        if entries > MOST_ENTRIES or strings > 2 * entries + 2:
            break
        start = _end_of_string(text, opening)
    return entries + _separators(text, start, len(text)) > MOST_ENTRIES


def _end_of_string(text: str, opening: int) -> int:
    """Where the text goes on behind a string; its end when the string has none."""
    at = opening
    while (at := text.find(QUOTE, at + 1)) >= 0:
        before = at - 1
        while text[before] == "\\":
            before -= 1
        if (at - before) % 2:  # an even number of backslashes
            return at + 1
    return len(text)
