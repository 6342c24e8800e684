"""Keyset cursors: the order values of a row, opaque to clients, checked when they come back."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, DateTime, Integer, Text, func, literal_column, tuple_
from sqlalchemy.types import TypeEngine

from schema.reads.arguments import Arguments, BadArgument
from schema.reads.declare import Order, Row
from schema.reads.render import value, word


def cursor(order: Order, row: Row) -> ColumnElement[str]:
    """The cursor of a row: base64 of `[tag, order values …]`. encode() breaks lines after 76 characters."""
    values = func.json_build_array(word(order.tag), *(value(row.c[name]) for name in order.columns))
    encoded = func.encode(func.convert_to(values.cast(Text), word("UTF8")), word("base64"))
    return func.translate(encoded, literal_column("E'\\n'", Text), word(""), type_=Text)


def beyond(order: Order, row: Row, arguments: Arguments, name: str, *, greater: bool) -> ColumnElement[bool]:
    """The condition that a row lies behind (or before) the row of a cursor argument."""
    columns = [row.c[column] for column in order.columns]
    types = [column.type for column in columns]
    bounds = [
        arguments.bind(type_, name, convert=_part(index, order, types, name)) for index, type_ in enumerate(types)
    ]
    position, bound = tuple_(*columns), tuple_(*bounds)
    return position > bound if greater else position < bound


def _part(index: int, order: Order, types: Sequence[TypeEngine[Any]], name: str) -> Callable[[Any], object]:
    return lambda text: decode(text, order, types, name)[index]


def decode(text: str, order: Order, types: Sequence[TypeEngine[Any]], name: str) -> list[Any]:
    """The order values in a cursor of this order, of these types. Raises `BadArgument` for any other text."""
    try:
        parts = json.loads(base64.b64decode(text, validate=True))
    except (ValueError, binascii.Error, RecursionError):
        raise _bad(name) from None
    if not isinstance(parts, list) or len(parts) != len(types) + 1 or parts[0] != order.tag:
        raise _bad(name)
    return [_checked(part, type_, name) for part, type_ in zip(parts[1:], types, strict=True)]


def _checked(part: object, type_: TypeEngine[Any], name: str) -> object:
    if isinstance(type_, DateTime) and isinstance(part, str):
        try:
            return datetime.strptime(part, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
        except ValueError:
            raise _bad(name) from None
    if type(part) is not (int if isinstance(type_, Integer) else str):
        raise _bad(name)
    if isinstance(part, int) and not -(2**31) <= part < 2**31:
        raise _bad(name)
    return part


def _bad(name: str) -> BadArgument:
    return BadArgument(f"{name} is not a cursor of this list; use one that a page of it gave you")
