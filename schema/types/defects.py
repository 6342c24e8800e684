"""Why the messages of a pair can't be trained on, and how many pairs of a training sheet have which defect."""

from collections.abc import Mapping
from typing import Final

import strawberry
from sqlalchemy import ColumnElement, FromClause, Text, case, func, select

from schema.reads.declare import Row, Scope, expression
from schema.reads.render import word
from schema.types.enums import Defect
from server.domain.defects import REASONS

CODE_DESCRIPTION: Final = "What is wrong."


def defect_of(scope: Scope) -> FromClause:
    """The defect of a pair: one row, or none."""
    pair = scope.parent
    if pair is None:
        raise TypeError("only a pair has a defect")
    columns = (pair.c.defect.label("code"), pair.c.defect_turn.label("turn"))
    return select(*columns).where(pair.c.defect.is_not(None)).correlate(pair).subquery(scope.name())


def _message(defect: Row) -> ColumnElement[str]:
    reasons = case({word(code): word(reason) for code, reason in REASONS.items()}, value=defect.c.code)
    return func.replace(reasons, word("{turn}"), func.coalesce(defect.c.turn.cast(Text), word("")))


@strawberry.type(description="Why the messages of a pair can't be trained on.")
class PairDefect:
    """A defect."""

    code: Defect = expression(lambda defect: defect.c.code, CODE_DESCRIPTION)
    turn: int | None = expression(
        lambda defect: defect.c.turn,
        "The message that it is about, counted from 1 in the order of messages, a system message included; null when it"
        " is about no one message.",
    )
    message: str = expression(_message, "The same as a sentence for people, which may change.")


@strawberry.type(description="How many pairs have one defect.")
class DefectCount:
    """A count of defects."""

    code: Defect = strawberry.field(description=CODE_DESCRIPTION)
    count: int = strawberry.field(description="How many pairs have it; at least 1.")


def defect_counts(defects: Mapping[Defect, int]) -> list[DefectCount]:
    """Only the defects that occur, in the order in which they are looked for."""
    return [DefectCount(code=code, count=defects[code]) for code in Defect if defects.get(code)]
