"""Training examples: what is stored, what is trained on, and the exact bytes of a line."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as some

from server.domain.examples import (
    MAX_CONTENT_CHARACTERS,
    MAX_MESSAGES,
    Defect,
    Message,
    Role,
    defect,
    export_line,
    line_digest,
    question_digest,
    unstorable,
    unstorable_text,
)

texts = some.text(some.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40)
conversations = some.lists(some.builds(Message, some.sampled_from(Role), texts), min_size=1, max_size=6)


def spoken(*words: str) -> list[Message]:
    """Turns from "user: question" and the like; a bare role says "x"."""
    return [Message(role, content or "x") for role, _, content in (word.partition(": ") for word in words)]


@given(some.text())
def test_text_is_refused_exactly_when_it_can_not_be_held(text: str) -> None:
    holdable = "\x00" not in text and not any("\ud800" <= character <= "\udfff" for character in text)
    assert (unstorable_text(text) is None) is holdable


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([], ((), "needs at least one message")),
        (spoken("user") * (MAX_MESSAGES + 1), ((), "has 201 messages; at most 200 are allowed")),
        (spoken("user", "robot"), (("1", "role"), "unknown role 'robot'; use one of system, user, assistant")),
        (
            [Message("user", "x" * (MAX_CONTENT_CHARACTERS + 1))],
            (("0", "content"), "has 1,000,001 characters; at most 1,000,000 are allowed"),
        ),
        ([Message("user", "a\x00")], (("0", "content"), "contains a NUL character (U+0000), which can't be stored")),
        (
            [Message("user", "\udc00")],
            (("0", "content"), "contains a lone surrogate, which is not valid Unicode text"),
        ),
        (spoken("user") * MAX_MESSAGES, None),
        ([Message("assistant", "x" * MAX_CONTENT_CHARACTERS)], None),
    ],
)
def test_messages_are_refused_at_the_door_with_the_place(
    messages: list[Message], expected: tuple[tuple[str, ...], str] | None
) -> None:
    assert unstorable(messages) == expected


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        (spoken("user", "assistant"), None),
        (spoken("system", "user", "assistant", "user", "assistant"), None),
        (spoken("user"), Defect.NO_ASSISTANT_TURN),
        (spoken("system"), Defect.NO_ASSISTANT_TURN),
        (spoken("assistant"), Defect.NO_QUESTION),
        (spoken("system", "assistant"), Defect.NO_QUESTION),
        (spoken("assistant", "user"), Defect.WRONG_ORDER),
        (spoken("user", "user", "assistant"), Defect.WRONG_ORDER),
        (spoken("user", "assistant", "user"), Defect.WRONG_ORDER),
        (spoken("user", "system", "assistant"), Defect.WRONG_ORDER),
        (spoken("system", "system", "user", "assistant"), Defect.WRONG_ORDER),
        (spoken("user", "assistant:  \t\n"), Defect.EMPTY_ANSWER),
        ([Message("user", "q"), Message("assistant", "\u00a0")], Defect.EMPTY_ANSWER),
        ([Message("user", " "), Message("assistant", "a")], Defect.EMPTY_QUESTION),
        ([Message("system", ""), Message("user", "q"), Message("assistant", "a")], None),
    ],
)
def test_the_first_defect_is_found(messages: list[Message], expected: Defect | None) -> None:
    assert defect(messages) is expected


@given(conversations)
def test_what_has_no_defect_is_a_conversation_that_a_model_can_learn_from(messages: list[Message]) -> None:
    if defect(messages) is None:
        turns = messages[1:] if messages[0].role == Role.SYSTEM else messages
        assert [turn.role for turn in turns] == [Role.USER, Role.ASSISTANT] * (len(turns) // 2)
        assert all(turn.content.strip() for turn in turns)


@given(conversations)
def test_the_question_is_all_before_the_last_answer(messages: list[Message]) -> None:
    answers = [index for index, message in enumerate(messages) if message.role == Role.ASSISTANT]
    if answers:
        before = messages[: answers[-1]]
        assert question_digest(messages) == question_digest([*before, Message("assistant", "another answer")])


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("When is it due?", "  when   IS it\tdue? ", True),
        ("ﬁle №5", "file No5", True),
        ("Straße", "STRASSE", True),
        ("invoice 17", "invoice 18", False),
        ("Due?", "Due", False),
        ("a b", "ab", False),
    ],
)
def test_questions_are_compared_by_their_words(one: str, other: str, *, equal: bool) -> None:
    digests = [question_digest([Message("user", text), Message("assistant", "a")]) for text in (one, other)]
    assert (digests[0] == digests[1]) is equal


def test_who_speaks_belongs_to_the_question() -> None:
    assert question_digest(spoken("user: a", "assistant")) != question_digest(spoken("system: a", "assistant"))


def test_a_line_is_these_bytes() -> None:
    messages = [Message("user", 'Wann "fällig"?\n\u2028'), Message("assistant", "\U0001f600")]
    question, answer = 'Wann \\"fällig\\"?\\n\u2028', "\U0001f600"
    line = f'{{"messages":[{{"role":"user","content":"{question}"}},{{"role":"assistant","content":"{answer}"}}]}}'
    assert export_line(messages, None) == line.encode()
    assert line_digest(line.encode()) == hashlib.sha256(line.encode()).hexdigest()


@pytest.mark.parametrize(
    ("messages", "prompt", "roles"),
    [
        (spoken("user", "assistant"), "Be brief.", ["system", "user", "assistant"]),
        (spoken("system", "user", "assistant"), "Be brief.", ["system", "user", "assistant"]),
        (spoken("user", "assistant"), None, ["user", "assistant"]),
        (spoken("user", "assistant"), "", ["user", "assistant"]),
    ],
)
def test_the_templates_prompt_comes_first_unless_the_pair_brings_its_own(
    messages: list[Message], prompt: str | None, roles: list[str]
) -> None:
    written = json.loads(export_line(messages, prompt))["messages"]
    assert [message["role"] for message in written] == roles
    if messages[0].role == "system":
        assert written[0]["content"] == "x"


@given(conversations, some.none() | texts)
def test_a_line_is_one_line_that_reads_back(messages: list[Message], prompt: str | None) -> None:
    line = export_line(messages, prompt)
    assert b"\n" not in line
    read = [Message(message["role"], message["content"]) for message in json.loads(line)["messages"]]
    assert read[-len(messages) :] == messages
