"""Marks that chat templates write between turns. A tokenizer that meets one in a text may take it for the real one.

Those of ChatML (Qwen and others), Llama 2 and 3, Mistral, Gemma, Phi and DeepSeek, as their published tokenizer
configurations have them.
"""

import re
from collections.abc import Sequence
from typing import Final

from server.domain.examples import Message

CONTROL_TOKEN: Final = re.compile(
    r"<\|[\w./:-]{1,60}\|>"  # <|im_start|>, <|eot_id|>, <|end|>
    r"|<｜[\w▁ ]{1,60}｜>"  # noqa: RUF001  (as DeepSeek writes them)
    r"|</?s>|<(?:bos|eos|pad|unk)>"
    r"|<(?:start|end)_of_turn>"
    r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_RESULTS)\]|\[TOOL_CALLS\]"
    r"|<</?SYS>>"
)


def control_token(messages: Sequence[Message]) -> str | None:
    """The first mark in the content of messages; None when there is none."""
    for message in messages:
        if mark := CONTROL_TOKEN.search(message.content):
            return mark.group()
    return None
