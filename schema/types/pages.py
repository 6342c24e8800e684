"""Nodes, connections and their pages."""

from typing import Any, Generic, TypeVar

import strawberry
from strawberry.types.lazy_type import LazyType

from schema.reads.declare import Argument, assembled

T = TypeVar("T")


@strawberry.interface(description="Anything with an id of its own.")
class Node:
    """What `node(id)` may answer with."""

    id: strawberry.ID = strawberry.field(
        description="Opaque and globally unique. An id that is malformed or of another type is simply not found."
    )


@strawberry.type(description="Where a page stands in its list.")
class PageInfo:
    """Relay's page info."""

    has_next_page: bool = assembled("Whether there is more behind this page.")
    has_previous_page: bool = assembled("Whether there is more before this page.")
    start_cursor: str | None = assembled("The cursor of the first item; null when the page is empty.")
    end_cursor: str | None = assembled("The cursor of the last item; null when the page is empty.")


@strawberry.type(description="An item of a list and its place there.")
class Edge(Generic[T]):
    """Relay's edge."""

    cursor: str = assembled("The item's place in the list: give it to after or before.")
    node: T = assembled("The item.")


@strawberry.type(description="One page of a list.")
class Connection(Generic[T]):
    """Relay's connection."""

    edges: list[Edge[T]] = assembled("The items of the page, each with its cursor.")
    nodes: list[T] = assembled("The items of the page.")
    page_info: PageInfo = assembled("Where the page stands in the list.")
    total_count: int = assembled("How many items the whole list has; counted when asked for.")


def elsewhere(name: str, module: str) -> Any:  # noqa: ANN401  (strawberry takes it as a type)
    """A type of a module that itself needs this one."""
    return LazyType(name, module)


AFTER = Argument("after", str | None, "Start behind this cursor.")
FORWARD = (Argument("first", int | None, "How many items, at most 100.", 20), AFTER)
BOTH_WAYS = (
    Argument("first", int | None, "How many items from the start, at most 100; 20 unless first or last is given."),
    AFTER,
    Argument("last", int | None, "How many items from the end, at most 100."),
    Argument("before", str | None, "End before this cursor."),
)
