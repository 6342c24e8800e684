"""What keeps messages from being trained on, and which turn it is."""

import pytest
from hypothesis import given

from server.domain.defects import REASONS, Defect, PairDefect, defect
from server.domain.examples import Message, Role
from tests.server.domain.spoken import conversations, spoken


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        (spoken("user", "assistant"), None),
        (spoken("system", "user", "assistant", "user", "assistant"), None),
        ([], (Defect.NO_ASSISTANT_TURN, None)),
        (spoken("user"), (Defect.NO_ASSISTANT_TURN, None)),
        (spoken("system", "user"), (Defect.NO_ASSISTANT_TURN, None)),
        (spoken("assistant"), (Defect.NO_QUESTION, 1)),
        (spoken("system", "assistant"), (Defect.NO_QUESTION, 2)),
        (spoken("assistant", "user"), (Defect.NO_QUESTION, 1)),
        (spoken("user", "user", "assistant"), (Defect.SAME_ROLE_TWICE, 2)),
        (spoken("system", "user", "assistant", "assistant"), (Defect.SAME_ROLE_TWICE, 4)),
        (spoken("user", "assistant", "user"), (Defect.ENDS_WITH_USER, 3)),
        (spoken("user", "system", "assistant"), (Defect.SYSTEM_NOT_FIRST, 2)),
        (spoken("system", "system", "user", "assistant"), (Defect.SYSTEM_NOT_FIRST, 2)),
        (spoken("user", "assistant", "system"), (Defect.SYSTEM_NOT_FIRST, 3)),
        (spoken("user", "assistant:  \t\n"), (Defect.EMPTY_ANSWER, 2)),
        (spoken("user", "assistant", "user", "assistant: \u00a0"), (Defect.EMPTY_ANSWER, 4)),
        (spoken("user:  ", "assistant"), (Defect.EMPTY_QUESTION, 1)),
        (spoken("system", "user: \u200b", "assistant"), (Defect.EMPTY_QUESTION, 2)),
        (spoken("user:  ", "assistant:  "), (Defect.EMPTY_ANSWER, 2)),
        ([Message("system", ""), *spoken("user", "assistant")], None),
    ],
)
def test_the_first_defect_is_told_with_its_turn(messages: list[Message], expected: PairDefect | None) -> None:
    assert defect(messages) == expected


@pytest.mark.parametrize(
    "answer",
    [
        "\u200b\u2060\ufeff",  # zero-width space, word joiner, zero-width no-break space
        "\u00ad \u200e\u202e\u2066",  # soft hyphen, marks of direction
        "\u0301\ufe0f",  # an accent and a variation selector of no letter
        "\u3164\u115f\uffa0",  # fillers of Hangul, letters by their category
        "\u2800",  # a Braille cell without a dot
        "\x1b\x07\x85\u2028\u3000",
        "\U000e0041\U000e0100",  # a tag, a variation selector
    ],
)
def test_an_answer_that_shows_nothing_is_empty(answer: str) -> None:
    assert defect([Message("user", "Who signs?"), Message("assistant", answer)]) == (Defect.EMPTY_ANSWER, 2)


@pytest.mark.parametrize("answer", ["\u200bx", ".", "é", "e\u0301", "🙂\ufe0f", "\u200d👩", "是", "€", "0"])
def test_an_answer_that_shows_anything_is_none(answer: str) -> None:
    assert defect([Message("user", "Who signs?"), Message("assistant", answer)]) is None


@given(conversations)
def test_what_has_no_defect_is_a_conversation_that_a_model_can_learn_from(messages: list[Message]) -> None:
    turns = messages[1:] if messages[0].role == Role.SYSTEM else messages
    in_order = [turn.role for turn in turns] == [Role.USER, Role.ASSISTANT] * (len(turns) // 2)
    found = defect(messages)
    if found is None:
        assert turns
        assert in_order
        assert all(turn.content.strip() for turn in turns)
    elif found.code in (Defect.EMPTY_ANSWER, Defect.EMPTY_QUESTION):
        assert in_order
    else:
        assert not in_order or not turns


@given(conversations)
def test_the_turn_has_the_role_that_the_defect_is_about(messages: list[Message]) -> None:
    found = defect(messages)
    roles = {
        Defect.SYSTEM_NOT_FIRST: {"system"},
        Defect.NO_QUESTION: {"assistant"},
        Defect.SAME_ROLE_TWICE: {"user", "assistant"},
        Defect.ENDS_WITH_USER: {"user"},
        Defect.EMPTY_ANSWER: {"assistant"},
        Defect.EMPTY_QUESTION: {"user"},
    }
    if found is not None and found.turn is not None:
        assert messages[found.turn - 1].role in roles[found.code]


def test_every_defect_has_a_reason_that_names_its_turn() -> None:
    assert set(REASONS) == set(Defect)
    assert PairDefect(Defect.EMPTY_ANSWER, 4).reason == "turn 4, an answer of the assistant, has no visible character"
    assert PairDefect(Defect.NO_ASSISTANT_TURN, None).reason == (
        "no turn is the assistant's, so there is no answer to learn"
    )
    assert [code for code, reason in REASONS.items() if "{turn}" not in reason] == [Defect.NO_ASSISTANT_TURN]
