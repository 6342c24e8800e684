"""What can be trained here, and what a configuration may say. Unknown keys pass: they are kept on record."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from server.domain.errors import InvalidInput
from server.domain.status import TrainerKind
from server.trainers.bundle import hyperparameters
from server.trainers.bundle.hyperparameters import Bounds
from server.trainers.local import language_models
from server.trainers.trainer import BaseModel

DEFAULT_EPOCHS: Final = 20


@dataclass(frozen=True, slots=True)
class Size:
    """A base model: how many dimensions its space has, and whether it reads parts of words."""

    display_name: str
    dimensions: int
    characters: bool


SIZES: Final[Mapping[str, Size]] = {
    "local/retriever-small": Size("Retriever, small: words, 128 dimensions", 128, characters=False),
    "local/retriever-base": Size("Retriever, base: words and parts of words, 256 dimensions", 256, characters=True),
}


BOUNDS: Final[Mapping[str, Bounds]] = {
    "epochs": Bounds(DEFAULT_EPOCHS, 1, 1000, whole=True),
    "learning_rate": Bounds(0.002, 0, 1, above=True),
    "batch_size": Bounds(64, 2, 4096, whole=True),
    "warmup_steps": Bounds(10, 0, 100_000, whole=True),
    "weight_decay": Bounds(0.1, 0, 1),
    "max_seq_length": Bounds(512, 8, 131_072, whole=True),
}


def check(base_model: str, config: Mapping[str, Any]) -> None:
    """Raise `InvalidInput` for what can't be trained here."""
    if language_models.is_language_model(base_model):
        language_models.check(base_model, config)
        return
    if base_model not in SIZES:
        available = ", ".join(SIZES)
        raise InvalidInput(
            f"this trainer has no base model {base_model[:100]!a}; it has {available}", ("input", "baseModel")
        )
    for key, bounds in BOUNDS.items():
        if key in config and (reason := bounds.refusal(config[key])):
            raise InvalidInput(f"trainingConfig.{key} {reason}", ("input", "trainingConfig", key))


def total_epochs(base_model: str, config: Mapping[str, Any]) -> int:
    """How many epochs a run has."""
    if language_models.is_language_model(base_model):
        return int(hyperparameters.used(config)["epochs"])
    return whole(config, "epochs")


def value(config: Mapping[str, Any], key: str) -> float:
    """A hyper-parameter as it is used: what was given, or the default."""
    return float(config.get(key, BOUNDS[key].default))


def whole(config: Mapping[str, Any], key: str) -> int:
    """A hyper-parameter that is a whole number."""
    return int(value(config, key))


def base_models() -> list[BaseModel]:
    """What can be trained, the smallest first."""
    return [BaseModel(name, size.display_name, TrainerKind.LOCAL) for name, size in SIZES.items()]
