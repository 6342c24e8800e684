"""Connections: pages and counts for many parents at once, and the fields that are made of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeAlias

from tests.oracle import cursors
from tests.oracle.arguments import Arguments, BadArgument, Check, Info, page_size
from tests.oracle.cursors import Order
from tests.oracle.fields import Field, Resolve
from tests.oracle.loading import Loader, Row, Session

PAGE = 20
ROOT = ""  # the key of a list without a parent


@dataclass(slots=True)
class Conditions:
    """Conditions on a row `t` with the values of their placeholders; $1 is left to the parents' keys."""

    sql: list[str] = field(default_factory=list)
    values: list[object] = field(default_factory=list)

    def add(self, condition: str, *values: object) -> None:
        """Add a condition that has a {} for each value."""
        places = (f"${len(self.values) + number}" for number in range(2, len(values) + 2))
        self.sql.append(condition.format(*places))
        self.values += values

    def among(self, column: str, words: Sequence[str]) -> None:
        """Add that a column holds one of some words of an enum: as literals, for plans that are right for the rare."""
        listed = ", ".join(f"'{word}'" for word in words)
        self.sql.append(f"t.{column} IN ({listed})" if words else "false")


Narrow: TypeAlias = Callable[[Conditions, Arguments], None]


@dataclass(frozen=True, slots=True)
class List:
    """Where the items of a connection come from: rows `t` of a table, `on` those of a parent `p.key`."""

    table: str
    order: Order
    on: str | None = None
    parent: str = "id"
    narrow: Narrow | None = None
    ordered: Callable[[Arguments], bool] | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """A connection field of an operation with its arguments, for all of its parents."""

    order: Order
    size: int
    backward: bool
    after: bool
    before: bool
    pages: Loader[Sequence[Row]]
    counts: Loader[int]

    def rows(self, found: Sequence[Row]) -> Sequence[Row]:
        """The rows of a page, in the order of the list; one more was read."""
        page = found[: self.size]
        return page[::-1] if self.backward else page

    def edges(self, found: Sequence[Row]) -> list["Edge"]:
        """The same rows, with their places."""
        return [Edge(self.order, row) for row in self.rows(found)]

    def page_info(self, found: Sequence[Row]) -> Mapping[str, object]:
        """Where the page stands."""
        rows, more = self.rows(found), len(found) > self.size
        return {
            "has_next_page": self.before or (more and not self.backward),
            "has_previous_page": self.after or (more and self.backward),
            "start_cursor": cursors.encode(self.order, rows[0]) if rows else None,
            "end_cursor": cursors.encode(self.order, rows[-1]) if rows else None,
        }


@dataclass(frozen=True, slots=True)
class Connection:
    """The list of one parent; nothing is read before a field of it is asked for."""

    listing: Listing
    parent: str


@dataclass(frozen=True, slots=True)
class Edge:
    """A row in an order."""

    order: Order
    row: Row


CONNECTION: Mapping[str, Resolve] = {
    "nodes": lambda here, _: here.listing.pages.load(here.parent, here.listing.rows),
    "edges": lambda here, _: here.listing.pages.load(here.parent, here.listing.edges),
    "pageInfo": lambda here, _: here.listing.pages.load(here.parent, here.listing.page_info),
    "totalCount": lambda here, _: here.listing.counts.load(here.parent),
}
EDGE: Mapping[str, Resolve] = {
    "node": lambda edge, _: edge.row,
    "cursor": lambda edge, _: cursors.encode(edge.order, edge.row),
}


def connection(items: List, **texts: Callable[[Any], object]) -> Field:
    """A connection field; `texts` raise for arguments of its own that are bad."""

    def resolve(source: Any, info: Info, **arguments: Any) -> Connection:  # noqa: ANN401
        known, place = info.context.listings, id(info.field_nodes[0])
        listing = known.get(place)
        if listing is None:
            listing = known[place] = _listing(items, info.context, arguments)
        return Connection(listing, ROOT if items.on is None else source[items.parent])

    cursors_of_items = {name: partial(cursors.decode, items.order, name) for name in ("after", "before")}
    return Field(resolve, Check(_size, {**texts, **cursors_of_items}))


def _size(arguments: Arguments) -> int:
    first = page_size("first", arguments.get("first"))
    last = page_size("last", arguments.get("last"))
    if first is not None and last is not None:
        raise BadArgument("first and last can't be combined; ask for one end of the list")
    return next((size for size in (first, last) if size is not None), PAGE)


def _listing(items: List, session: Session, arguments: Arguments) -> Listing:
    order = items.order
    if items.ordered is not None:
        order = replace(order, descending=items.ordered(arguments))
    after, before = arguments.get("after"), arguments.get("before")
    size, backward = _size(arguments), arguments.get("last") is not None
    conditions = Conditions([] if items.on is None else [items.on])
    if items.narrow is not None:
        items.narrow(conditions, arguments)
    counts = _counts(items, session, conditions)
    for name, text, greater in (("after", after, not order.descending), ("before", before, order.descending)):
        if text is not None:
            _bound(conditions, order, cursors.decode(order, name, text), greater=greater)
    direction = "DESC" if order.descending is not backward else "ASC"
    by = ", ".join(f"t.{name} {direction}" for name, _ in order.columns)
    pages = _pages(items, session, conditions, f"ORDER BY {by}", size + 1)
    return Listing(order, size, backward, after is not None, before is not None, pages, counts)


def _bound(conditions: Conditions, order: Order, place: Sequence[object], *, greater: bool) -> None:
    columns = ", ".join(f"t.{name}" for name, _ in order.columns)
    places = ", ".join(f"{{}}::{type_}" for _, type_ in order.columns)
    conditions.add(f"({columns}) {'>' if greater else '<'} ({places})", *place)


def _pages(items: List, session: Session, conditions: Conditions, by: str, limit: int) -> Loader[Sequence[Row]]:
    inner = f"SELECT t.* FROM {items.table} t WHERE {_all(conditions)} {by} LIMIT {limit}"
    whole = f'SELECT p.key AS "parent$", t.* FROM unnest($1::text[]) AS p(key), LATERAL ({inner}) t {by}'
    return session.rows(whole, "parent$", *conditions.values)


def _counts(items: List, session: Session, conditions: Conditions) -> Loader[int]:
    inner = f"SELECT count(*) FROM {items.table} t WHERE {_all(conditions)}"
    whole = f"SELECT p.key, ({inner}) AS total FROM unnest($1::text[]) AS p(key)"
    values = tuple(conditions.values)

    async def read(keys: list[str]) -> Mapping[str, int]:
        return {row["key"]: row["total"] for row in await session.pool.fetch(whole, keys, *values)}

    return session.loader((whole, values), lambda: Loader(read, 0))


def _all(conditions: Conditions) -> str:
    return " AND ".join(conditions.sql) or "true"
