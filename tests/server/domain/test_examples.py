"""Training examples: what is stored, what is trained on, and the exact bytes of a line."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as some

from server.domain.examples import (
    MAX_CONTENT_CHARACTERS,
    MAX_MESSAGES,
    Message,
    export_line,
    first_export_line,
    line_digest,
    unstorable,
    unstorable_text,
)
from tests.server.domain.spoken import conversations, spoken, texts


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


def test_a_line_is_these_bytes() -> None:
    messages = [Message("user", 'Wann "fällig"?\n\u2028'), Message("assistant", "\U0001f600")]
    question, answer = 'Wann \\"fällig\\"?\\n\\u2028', "\U0001f600"
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
    assert len(line.decode().splitlines()) == 1
    read = [Message(message["role"], message["content"]) for message in json.loads(line)["messages"]]
    assert read[-len(messages) :] == messages


def test_no_character_of_unicode_ends_a_line() -> None:
    every = "".join(map(chr, range(1, 0x110000))).encode(errors="ignore").decode()
    line = export_line([Message("user", every)], every).decode()
    assert line.splitlines() == [line]
    assert [message["content"] for message in json.loads(line)["messages"]] == [every, every]


def test_only_line_ends_are_written_otherwise_than_before() -> None:
    messages = [Message("user", "\x85\u2028\\u2029\\\u2029"), Message("assistant", "\u2027\u202a\x84")]
    before, now = first_export_line(messages, None).decode(), export_line(messages, None).decode()
    assert json.loads(before) == json.loads(now)
    assert before.replace("\x85", "\\u0085").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029") == now
    assert export_line(messages[1:], None) == first_export_line(messages[1:], None)
