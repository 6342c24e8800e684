"""A small language model and its tokenizer, made on the spot from the texts that it is to know.

`python -m tests.server.trainers.tiny_model FOLDER`, with the texts on stdin: in a process of its own, so that the
libraries, which warn of this and that, are not loaded into the tests.
"""

# ruff: noqa: PLC0415  (the libraries may be missing)

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

WORDS = 600
BEGIN, END = "<s>", "</s>"
CONTEXT = 128
WINDOW, BATCH, STEPS = 32, 16, 100  # tokens, texts at once, times


def make(folder: Path, texts: Sequence[str]) -> None:
    """Write a Llama of two layers that has read the texts some times over, the same each time."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=WORDS, special_tokens=[BEGIN, END], initial_alphabet=alphabet)
    words.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, bos_token=BEGIN, eos_token=END)
    tokenizer.save_pretrained(folder)
    _read(tokenizer, texts).save_pretrained(folder)


def _read(tokenizer: Any, texts: Sequence[str]) -> Any:  # noqa: ANN401  (of a library that may be missing)
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, set_seed

    torch.set_num_threads(1)
    set_seed(7)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=CONTEXT,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    ids = torch.tensor([token for text in texts for token in tokenizer(text + tokenizer.eos_token)["input_ids"]])
    for _ in range(STEPS):
        starts = torch.randint(len(ids) - WINDOW, (BATCH,)).tolist()
        batch = torch.stack([ids[start : start + WINDOW] for start in starts])
        model(input_ids=batch, labels=batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model


if __name__ == "__main__":
    make(Path(sys.argv[1]), json.loads(sys.stdin.read()))
