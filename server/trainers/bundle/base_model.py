"""The model to begin with: a folder, or an id of the Hugging Face hub. Raises `BadInput` when it can't be used."""

import os
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from . import conversations
from .hyperparameters import BadInput


def tokenizer(name: str) -> Any:  # noqa: ANN401  (transformers is not always there to be known)
    """Its fast tokenizer, with a chat template and with tokens for the end of a text and for padding.

    Raises `BadInput` when there is none, or one that is not fast or has no token for the end of a text.
    """
    loaded = _loaded(AutoTokenizer, name)
    if not loaded.is_fast:
        raise BadInput("BASE_MODEL_UNUSABLE", f"the tokenizer of {name} can't tell where a token begins")
    if loaded.chat_template is None:
        loaded.chat_template = conversations.PLAIN_TEMPLATE
    if loaded.eos_token is None:
        raise BadInput("BASE_MODEL_UNUSABLE", f"the tokenizer of {name} has no token that ends a text")
    if loaded.pad_token is None:
        loaded.pad_token = loaded.eos_token
    return loaded


def model(name: str) -> Any:  # noqa: ANN401  (transformers is not always there to be known)
    """Its weights, in bfloat16 on a GPU that has it, else in float32. Raises `BadInput` when there is none."""
    bfloat = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    return _loaded(AutoModelForCausalLM, name, dtype=torch.bfloat16 if bfloat else torch.float32)


def _loaded(kind: Any, name: str, **options: object) -> Any:  # noqa: ANN401  (of a library that may be missing)
    is_folder = name.startswith((os.sep, ".", "~")) or Path(name).is_dir()
    if is_folder and not Path(name, "config.json").is_file():
        raise BadInput("BASE_MODEL_NOT_FOUND", f"there is no model at {name}: it has no config.json")
    try:
        return kind.from_pretrained(name, **options)
    except (OSError, ValueError) as error:
        first = " ".join(str(error).split())[:300]
        raise BadInput("BASE_MODEL_NOT_FOUND", f"there is no base model {name} to load: {first}") from error
