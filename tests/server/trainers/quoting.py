"""A conversation encoded with a tokenizer like that of a well-known model, made on the spot.

`python -m tests.server.trainers.quoting KIND`, with messages on stdin; what came of them is written to stdout as JSON.
"""

# ruff: noqa: PLC0415, T201  (the libraries may be missing; the result goes to stdout)

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from server.trainers.bundle import conversations
from server.trainers.bundle.conversations import IGNORED
from server.trainers.bundle.quoted import Message

MOST = 100_000


@dataclass(frozen=True, slots=True)
class Kind:
    """The control tokens of a model and its chat template."""

    begin: str
    end: str
    others: tuple[str, ...]
    template: str


KINDS = {
    "qwen": Kind(
        "<|im_start|>",
        "<|im_end|>",
        ("<|endoftext|>", "</s>"),
        "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
    ),
    "llama": Kind(
        "<|start_header_id|>",
        "<|eot_id|>",
        ("<|begin_of_text|>", "<|end_header_id|>", "</s>"),
        "<|begin_of_text|>{% for message in messages %}<|start_header_id|>{{ message.role }}<|end_header_id|>\n\n"
        "{{ message.content | trim }}<|eot_id|>{% endfor %}"
        "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}",
    ),
}


def tokenizer(kind: Kind) -> Any:  # noqa: ANN401  (of a library that may be missing)
    """Byte-pair encoding as those models have it; only the end of a turn is a special token by a name."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    pieces = Tokenizer(models.BPE())
    pieces.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    pieces.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    texts = ["Who signs the invoice? Anna does.", kind.begin, kind.end, kind.template]
    pieces.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet))
    made = PreTrainedTokenizerFast(tokenizer_object=pieces, eos_token=kind.end)
    made.add_tokens([AddedToken(token, special=True, normalized=False) for token in (kind.begin, *kind.others)])
    made.chat_template = kind.template
    return made


def encoded(kind: Kind, messages: Sequence[Message]) -> dict[str, object]:
    """What a test wants to know of the conversation."""
    from server.trainers.bundle.tokenizing import ChatTokenizer

    plain = tokenizer(kind)
    by = ChatTokenizer(plain, "model")
    example = conversations.encode(messages, by.render, by.tokenize, MOST, by.control_tokens)
    without = conversations.encode(messages, by.render, by.tokenize, MOST)
    if example is None or without is None:
        raise ValueError("nothing is left of the conversation")
    special = {number: token.content for number, token in plain.added_tokens_decoder.items() if token.special}
    emptied = by.render([{**message, "content": "x"} for message in messages], False)

    def specials(ids: Sequence[int]) -> list[str]:
        return [special[number] for number in ids if number in special]

    return {
        "rendered": by.render(messages, False),
        "decoded": plain.decode(example.input_ids, skip_special_tokens=False),
        "special": specials(example.input_ids),
        "special_of_template": specials(by.tokenize(emptied, False)[0]),
        "without": specials(without.input_ids),
        "learned_special": specials([number for number in example.labels if number != IGNORED]),
    }


if __name__ == "__main__":
    print(json.dumps(encoded(KINDS[sys.argv[1]], json.loads(sys.stdin.read()))))
