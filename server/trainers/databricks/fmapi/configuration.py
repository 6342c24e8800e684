"""What FMAPI can be asked to train, and how its requests say it. Keys that are not known are kept on record."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from server.domain.errors import InvalidInput
from server.trainers.databricks.fmapi import progress
from server.trainers.databricks.upload import Uploaded
from server.trainers.trainer import BaseModel, TrainingRequest

NAME: Final = re.compile(r"[\w.-]+(/[\w.-]+)+")
DURATION: Final = re.compile(r"0*[1-9][\d_]*(ep|ba|tok)")
LONGEST_NAME_CHARACTERS: Final = 300
MOST_PROMPTS: Final = 100
DEFAULT_DURATION: Final = "1ep"  # the service's own
# what the service puts in itself, once it has made the MLflow run
SAVE_FOLDER: Final = "dbfs:/databricks/mlflow-tracking/{mlflow_experiment_id}/{mlflow_run_id}/artifacts"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a number may be. `above` leaves the least value out."""

    least: float
    most: float
    whole: bool = False
    above: bool = False

    def refusal(self, value: object) -> str | None:
        """Why a value can't be used; None when it can. 3.0 is a whole number, true is none."""
        first, last = ("above", "and at most") if self.above else ("from", "to")
        span = f"must be {'a whole number' if self.whole else 'a number'} {first} {self.least:g} {last} {self.most:g}"
        if isinstance(value, bool) or not isinstance(value, int | float):
            return span
        in_span = self.least <= value <= self.most and not (self.above and value == self.least)
        return None if in_span and (not self.whole or value == int(value)) else span


NUMBERS: Final[Mapping[str, Bounds]] = {
    "epochs": Bounds(1, 1000, whole=True),
    "learning_rate": Bounds(0, 1, above=True),
    "max_seq_length": Bounds(8, 131_072, whole=True),  # tokens of an example; the rest of it is cut off
}


def check(base_model: str, config: Mapping[str, Any], known: Sequence[BaseModel]) -> None:
    """Raise `InvalidInput` for what can't be trained, as far as that can be told from here.

    `known` are the models that the service has, as far as it was asked; without them only the name's form is checked.
    """
    if NAME.fullmatch(base_model) is None or len(base_model) > LONGEST_NAME_CHARACTERS:
        raise InvalidInput(
            f"{base_model[:100]!a} is not the name of a base model, such as meta-llama/Llama-3.2-1B-Instruct",
            ("input", "baseModel"),
        )
    model = {model.name: model for model in known}.get(base_model)
    if known and model is None:
        available = ", ".join(model.name for model in known)
        raise InvalidInput(f"FMAPI has no base model {base_model[:100]!a}; it has {available}", ("input", "baseModel"))
    for key in config:
        if reason := _refusal(config, key, model):
            raise InvalidInput(f"trainingConfig.{key} {reason}", ("input", "trainingConfig", key))


def duration(config: Mapping[str, Any]) -> str:
    """How long to train, in the service's words."""
    given = config.get("training_duration")
    return str(given) if given is not None else f"{int(config['epochs'])}ep" if "epochs" in config else DEFAULT_DURATION


def total_epochs(config: Mapping[str, Any]) -> int | None:
    """How many epochs that is; None when it is counted in batches or tokens."""
    return progress.epochs(duration(config))


def wire(request: TrainingRequest, files: Uploaded, *, experiment: str, register_to: str) -> dict[str, Any]:
    """The configuration of a run as it is sent; what is not given is left to the service.

    `register_to` is catalog.schema.model, or catalog.schema, where the service calls the model as it calls the run.
    """
    config = request.config
    sent: dict[str, Any] = {
        "model": request.base_model,
        "trainDataPath": f"dbfs:{files.train}",
        "saveFolder": SAVE_FOLDER,
        "taskType": "CHAT_COMPLETION",
        "evalDataPath": None if files.validation is None else f"dbfs:{files.validation}",
        "evalPrompts": config.get("eval_prompts") or None,
        "trainingDuration": duration(config),
        "experimentTracker": {
            "mlflow": {"experimentPath": experiment, "modelRegistryPath": register_to, "createExperimentAndRun": True}
        },
        "learningRate": config.get("learning_rate"),
        "contextLength": int(config["max_seq_length"]) if "max_seq_length" in config else None,
        "customWeightsPath": config.get("custom_weights_path"),
        "disableCredentialsCheck": True,
    }
    return {key: value for key, value in sent.items() if value is not None}


def _refusal(config: Mapping[str, Any], key: str, model: BaseModel | None) -> str | None:
    value = config[key]
    if key in NUMBERS:
        most = model.max_context_length if model else None
        if key == "max_seq_length" and most is not None:
            return Bounds(NUMBERS[key].least, most, whole=True).refusal(value)
        return NUMBERS[key].refusal(value)
    match key:
        case "training_duration":
            return _duration_refusal(config, value)
        case "eval_prompts":
            good = isinstance(value, list) and len(value) <= MOST_PROMPTS and all(map(_is_text, value))
            return None if good else f"must be a list of at most {MOST_PROMPTS} texts"
        case "custom_weights_path":
            good = isinstance(value, str) and value.startswith("dbfs:/")
            return None if good else "must be a path that begins with dbfs:/"
        case _:
            return None


def _duration_refusal(config: Mapping[str, Any], value: object) -> str | None:
    if "epochs" in config:
        return "and trainingConfig.epochs say the same thing; give one of them"
    good = isinstance(value, str) and DURATION.fullmatch(value)
    return None if good else "must be a number of epochs, batches or tokens, such as 3ep, 100ba or 1_000_000tok"


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())
