"""Chat JSONL as tokens to train on: which of them the model is to learn, and which are only read."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Final

from . import quoted
from .hyperparameters import BadInput
from .quoted import Message, Span, Tokenize

Conversations = Sequence[Sequence[Message]]
Sides = tuple[Conversations, Conversations]

ROLES: Final = frozenset({"system", "user", "assistant", "tool"})
IGNORED: Final = -100  # the label of a token that counts for no loss, in PyTorch

PLAIN_TEMPLATE: Final = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}"
    "{% if message['role'] == 'assistant' and eos_token %}{{ eos_token }}{% endif %}{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)
"""For a tokenizer that has no chat template of its own."""

Render = Callable[[Sequence[Message], bool], str]
"""Messages as one text; if the second is true, ended by what an answer of the assistant begins with."""


@dataclass(frozen=True, slots=True)
class Example:
    """Tokens, and what is to be learned: the same where it counts, IGNORED elsewhere."""

    input_ids: list[int]
    labels: list[int]


def read(path: Path) -> list[list[Message]]:
    """The conversations of a file. Raises `BadInput` with the line for one that can't be trained on."""
    try:
        with path.open(encoding="utf-8") as lines:
            conversations = [_conversation(line, f"{path.name}, line {number}") for number, line in _filled(lines)]
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput("BAD_DATA", f"{path} can't be read: {getattr(error, 'strerror', None) or error}") from error
    if not conversations:
        raise BadInput("NO_DATA", f"there is no conversation in {path}")
    return conversations


def encode(
    messages: Sequence[Message],
    render: Render,
    tokenize: Tokenize,
    max_tokens: int,
    control_tokens: re.Pattern[str] | None = None,
) -> Example | None:
    """A conversation of at most so many tokens, of which the assistant's count; None when none of these is left.

    What `control_tokens` finds in the content of a message is encoded as the characters that it is.
    """
    aside = quoted.set_aside(messages, control_tokens)
    text, learned = spans(aside.messages, render)
    ids, places = quoted.tokens(text, aside.control_tokens, tokenize)
    labels = [
        token if any(start < end and first < end and start < last for start, end in learned) else IGNORED
        for token, (first, last) in zip(ids, places, strict=True)
    ]
    example = Example(ids[:max_tokens], labels[:max_tokens])
    return example if any(label != IGNORED for label in example.labels) else None


def spans(messages: Sequence[Message], render: Render) -> tuple[str, list[Span]]:
    """The text of a conversation, and where in it the assistant speaks, with the mark that ends its turn.

    Found by rendering the conversation up to each answer, so it works with every template. Where a template writes
    earlier turns in another way once there are later ones, only the last answer is found.
    """
    text = render(messages, False)
    learned = []
    for index in _answers(messages):
        is_last = index == len(messages) - 1
        before = render(messages[:index], True)
        until = text if is_last else render(messages[: index + 1], False)
        if text.startswith(before) and text.startswith(until):
            learned.append((len(before), len(until)))
        elif is_last:
            learned.append((_alike(before, text), len(text)))
    return text, learned


def _answers(messages: Sequence[Message]) -> list[int]:
    return [index for index, message in enumerate(messages) if message["role"] == "assistant"]


def _alike(one: str, other: str) -> int:
    """How many characters both begin with."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _filled(lines: Iterator[str]) -> Iterator[tuple[int, str]]:
    return ((number, line) for number, line in enumerate(lines, 1) if line.strip())


def _conversation(line: str, where: str) -> list[Message]:
    try:
        content = json.loads(line)
    except ValueError as error:
        raise BadInput("BAD_DATA", f"{where}: not JSON: {error}") from error
    messages = content.get("messages") if isinstance(content, dict) else None
    if not isinstance(messages, list) or not messages:
        raise BadInput("BAD_DATA", f"{where}: there must be an object with a list of messages")
    for message in messages:
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            raise BadInput("BAD_DATA", f"{where}: each message must have a role: {', '.join(sorted(ROLES))}")
        if not isinstance(message.get("content"), str):
            raise BadInput("BAD_DATA", f"{where}: each message must have a text as its content")
    if messages[-1]["role"] != "assistant":
        raise BadInput("BAD_DATA", f"{where}: the last message must be the assistant's")
    return messages
