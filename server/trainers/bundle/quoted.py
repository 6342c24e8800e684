"""Control tokens that the texts of a conversation quote: they are read as the characters that they are.

A chat template writes texts and control tokens into one string, in which a tokenizer can't tell a quoted <|im_end|>
from one that ends a turn. So each quoted one gives its place to a character that occurs nowhere in the conversation;
only the template's own are then left for the tokenizer, and the quoted ones are encoded apart.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from .hyperparameters import BadInput

Message = Mapping[str, Any]
Span = tuple[int, int]

PRIVATE: Final = range(0xF0000, 0x10FFFE)  # code points that stand for no character

Tokenize = Callable[[str, bool], tuple[list[int], list[Span]]]
"""A text as tokens, and from which character to which each of them goes. If the second is true, as characters only."""


class Aside(NamedTuple):
    """Messages with characters in the place of control tokens, and which of these each stands for."""

    messages: Sequence[Message]
    control_tokens: Mapping[str, str]


def pattern(control_tokens: Iterable[str]) -> "re.Pattern[str] | None":
    """What finds them in a text, the longest first; None when there are none."""
    escaped = [re.escape(token) for token in sorted(control_tokens, key=len, reverse=True) if token]
    return re.compile("|".join(escaped)) if escaped else None


def set_aside(messages: Sequence[Message], control_tokens: "re.Pattern[str] | None") -> Aside:
    """Take quoted control tokens out of a conversation. Raises `BadInput` when each private character is in use."""
    contents = [message["content"] for message in messages]
    quoted = {token for content in contents for token in control_tokens.findall(content)} if control_tokens else set()
    if control_tokens is None or not quoted:
        return Aside(messages, {})
    used = set().union(*contents)
    free = (character for character in map(chr, PRIVATE) if character not in used)
    by_token = dict(zip(sorted(quoted), free, strict=False))
    if len(by_token) < len(quoted):
        raise BadInput("BAD_DATA", "a conversation quotes control tokens and has every private character of Unicode")
    changed = [
        {**message, "content": control_tokens.sub(lambda match: by_token[match.group()], message["content"])}
        for message in messages
    ]
    return Aside(changed, {character: token for token, character in by_token.items()})


def tokens(text: str, control_tokens: Mapping[str, str], tokenize: Tokenize) -> tuple[list[int], list[Span]]:
    """The tokens of a text in which characters stand for control tokens; each of their tokens has that one's place."""
    if not control_tokens:
        return tokenize(text, False)
    ids: list[int] = []
    places: list[Span] = []
    for piece in re.finditer(f"[{''.join(control_tokens)}]|[^{''.join(control_tokens)}]+", text):
        quoted = control_tokens.get(piece.group())
        piece_ids, spans = tokenize(quoted or piece.group(), quoted is not None)
        ids += piece_ids
        places += (
            [piece.span()] * len(piece_ids) if quoted else [(piece.start() + a, piece.start() + b) for a, b in spans]
        )
    return ids, places
