"""Counts of what the gates refused, read from a job's row or counted in Python."""

from collections.abc import Mapping

import strawberry

from schema.reads.declare import expression
from schema.types.enums import Verdict


@strawberry.type(description="How many pairs one rule of the gates refused.")
class ExclusionCount:
    """A count of refusals."""

    verdict: Verdict = expression(lambda row: row.c.verdict, "The rule that refused them.")
    count: int = expression(lambda row: row.c["count"], "How many pairs it refused; at least 1.")


def exclusion_counts(excluded: Mapping[Verdict, int]) -> list[ExclusionCount]:
    """Only the rules that refused something, in the order in which they apply."""
    return [ExclusionCount(verdict=verdict, count=excluded[verdict]) for verdict in Verdict if excluded.get(verdict)]
