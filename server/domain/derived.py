"""What is stored with a pair because it follows from its messages and its template, which never change."""

from collections.abc import Sequence
from typing import NamedTuple

from server.domain.control_tokens import control_token
from server.domain.defects import defect
from server.domain.examples import Message, export_line, line_digest
from server.domain.questions import question_digest


class Derived(NamedTuple):
    """Columns of `qa_pairs`. When a rule behind one of them changes, a migration has to derive them all again."""

    defect: str | None
    defect_turn: int | None
    control_token: str | None
    question_digest: str
    line_digest: str


def derive(messages: Sequence[Message], system_prompt: str | None) -> Derived:
    """Derive all of them; `system_prompt` is the template's."""
    code, turn = defect(messages) or (None, None)
    return Derived(
        defect=code,
        defect_turn=turn,
        control_token=control_token(messages),
        question_digest=question_digest(messages),
        line_digest=line_digest(export_line(messages, system_prompt)),
    )
