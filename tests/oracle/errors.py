"""Errors as clients get them."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from graphql import ExecutionResult, FieldNode, GraphQLError


def formatted(result: ExecutionResult) -> dict[str, Any]:
    """A result without `data` when nothing was executed."""
    if not result.errors:
        return {"data": result.data}
    answer: dict[str, Any] = {"errors": [_formatted(error) for error in result.errors]}
    if result.data is not None or any(error.path for error in result.errors):
        answer["data"] = result.data
    return answer


def refused(message: str, errors: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """The answer to what can't be executed."""
    return {"errors": list(errors) or [{"message": message}]}


def _formatted(error: GraphQLError) -> Mapping[str, Any]:
    whole: dict[str, Any] = dict(error.formatted)
    if not _is_worded(error):
        logging.getLogger(__name__).error("a field failed", exc_info=error.original_error)
        return {
            **whole,
            "message": "Unexpected error. It was logged.",
            "extensions": {"code": "INTERNAL_ERROR"},
        }
    if error.path is not None and "code" not in (error.extensions or {}):
        return {**whole, "extensions": {"code": "INVALID_ARGUMENT"}}
    return whole


def _is_worded(error: GraphQLError) -> bool:
    """Whether a client may read it: it has a code, or says which value does not fit an argument."""
    cause = error.original_error
    if cause is None or error.path is None:
        return cause is None or isinstance(cause, GraphQLError)
    if not isinstance(cause, GraphQLError):
        return False
    points_at_a_value = any(not isinstance(node, FieldNode) for node in cause.nodes or ())
    return points_at_a_value or "code" in (cause.extensions or {})
