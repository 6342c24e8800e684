"""The scalars that GraphQL does not have."""

from datetime import UTC, datetime

from graphql import GraphQLError, GraphQLSchema

from tests.oracle.cursors import rfc3339
from tests.oracle.fields import scalar_type


def bind_scalars(schema: GraphQLSchema) -> None:
    """Let scalars be read and written; JSON and BigInt pass as they are."""
    moments = scalar_type(schema, "DateTime")
    moments.coerce_output_value = rfc3339
    moments.coerce_input_value = _moment
    moments.parse_value = _moment  # type: ignore[method-assign]  # which literals are read by


def _moment(value: object) -> datetime:
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise GraphQLError("DateTime is RFC 3339 with a zone, such as 2026-02-06T10:00:00Z")
    try:
        return found.astimezone(UTC)
    except OverflowError:
        raise GraphQLError("DateTime lies outside the years 1 to 9999") from None
