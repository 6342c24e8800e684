"""How a field is read, said once, beside the field: a column, an expression, a relation or a connection."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Final, TypeAlias, TypeVar

import strawberry
from sqlalchemy import Column, ColumnElement, FromClause, Table
from strawberry.annotation import StrawberryAnnotation
from strawberry.types.arguments import StrawberryArgument

from schema.reads.arguments import Arguments

TYPE_SOURCE: Final = "__read_from__"
READ: Final = "read"

Row: TypeAlias = FromClause
Source: TypeAlias = "Table | Callable[[Scope], FromClause]"
On: TypeAlias = Callable[[Row, Row], ColumnElement[bool]]
Where: TypeAlias = Callable[[Row, Arguments], Iterable[ColumnElement[bool]]]


@dataclass(frozen=True, slots=True)
class Scope:
    """What a derived source may use: the parent's row, the field's arguments, and the only way to a table's rows.

    `name` makes a name for a FROM that no client's response key can equal.
    """

    parent: Row | None
    arguments: Arguments
    rows: Callable[[Table], FromClause]
    name: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Scalar:
    """A value computed from the row of its type; `weight` is how many usual values it is as large as."""

    expression: Callable[[Row], ColumnElement[Any]]
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Order:
    """Columns that put rows in order, all in one direction, the last of them unique; `tag` marks cursors of this order.

    `descending` may depend on an argument.
    """

    tag: str
    columns: tuple[str, ...]
    descending: bool | Callable[[Arguments], bool] = False


@dataclass(frozen=True, slots=True)
class Relation:
    """Rows of another type. `on` joins them to the parent's row, `where` narrows them by the field's arguments."""

    source: Source
    on: On | None
    where: Where | None


@dataclass(frozen=True, slots=True)
class One(Relation):
    """At most one row: joined on a unique key."""


@dataclass(frozen=True, slots=True)
class Many(Relation):
    """A plain list; `limit` answers how long it may get, and `usual` how long one without a limit is expected to be."""

    order: Callable[[Row], Sequence[ColumnElement[Any]]]
    limit: Callable[[Arguments], int] | None = None
    usual: Callable[[Arguments], int] = lambda _: 10

    def length(self, arguments: Arguments) -> int:
        """How many rows to reckon with. Raises `BadArgument`."""
        return (self.limit or self.usual)(arguments)


@dataclass(frozen=True, slots=True)
class Connection(Relation):
    """A Relay connection with keyset cursors; `page` is its size when the client names none."""

    order: Order
    page: int


@dataclass(frozen=True, slots=True)
class Lookup:
    """One object of any type that is read by its key. `type_name` answers which, by the field's arguments, if any."""

    type_name: Callable[[Arguments], str | None]
    where: Where


@dataclass(frozen=True, slots=True)
class Computed:
    """A field that Python answers; `needs` are values of the row that it is given, under names no client can choose.

    `weight` is how many usual values it takes as long as.
    """

    needs: Mapping[str, Callable[[Row], ColumnElement[Any]]] = field(default_factory=dict)
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Assembled:
    """A part of a connection, which is compiled as a whole."""


class Stream(Enum):
    """What is followed: the events of one job, the state of one job, or the states of all jobs that change."""

    EVENTS = auto()
    JOB = auto()
    JOBS = auto()


@dataclass(frozen=True, slots=True)
class Start:
    """Where a subscriber begins: at which job, if the stream is about one, and behind which place in the stream."""

    job_id: str | None = None
    after: Any = None


@dataclass(frozen=True, slots=True)
class Followed:
    """A field of the subscription root. `start` makes of its arguments where to begin, and may raise `BadArgument`.

    `unchanging` and `status` are the conditions of a stream of all jobs: those on what never changes of a job, and
    those on a column with its status.
    """

    stream: Stream
    start: Callable[[Mapping[str, Any]], Start]
    unchanging: Where | None = None
    status: Callable[[ColumnElement[str], Arguments], Iterable[ColumnElement[bool]]] | None = None


Read: TypeAlias = Scalar | One | Many | Connection | Lookup | Computed | Assembled | Followed


T = TypeVar("T", bound=type)


def read_from(source: Source) -> Callable[[T], T]:
    """Say where the rows of a type come from when it is read by its key."""

    def mark(cls: T) -> T:
        setattr(cls, TYPE_SOURCE, source)
        return cls

    return mark


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a declared field, under its Python name."""

    name: str
    type: Any
    description: str
    default: Any = strawberry.UNSET


def column(source: Column[Any], description: str, *, weight: int = 1) -> Any:  # noqa: ANN401  (a field's annotation gives its type)
    """A column of the type's table."""
    name = source.name
    return strawberry.field(description=description, metadata={READ: Scalar(lambda row: row.c[name], weight)})


def expression(value: Callable[[Row], ColumnElement[Any]], description: str, *, weight: int = 1) -> Any:  # noqa: ANN401
    """A value that SQL computes from the type's row."""
    return strawberry.field(description=description, metadata={READ: Scalar(value, weight)})


def assembled(description: str) -> Any:  # noqa: ANN401
    """A field of a connection, an edge or a page."""
    return strawberry.field(description=description, metadata={READ: Assembled()})


def one(
    source: Source,
    description: str,
    *,
    on: On | None = None,
    where: Where | None = None,
    arguments: Sequence[Argument] = (),
) -> Any:  # noqa: ANN401
    """The one row of another type that belongs to this one, if there is one."""
    return _field(One(source, on, where), description, arguments)


def lookup(
    type_name: Callable[[Arguments], str | None],
    description: str,
    *,
    where: Where,
    arguments: Sequence[Argument],
) -> Any:  # noqa: ANN401
    """One object of whichever type the arguments name."""
    return _field(Lookup(type_name, where), description, arguments)


def many(  # noqa: PLR0913
    source: Source,
    description: str,
    *,
    order: Callable[[Row], Sequence[ColumnElement[Any]]],
    on: On | None = None,
    where: Where | None = None,
    limit: Callable[[Arguments], int] | None = None,
    usual: Callable[[Arguments], int] = lambda _: 10,
    arguments: Sequence[Argument] = (),
) -> Any:  # noqa: ANN401
    """All the rows that belong to this one; `usual` is how many to reckon with where there is no limit."""
    return _field(Many(source, on, where, order, limit, usual), description, arguments)


def connection(  # noqa: PLR0913
    source: Source,
    description: str,
    *,
    order: Order,
    on: On | None = None,
    where: Where | None = None,
    page: int = 20,
    arguments: Sequence[Argument],
    graphql_type: Any = None,  # noqa: ANN401
) -> Any:  # noqa: ANN401
    """The rows that belong to this one, page by page."""
    return _field(Connection(source, on, where, order, page), description, arguments, graphql_type)


def followed(read: Followed, description: str, arguments: Sequence[Argument]) -> Any:  # noqa: ANN401
    """A stream that clients subscribe to."""
    return _field(read, description, arguments)


def computed(
    resolver: Callable[..., Any],
    description: str,
    *,
    weight: int,
    **needs: Callable[[Row], ColumnElement[Any]],
) -> Any:  # noqa: ANN401
    """A field that `resolver` answers; its parent is a dict with the `needs` under their names behind a "$"."""
    read = Computed({f"${name}": expression for name, expression in needs.items()}, weight)
    return strawberry.field(resolver=resolver, description=description, metadata={READ: read})


def _field(
    read: Relation | Lookup | Followed,
    description: str,
    arguments: Sequence[Argument],
    graphql_type: Any = None,  # noqa: ANN401
) -> Any:  # noqa: ANN401
    declared = strawberry.field(description=description, metadata={READ: read}, graphql_type=graphql_type)
    if arguments:
        declared.arguments = [
            StrawberryArgument(
                argument.name,
                None,
                StrawberryAnnotation(argument.type),
                description=argument.description,
                default=argument.default,
            )
            for argument in arguments
        ]
    return declared
