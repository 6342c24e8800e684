"""The file that says what to train, and what each hyper-parameter may be.

The file is JSON or YAML, an object with the keys of a training request:

    job_id: job_1            # whose training it is, for the record
    model_name: invoice-desk
    base_model: org/name     # a folder, or an id of the Hugging Face hub
    train_file: train.jsonl  # chat JSONL: {"messages": [{"role": …, "content": …}, …]} on each line
    validation_file: validation.jsonl  # measured after each epoch; may be left out
    dataset_digest: …        # of both files
    seed: 7
    config:                  # the job's trainingConfig, see BOUNDS; a key that is not known is kept on record
      epochs: 3
      learning_rate: 0.0002
    output: model            # the folder to write the model to, which must not exist; without it, a temporary one
    progress_file: progress.jsonl  # told of each step, a JSON object a line; may be left out
    register_as: main.ft.invoice-desk  # the model in MLflow's registry to make a version of; may be left out

A relative path is taken from the folder that the file is in.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final


class BadInput(ValueError):
    """What was asked can't be trained; `code` names the kind for machines, the text is for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a hyper-parameter may be. `above` leaves the least value out."""

    default: float
    least: float
    most: float
    whole: bool = False
    above: bool = False

    def refusal(self, value: object) -> str | None:
        """Why a value can't be used; None when it can. 3.0 is a whole number, true is none."""
        kind = "a whole number" if self.whole else "a number"
        first, last = ("above", "and at most") if self.above else ("from", "to")
        span = f"{kind} {first} {self.least:g} {last} {self.most:g}"
        if isinstance(value, bool) or not isinstance(value, int | float):
            return f"must be {span}"
        if not self.least <= value <= self.most or (self.above and value == self.least):
            return f"must be {span}; it is {_shown(value)}"
        return f"must be {span}; it is {_shown(value)}" if self.whole and value != int(value) else None


BOUNDS: Final[Mapping[str, Bounds]] = {
    "epochs": Bounds(3, 1, 1000, whole=True),
    "learning_rate": Bounds(0.0002, 0, 1, above=True),
    "batch_size": Bounds(8, 1, 4096, whole=True),  # examples at once on each device
    "gradient_accumulation_steps": Bounds(1, 1, 4096, whole=True),  # batches to one step of the optimizer
    "warmup_steps": Bounds(0, 0, 100_000, whole=True),
    "weight_decay": Bounds(0, 0, 1),
    "max_seq_length": Bounds(2048, 8, 131_072, whole=True),  # tokens of an example; the rest of it is cut off
    "lora_rank": Bounds(16, 1, 1024, whole=True),
    "lora_alpha": Bounds(32, 0, 4096, above=True),
    "lora_dropout": Bounds(0.05, 0, 0.9),
}


def refusal(config: Mapping[str, Any]) -> tuple[str, str] | None:
    """The first key whose value can't be used, and why; None when all can."""
    for key, bounds in BOUNDS.items():
        if key in config and (reason := bounds.refusal(config[key])):
            return key, reason
    return None


def used(config: Mapping[str, Any]) -> dict[str, float]:
    """Every hyper-parameter as it is used: what was given, or the default."""
    return {key: _number(config.get(key, bounds.default), bounds) for key, bounds in BOUNDS.items()}


@dataclass(frozen=True, slots=True)
class Request:
    """What to train; see the file's format above."""

    base_model: str
    train_file: Path
    validation_file: Path | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    output: Path | None = None
    progress_file: Path | None = None
    register_as: str | None = None
    described: Mapping[str, str] = field(default_factory=dict)

    def number(self, key: str) -> float:
        """A hyper-parameter as it is used."""
        return used(self.config)[key]

    def whole(self, key: str) -> int:
        """A hyper-parameter that is a whole number."""
        return int(self.number(key))


DESCRIBED: Final = ("job_id", "model_name", "base_model", "dataset_digest")


def read(path: Path) -> Request:
    """The request in a file. Raises `BadInput` for one that can't be read or trained."""
    return parsed(_content(path), path.parent)


def parsed(content: Mapping[str, Any], folder: Path) -> Request:
    """A request from the keys of its file; relative paths are taken from `folder`."""
    config = content.get("config") or {}
    if not isinstance(config, dict):
        raise BadInput("BAD_HYPERPARAMETERS", "config must be an object")
    if problem := refusal(config):
        raise BadInput("BAD_HYPERPARAMETERS", f"config.{problem[0]} {problem[1]}")
    seed = content.get("seed", 0)
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise BadInput("BAD_HYPERPARAMETERS", "seed must be a whole number")
    train_file = _path(content, "train_file", folder)
    base_model = _text(content, "base_model")
    if base_model is None or train_file is None:
        missing = "base_model" if base_model is None else "train_file"
        raise BadInput("BAD_HYPERPARAMETERS", f"{missing} is missing")
    return Request(
        base_model=base_model,
        train_file=train_file,
        validation_file=_path(content, "validation_file", folder),
        config=config,
        seed=seed,
        output=_path(content, "output", folder),
        progress_file=_path(content, "progress_file", folder),
        register_as=_text(content, "register_as"),
        described={key: text for key in DESCRIBED if (text := _text(content, key)) is not None},
    )


def _content(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput("BAD_HYPERPARAMETERS", f"the hyper-parameters can't be read: {error}") from error
    try:
        content = json.loads(text)
    except ValueError:
        content = _yaml(text)
    if not isinstance(content, dict):
        raise BadInput("BAD_HYPERPARAMETERS", f"{path.name} must be an object with base_model, train_file, …")
    return content


def _yaml(text: str) -> object:
    import yaml  # noqa: PLC0415  (comes with MLflow; JSON needs none)

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        first = " ".join(str(error).split())
        raise BadInput("BAD_HYPERPARAMETERS", f"the hyper-parameters are neither JSON nor YAML: {first}") from error


def _text(content: Mapping[str, Any], key: str) -> str | None:
    value = content.get(key)
    if value is not None and not (isinstance(value, str) and value):
        raise BadInput("BAD_HYPERPARAMETERS", f"{key} must be a text")
    return value


def _path(content: Mapping[str, Any], key: str, folder: Path) -> Path | None:
    text = _text(content, key)
    return None if text is None else folder / text


def _number(value: float, bounds: Bounds) -> float:
    return int(value) if bounds.whole else float(value)


def _shown(number: float) -> str:
    try:
        return f"{number:g}"
    except OverflowError:  # a whole number can be larger than any float
        return "far from that"
