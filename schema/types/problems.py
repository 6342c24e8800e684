"""Expected failures, as data: what a mutation answers when it changed nothing."""

from typing import Any

import strawberry

from schema.types.enums import JobStatus
from schema.types.exclusions import ExclusionCount, exclusion_counts
from server.domain import errors


@strawberry.interface(description="Why a request changed nothing.")
class Problem:
    """What all problems share."""

    code: str = strawberry.field(description="What went wrong, for programs.")
    message: str = strawberry.field(description="What went wrong and what to do about it, for people.")
    path: list[str] | None = strawberry.field(
        description='Where in the arguments: ["input", "pairs", "1", "messages"]; null when it is about no single one.'
    )


@strawberry.type(description="An id names nothing. Code NOT_FOUND.")
class NotFound(Problem):
    """See `errors.NotFound`."""


@strawberry.type(description="A value that can be corrected. Code INVALID_INPUT.")
class InvalidInput(Problem):
    """See `errors.InvalidInput`."""


@strawberry.type(description="The caller may not do this. Code FORBIDDEN.")
class Forbidden(Problem):
    """See `errors.Forbidden`."""


@strawberry.type(description="It contradicts what is already stored. Code CONFLICT.")
class Conflict(Problem):
    """See `errors.Conflict`."""


@strawberry.type(description="The job's status does not allow this. Code INVALID_TRANSITION.")
class InvalidTransition(Problem):
    """See `errors.InvalidTransition`."""

    status: JobStatus = strawberry.field(description="The status that stands in the way.")


@strawberry.type(description="The gates refused every pair. Code NO_ELIGIBLE_PAIRS.")
class NoEligiblePairs(Problem):
    """See `errors.NoEligiblePairs`."""

    excluded: list[ExclusionCount] = strawberry.field(description="How many pairs each rule refused.")


def problem(refused: errors.Refused) -> Problem:
    """A refusal as the type that clients see."""
    common: dict[str, Any] = {
        "code": refused.code,
        "message": refused.message,
        "path": list(refused.path) or None,
    }
    match refused:
        case errors.NotFound():
            return NotFound(**common)
        case errors.InvalidInput():
            return InvalidInput(**common)
        case errors.Forbidden():
            return Forbidden(**common)
        case errors.Conflict():
            return Conflict(**common)
        case errors.InvalidTransition():
            return InvalidTransition(**common, status=refused.status)
        case errors.NoEligiblePairs():
            return NoEligiblePairs(**common, excluded=exclusion_counts(refused.excluded))
    raise TypeError(f"{type(refused).__name__} has no type in the schema")
