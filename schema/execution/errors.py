"""Which errors clients see in words, and which only as an error with a number to ask about."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from graphql import FieldNode, GraphQLError

from server.domain.errors import Refused

UNEXPECTED = "Unexpected error. It was logged."
LONGEST_MESSAGE = 500  # characters; graphql-core quotes what clients send


@contextmanager
def refusal_as_error() -> Iterator[None]:
    """Where a field can't answer with a problem as data, a refusal becomes a GraphQL error with its code."""
    try:
        yield
    except Refused as refused:
        raise GraphQLError(refused.message, extensions={"code": refused.code}) from None


def is_for_clients(error: GraphQLError) -> bool:
    """Whether an error was worded for clients: by the schema's rules, or by us with a code."""
    cause = error.original_error
    if cause is None:
        return True
    if not isinstance(cause, GraphQLError):
        return False
    return error.path is None or "code" in (cause.extensions or {}) or _is_of_an_argument(cause)


def _is_of_an_argument(cause: GraphQLError) -> bool:
    """Whether a field failed because a variable does not fit its argument: then an error points at the variable.

    Errors about what a field came to point at the field or at nothing; those are ours.
    """
    return any(not isinstance(node, FieldNode) for node in cause.nodes or ())


def masked(error: GraphQLError) -> GraphQLError:
    """An error without what it gives away, and with a code if a field has it; the log has the rest."""
    if not is_for_clients(error):
        correlation = structlog.contextvars.get_contextvars().get("request_id")
        structlog.get_logger().error("a field failed", path=error.path, exc_info=error.original_error)
        return _reworded(
            error, UNEXPECTED, {"code": "INTERNAL_ERROR"} | ({"requestId": correlation} if correlation else {})
        )
    if error.path is not None and "code" not in (error.extensions or {}):
        return _reworded(error, error.message, {"code": "INVALID_ARGUMENT"})
    return error


def clipped(error: GraphQLError) -> GraphQLError:
    """An error of bounded size: whatever a client sent may be quoted in it."""
    if len(error.message) <= LONGEST_MESSAGE:
        return error
    return _reworded(error, f"{error.message[:LONGEST_MESSAGE]}…", dict(error.extensions or {}))


def _reworded(error: GraphQLError, message: str, extensions: dict[str, object]) -> GraphQLError:
    return GraphQLError(
        message,
        nodes=error.nodes,
        source=error.source,
        positions=error.positions,
        path=error.path,
        extensions=extensions,
    )
