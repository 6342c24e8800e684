"""Cursors: the place of a row in an order, opaque to clients."""

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.oracle.arguments import BadArgument, refuse_unstorable
from tests.oracle.loading import Row

SMALLEST_INT, LARGEST_INT = -(2**31), 2**31 - 1


@dataclass(frozen=True, slots=True)
class Order:
    """Columns with their SQL types, the last of them unique; `tag` tells cursors of different lists apart."""

    tag: str
    columns: tuple[tuple[str, str], ...]
    descending: bool = False


def rfc3339(moment: datetime) -> str:
    """A moment in UTC, to the microsecond."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def encode(order: Order, row: Row) -> str:
    """The cursor of a row."""
    values = [row[name] for name, _ in order.columns]
    place = [order.tag, *(rfc3339(value) if isinstance(value, datetime) else value for value in values)]
    return base64.b64encode(json.dumps(place, ensure_ascii=False).encode()).decode()


def decode(order: Order, name: str, text: str) -> list[Any]:
    """The place that a cursor names. Raises `BadArgument` for what is no cursor of this order."""
    bad = BadArgument(f"{name} is not a cursor of this list; use one that a page of it gave you")
    try:
        place = json.loads(base64.b64decode(text, validate=True))
    except (ValueError, RecursionError):
        raise bad from None
    if not isinstance(place, list) or len(place) != len(order.columns) + 1 or place[0] != order.tag:
        raise bad
    values = [_value(value, type_) for value, (_, type_) in zip(place[1:], order.columns, strict=True)]
    if None in values:
        raise bad
    for value in values:
        if isinstance(value, str):
            refuse_unstorable(name, value)
    return values


def _value(value: object, type_: str) -> datetime | int | str | None:
    """A part of a cursor as its SQL type; None when it is of another."""
    match type_, value:
        case "timestamptz", str():
            try:
                return datetime.strptime(value, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
            except ValueError:
                return None
        case "int4", int() if type(value) is int and SMALLEST_INT <= value <= LARGEST_INT:
            return value
        case "text", str():
            return value
    return None
