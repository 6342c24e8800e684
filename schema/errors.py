"""Which errors clients see in words, and which only as an error with a number to ask about."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from graphql import GraphQLError

from server.domain.errors import Refused

UNEXPECTED = "Unexpected error. It was logged."


@contextmanager
def refusal_as_error() -> Iterator[None]:
    """Where a field can't answer with a problem as data, a refusal becomes a GraphQL error with its code."""
    try:
        yield
    except Refused as refused:
        raise GraphQLError(refused.message, extensions={"code": refused.code}) from None


def is_for_clients(error: GraphQLError) -> bool:
    """Whether an error was worded for clients: by the schema's rules, or by us with a code."""
    return error.original_error is None or isinstance(error.original_error, GraphQLError)


def masked(error: GraphQLError) -> GraphQLError:
    """An error without what it gives away; the log has the rest under the request's id."""
    if is_for_clients(error):
        return error
    correlation = structlog.contextvars.get_contextvars().get("request_id")
    structlog.get_logger().error("a field failed", path=error.path, exc_info=error.original_error)
    return GraphQLError(
        UNEXPECTED,
        nodes=error.nodes,
        source=error.source,
        positions=error.positions,
        path=error.path,
        extensions={"code": "INTERNAL_ERROR"} | ({"requestId": correlation} if correlation else {}),
    )
