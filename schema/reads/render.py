"""How values are written as JSON by Postgres, so that they read the same however a request is answered."""

from collections.abc import Iterable
from typing import Any, TypeAlias

from sqlalchemy import JSON, Boolean, ColumnElement, DateTime, LargeBinary, Text, func, literal_column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

Pairs: TypeAlias = list[tuple[str, ColumnElement[Any]]]

LONGEST_LABEL = 63  # bytes; Postgres cuts a longer one, silently
MOST_COLUMNS = 1_600  # row_to_json ends at 1,664


class JsonObject(FunctionElement[Any]):
    """`json_object('key': value, …)`: keys of any length and number, where a row's column names end at 63 bytes."""

    name = "json_object"
    type = JSON()
    inherit_cache = False

    def __init__(self, keys: tuple[str, ...], values: tuple[ColumnElement[Any], ...]) -> None:
        self.keys = keys
        super().__init__(*values)


@compiles(JsonObject)
def _render(element: JsonObject, compiler: SQLCompiler, **kwargs: Any) -> str:  # noqa: ANN401
    """Keys are GraphQL names, letters, digits and underscores, so they can't close the literal."""
    values = (compiler.process(value, **kwargs) for value in element.clauses)
    pairs = ", ".join(f"'{key}': {value}" for key, value in zip(element.keys, values, strict=True))
    return f"json_object({pairs} RETURNING json)"


def json_object(pairs: Pairs) -> JsonObject:
    """An object of response keys and their values."""
    return JsonObject(tuple(key for key, _ in pairs), tuple(value for _, value in pairs))


def as_json(item: ColumnElement[Any]) -> ColumnElement[Any]:
    """A whole row as JSON; what is JSON already stays as it is."""
    return item if isinstance(item.type, JSON) else func.row_to_json(item)


def as_bytes(item: ColumnElement[Any]) -> ColumnElement[bytes]:
    """A JSON value as its text in UTF-8, which costs the client less than text does."""
    return func.convert_to(item.cast(Text), word("UTF8"), type_=LargeBinary)


def fits_a_row(keys: list[str]) -> bool:
    """Whether these response keys can be the column names of one row."""
    return 0 < len(keys) <= MOST_COLUMNS and all(len(key.encode()) <= LONGEST_LABEL for key in keys)


def value(element: ColumnElement[Any]) -> ColumnElement[Any]:
    """The JSON form of a scalar: times are RFC 3339 in UTC, to the microsecond."""
    return timestamp(element) if isinstance(element.type, DateTime) else element


def timestamp(element: ColumnElement[Any]) -> ColumnElement[str]:
    """A timestamptz as text."""
    local = func.timezone(literal_column("'UTC'", Text), element)
    return func.to_char(local, literal_column("""'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'""", Text), type_=Text)


def word(text: str) -> ColumnElement[str]:
    """A text of ours as a literal: it takes no bind."""
    quoted = text.replace("'", "''")
    return literal_column(f"'{quoted}'", Text)


def among(column: ColumnElement[str], words: Iterable[str]) -> ColumnElement[bool]:
    """Whether a column holds one of some words of ours; never, when there are none."""
    listed = [word(text) for text in sorted(set(words))]
    return column.in_(listed) if listed else literal_column("false", Boolean)


def number(count: int) -> ColumnElement[int]:
    """A number of ours as a literal."""
    return literal_column(str(int(count)))


def null() -> ColumnElement[Any]:
    """The JSON value of nothing."""
    return literal_column("NULL::json", JSON)


def empty_list() -> ColumnElement[Any]:
    """The JSON list of nothing."""
    return literal_column("'[]'::json", JSON)
