"""What a training example is: what may be stored, what is well-formed, and the exact bytes that are exported."""

import hashlib
import json
import unicodedata
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

MAX_MESSAGES = 200
MAX_CONTENT_CHARACTERS = 1_000_000


class Role(StrEnum):
    """Who speaks."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


ROLES = frozenset(Role)


class Message(NamedTuple):
    """One turn. A plain tuple, because imports make millions."""

    role: str
    content: str


class Defect(StrEnum):
    """Why messages that may be stored can't be trained on."""

    NO_ASSISTANT_TURN = "NO_ASSISTANT_TURN"
    NO_QUESTION = "NO_QUESTION"
    EMPTY_ANSWER = "EMPTY_ANSWER"
    EMPTY_QUESTION = "EMPTY_QUESTION"
    WRONG_ORDER = "WRONG_ORDER"


def unstorable_text(text: str) -> str | None:
    """Why Postgres or UTF-8 can't hold a text; None when they can."""
    if "\x00" in text:
        return "contains a NUL character (U+0000), which can't be stored"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "contains a lone surrogate, which is not valid Unicode text"
    return None


def unstorable(messages: Sequence[Message]) -> tuple[tuple[str, ...], str] | None:
    """Why messages are refused at the door, and where below "messages"; None when they may be stored."""
    if not messages:
        return (), "needs at least one message"
    if len(messages) > MAX_MESSAGES:
        return (), f"has {len(messages)} messages; at most {MAX_MESSAGES} are allowed"
    for index, message in enumerate(messages):
        if message.role not in ROLES:
            known = ", ".join(Role)
            return (str(index), "role"), f"unknown role {message.role[:40]!a}; use one of {known}"
        if len(message.content) > MAX_CONTENT_CHARACTERS:
            return (
                (str(index), "content"),
                f"has {len(message.content):,} characters; at most {MAX_CONTENT_CHARACTERS:,} are allowed",
            )
        if reason := unstorable_text(message.content):
            return (str(index), "content"), reason
    return None


def defect(messages: Sequence[Message]) -> Defect | None:
    """The first thing that keeps storable messages from being trained on.

    Well-formed is: at most one system message, first; then user and assistant in turn, beginning with user and ending
    with assistant; no turn of white space alone.
    """
    turns = messages[1:] if messages and messages[0].role == Role.SYSTEM else messages
    if not any(turn.role == Role.ASSISTANT for turn in turns):
        return Defect.NO_ASSISTANT_TURN
    if turns[0].role == Role.ASSISTANT and len(turns) == 1:
        return Defect.NO_QUESTION
    expected = (Role.USER, Role.ASSISTANT)
    if len(turns) % 2 or any(turn.role != expected[index % 2] for index, turn in enumerate(turns)):
        return Defect.WRONG_ORDER
    if not all(turn.content.strip() for turn in turns[1::2]):
        return Defect.EMPTY_ANSWER
    if not all(turn.content.strip() for turn in turns[::2]):
        return Defect.EMPTY_QUESTION
    return None


def question_digest(messages: Sequence[Message]) -> str:
    """sha256 (hex) of the normalised question: all messages before the last assistant turn.

    Normalised is NFKC, case-folded, white space collapsed; digits and punctuation are kept, because "invoice 17" and
    "invoice 18" are different questions.
    """
    last = max((index for index, message in enumerate(messages) if message.role == Role.ASSISTANT), default=None)
    question = [[message.role, _normalised(message.content)] for message in messages[:last]]
    return hashlib.sha256(_json(question)).hexdigest()


def _normalised(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def export_line(messages: Sequence[Message], system_prompt: str | None) -> bytes:
    """One line of chat JSONL, without its newline: the system prompt first, unless the messages bring their own."""
    spoken = [{"role": message.role, "content": message.content} for message in messages]
    if system_prompt and messages[0].role != Role.SYSTEM:
        spoken.insert(0, {"role": Role.SYSTEM, "content": system_prompt})
    return _json({"messages": spoken})


def line_digest(line: bytes) -> str:
    """sha256 (hex) of an exported line without its newline."""
    return hashlib.sha256(line).hexdigest()


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
