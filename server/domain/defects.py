"""Why messages that may be stored can't be trained on."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from server.domain.examples import Message, Role
from server.domain.invisible import is_blank


class Defect(StrEnum):
    """What is wrong, in the order in which it is looked for."""

    NO_ASSISTANT_TURN = "NO_ASSISTANT_TURN"
    SYSTEM_NOT_FIRST = "SYSTEM_NOT_FIRST"
    NO_QUESTION = "NO_QUESTION"
    SAME_ROLE_TWICE = "SAME_ROLE_TWICE"
    ENDS_WITH_USER = "ENDS_WITH_USER"
    EMPTY_ANSWER = "EMPTY_ANSWER"
    EMPTY_QUESTION = "EMPTY_QUESTION"


REASONS: Final[Mapping[Defect, str]] = MappingProxyType(
    {
        Defect.NO_ASSISTANT_TURN: "no turn is the assistant's, so there is no answer to learn",
        Defect.SYSTEM_NOT_FIRST: "turn {turn} is a system message; there may be one, and only as the first turn",
        Defect.NO_QUESTION: "turn {turn} is an answer of the assistant with no question of the user before it",
        Defect.SAME_ROLE_TWICE: "turn {turn} has the role of the turn before it; user and assistant have to alternate",
        Defect.ENDS_WITH_USER: "turn {turn}, the last, is the user's; the last has to be the assistant's answer",
        Defect.EMPTY_ANSWER: "turn {turn}, an answer of the assistant, has no visible character",
        Defect.EMPTY_QUESTION: "turn {turn}, a question of the user, has no visible character",
    }
)
"""What people are told; `{turn}` stands for the turn's number."""


class PairDefect(NamedTuple):
    """A defect and the turn that has it: counted from 1, a system message included; None when no turn has it."""

    code: Defect
    turn: int | None

    @property
    def reason(self) -> str:
        """Why the messages can't be trained on, as a sentence for people."""
        return REASONS[self.code].format(turn=self.turn)


def defect(messages: Sequence[Message]) -> PairDefect | None:
    """The first thing that keeps storable messages from being trained on.

    Well-formed is: at most one system message, first; then user and assistant in turn, beginning with user and ending
    with assistant; no turn of these two that shows nothing.
    """
    if not any(message.role == Role.ASSISTANT for message in messages):
        return PairDefect(Defect.NO_ASSISTANT_TURN, None)
    return (
        _out_of_order(messages)
        or _empty(messages, Role.ASSISTANT, Defect.EMPTY_ANSWER)
        or _empty(messages, Role.USER, Defect.EMPTY_QUESTION)
    )


def _out_of_order(messages: Sequence[Message]) -> PairDefect | None:
    before: str | None = None
    for turn, message in enumerate(messages, 1):
        if message.role == Role.SYSTEM:
            if turn > 1:
                return PairDefect(Defect.SYSTEM_NOT_FIRST, turn)
            continue
        if before is None and message.role == Role.ASSISTANT:
            return PairDefect(Defect.NO_QUESTION, turn)
        if message.role == before:
            return PairDefect(Defect.SAME_ROLE_TWICE, turn)
        before = message.role
    return PairDefect(Defect.ENDS_WITH_USER, len(messages)) if before == Role.USER else None


def _empty(messages: Sequence[Message], role: Role, code: Defect) -> PairDefect | None:
    for turn, message in enumerate(messages, 1):
        if message.role == role and is_blank(message.content):
            return PairDefect(code, turn)
    return None
