"""Base models that are language models: a folder on this machine, or an id of the Hugging Face hub.

The libraries that train them are an extra: without it there is none, and a name is refused with what to do.
"""

import importlib.util
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from server.domain.errors import InvalidInput
from server.domain.status import TrainerKind
from server.trainers.bundle import hyperparameters
from server.trainers.trainer import BaseModel

LIBRARIES: Final = ("torch", "transformers", "trl", "peft", "datasets")
HUB_ID: Final = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
OURS: Final = "local/"
PATH: Final = ("input", "baseModel")
SHOWN_CHARACTERS: Final = 100  # of a name


def is_language_model(base_model: str) -> bool:
    """Whether a name is meant for a language model: an absolute path, or an id of the hub."""
    if base_model.casefold().startswith(OURS):
        return False
    return Path(base_model).is_absolute() or HUB_ID.fullmatch(base_model) is not None


def are_installed() -> bool:
    """Whether the libraries that train language models are installed; it imports none."""
    return all(importlib.util.find_spec(name) is not None for name in LIBRARIES)


def check(base_model: str, config: Mapping[str, Any]) -> None:
    """Raise `InvalidInput` for what can't be trained here.

    An id of the hub passes without asking the hub, unless HF_HUB_OFFLINE forbids the training to ask it: then the model
    must have been loaded before.
    """
    quoted_name = ascii(base_model[:SHOWN_CHARACTERS])
    if not are_installed():
        raise InvalidInput(
            f"this trainer can't fine-tune {quoted_name} yet: `make llm` installs what trains language models",
            PATH,
        )
    if Path(base_model).is_absolute():
        if not Path(base_model, "config.json").is_file():
            raise InvalidInput(f"there is no language model at {quoted_name}: it has no config.json", PATH)
    elif _is_offline() and not _cache(base_model).is_dir():
        raise InvalidInput(
            f"{quoted_name} was never loaded here, and HF_HUB_OFFLINE forbids to load it from the hub",
            PATH,
        )
    if refusal := hyperparameters.refusal(config):
        raise InvalidInput(f"trainingConfig.{refusal[0]} {refusal[1]}", ("input", "trainingConfig", refusal[0]))


def base_models(names: Iterable[str]) -> list[BaseModel]:
    """Those that the settings name; none without the libraries."""
    return [BaseModel(name, name, TrainerKind.LOCAL, _context(name)) for name in names] if are_installed() else []


def _context(name: str) -> int | None:
    """How many tokens a model in a folder reads, as its own configuration tells."""
    try:
        settings = json.loads(Path(name, "config.json").read_bytes())
    except (OSError, ValueError):
        return None
    most = next((settings[key] for key in ("max_position_embeddings", "n_positions") if key in settings), None)
    return most if isinstance(most, int) else None


def _is_offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def _cache(hub_id: str) -> Path:
    """Where huggingface_hub keeps a model: https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables."""
    home = os.environ.get("HF_HOME") or str(Path("~/.cache/huggingface").expanduser())
    return Path(os.environ.get("HF_HUB_CACHE") or Path(home, "hub"), f"models--{hub_id.replace('/', '--')}")
