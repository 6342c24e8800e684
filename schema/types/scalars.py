"""The scalars of the API, and what they accept."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NewType

import strawberry
from graphql import GraphQLError
from strawberry.types.scalar import ScalarDefinition

BigInt = NewType("BigInt", int)
JSON = NewType("JSON", object)

SMALLEST, LARGEST = -(2**63), 2**63 - 1


def _big_int(value: Any) -> int:  # noqa: ANN401  (whatever a client sent)
    if isinstance(value, bool) or not isinstance(value, int) or not SMALLEST <= value <= LARGEST:
        raise GraphQLError("BigInt is a whole number of up to 64 bits")
    return value


def _time(value: Any) -> datetime:  # noqa: ANN401
    try:
        parsed = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        parsed = None
    if parsed is None or parsed.tzinfo is None:
        raise GraphQLError("DateTime is RFC 3339 with a zone, such as 2026-02-06T10:00:00Z")
    try:
        return parsed.astimezone(UTC)
    except OverflowError:
        raise GraphQLError("DateTime lies outside the years 1 to 9999") from None


def _as_read(value: Any) -> Any:  # noqa: ANN401
    """Postgres wrote it in its final form already."""
    return value


def definitions() -> Mapping[object, ScalarDefinition]:
    """Which Python types stand for which scalars."""
    return {
        BigInt: strawberry.scalar(
            name="BigInt",
            description="A whole number of up to 64 bits, written as a JSON number.",
            serialize=_big_int,
            parse_value=_big_int,
        ),
        datetime: strawberry.scalar(
            name="DateTime",
            description="RFC 3339, always UTC, to the microsecond: 2026-02-06T10:00:00.000000Z. Any zone is accepted.",
            specified_by_url="https://scalars.graphql.org/andimarek/date-time",
            serialize=_as_read,
            parse_value=_time,
        ),
        JSON: strawberry.scalar(
            name="JSON",
            description="Any JSON value: an object, a list, a string, a number, true, false or null.",
            serialize=_as_read,
            parse_value=_as_read,
        ),
    }
