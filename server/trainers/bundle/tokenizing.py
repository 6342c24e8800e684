"""A tokenizer of transformers, as conversations are encoded with it."""

from collections.abc import Sequence
from typing import Any

import jinja2

from . import quoted
from .hyperparameters import BadInput
from .quoted import Message, Span


class ChatTokenizer:
    """Renders and encodes with a fast tokenizer that has a chat template; `name` is that of its base model."""

    def __init__(self, tokenizer: Any, name: str) -> None:  # noqa: ANN401  (transformers is not always there)
        self._tokenizer = tokenizer
        self._name = name
        special = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
        self.control_tokens = quoted.pattern(special)

    def render(self, messages: Sequence[Message], asks: bool) -> str:  # noqa: FBT001  (given by position)
        """Messages as one text; see `conversations.Render`. Raises `BadInput` when the template refuses them."""
        try:
            return str(self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=asks))
        except jinja2.TemplateError as error:
            raise BadInput("BAD_DATA", f"the chat template of {self._name} refuses it: {error}") from error

    def tokenize(self, text: str, as_text: bool) -> tuple[list[int], list[Span]]:  # noqa: FBT001  (given by position)
        """A text as tokens; see `quoted.Tokenize`."""
        encoded = self._tokenizer(
            text, add_special_tokens=False, return_offsets_mapping=True, split_special_tokens=as_text
        )
        return encoded["input_ids"], encoded["offset_mapping"]
