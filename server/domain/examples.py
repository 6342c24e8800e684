"""What a training example is: what may be stored, and the exact bytes that are exported."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

MAX_MESSAGES = 200
MAX_CONTENT_CHARACTERS = 1_000_000

LINE_ENDS: Final[Mapping[str, str]] = MappingProxyType({"\u0085": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"})
"""Line ends of Unicode that JSON lets stand in a text, with their escapes; those below U+0020 it always escapes."""


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


def export_line(messages: Sequence[Message], system_prompt: str | None) -> bytes:
    """One line of chat JSONL, without its newline: the system prompt first, unless the messages bring their own.

    What `str.splitlines` takes for the end of a line is written as an escape of JSON.
    """
    written = first_export_line(messages, system_prompt).decode()
    for character, escape in LINE_ENDS.items():
        written = written.replace(character, escape)
    return written.encode()


def first_export_line(messages: Sequence[Message], system_prompt: str | None) -> bytes:
    """The line as it was written before `LINE_ENDS` were escaped: jobs of that time froze its digest."""
    exported = [{"role": message.role, "content": message.content} for message in messages]
    if system_prompt and [message.role for message in messages[:1]] != [Role.SYSTEM]:
        exported.insert(0, {"role": Role.SYSTEM, "content": system_prompt})
    return json.dumps({"messages": exported}, ensure_ascii=False, separators=(",", ":")).encode()


def line_digest(line: bytes) -> str:
    """sha256 (hex) of an exported line without its newline."""
    return hashlib.sha256(line).hexdigest()
