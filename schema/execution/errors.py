"""Which errors clients see in words, and which only as an error with a number to ask about."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import sqlalchemy.exc
import structlog
from graphql import FieldNode, GraphQLError

from server.domain.errors import Refused

UNEXPECTED: Final = "Unexpected error. It was logged."
TOOK_TOO_LONG: Final = (
    "the database took too long; ask for less at once, try again later, or raise TUNEGRAPH_STATEMENT_TIMEOUT"
)
WAITED_TOO_LONG: Final = "another change holds what this one needs; nothing was changed, try again in a moment"
TIMEOUTS: Final = {
    "57014": TOOK_TOO_LONG,  # query_canceled: statement_timeout
    "25P04": TOOK_TOO_LONG,  # transaction_timeout
    "55P03": WAITED_TOO_LONG,  # lock_not_available: lock_timeout
    "25P03": TOOK_TOO_LONG,  # idle_in_transaction_session_timeout
    "53300": TOOK_TOO_LONG,  # too_many_connections
    "": TOOK_TOO_LONG,  # no session was free in time, or none answered
}
TOO_LARGE: Final = "the result is too large for the database to build; ask for smaller pages (first) or fewer fields"
OVERSIZE_STATES: Final = frozenset({"54000", "53200"})  # program_limit_exceeded, out_of_memory
LONGEST_MESSAGE: Final = 500  # characters; graphql-core quotes what clients send


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


def _timeout(error: BaseException | None) -> str | None:
    """The SQLSTATE of a statement or a wait that was given up for its time; empty for one that has none.

    None for any other error. SQLAlchemy and asyncpg tell it in attributes of their own.
    """
    while error is not None:
        state = _state(error)
        if state and state in TIMEOUTS:
            return state
        if isinstance(error, TimeoutError | sqlalchemy.exc.TimeoutError):
            return ""
        error = error.__cause__
    return None


def _is_too_large(error: BaseException | None) -> bool:
    """Whether Postgres could not build a value: it ends at a gigabyte, or at the machine's memory."""
    return error is not None and _state(error) in OVERSIZE_STATES


def _state(error: BaseException) -> str | None:
    found = getattr(error, "sqlstate", None) or getattr(getattr(error, "orig", None), "sqlstate", None)
    return found if isinstance(found, str) else None


def _is_of_an_argument(cause: GraphQLError) -> bool:
    """Whether a field failed because a variable does not fit its argument: then an error points at the variable.

    Errors about what a field came to point at the field or at nothing; those are ours.
    """
    return any(not isinstance(node, FieldNode) for node in cause.nodes or ())


def masked(error: GraphQLError) -> GraphQLError:
    """An error without what it gives away, and with a code if a field has it; the log has the rest."""
    if (state := _timeout(error.original_error)) is not None:
        structlog.get_logger().warning("a field took too long", path=error.path, sqlstate=state)
        return _reworded(error, TIMEOUTS[state], {"code": "TIMEOUT"})
    if _is_too_large(error.original_error):
        structlog.get_logger().warning("a result was too large for the database", path=error.path)
        return _reworded(error, TOO_LARGE, {"code": "TOO_LARGE"})
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
