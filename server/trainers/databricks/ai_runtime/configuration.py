"""What AI Runtime can be asked for: base models, GPUs, and for how long. Unknown keys pass: they are kept on record."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from server.domain.errors import InvalidInput
from server.domain.status import TrainerKind
from server.trainers.bundle import hyperparameters
from server.trainers.trainer import BaseModel

# how many GPUs a node of each type has: `ComputeSpecAcceleratorType` of the Jobs API
PER_NODE: Final[Mapping[str, int]] = {"GPU_1xA10": 1, "GPU_1xH100": 1, "GPU_8xH100": 8, "GPU_8xB300": 8}
DEFAULT_TYPE: Final = "GPU_1xA10"
MOST_ACCELERATORS: Final = 64
DEFAULT_MINUTES: Final = 24 * 60
MOST_MINUTES: Final = 7 * 24 * 60  # the longest that serverless GPU compute runs a workload

TYPE, COUNT, MINUTES = "accelerator_type", "accelerator_count", "timeout_minutes"
SPELLINGS: Final[Mapping[str, str]] = {
    TYPE: "acceleratorType",
    COUNT: "acceleratorCount",
    MINUTES: "timeoutMinutes",
}


SECRET: Final = re.compile(r"([A-Za-z_]\w*)=([^/=\s]+)/([^/=\s]+)")


@dataclass(frozen=True, slots=True)
class Secret:
    """A variable of the training's environment whose value Databricks keeps; neither name here is secret."""

    name: str
    scope: str
    key: str


@dataclass(frozen=True, slots=True)
class Compute:
    """The GPUs of one run. `count` is that of all nodes together."""

    type: str
    count: int
    timeout_seconds: int


def check(base_model: str, config: Mapping[str, Any], models: Sequence[str]) -> None:
    """Raise `InvalidInput` for what can't be trained."""
    if base_model not in models:
        available = f"it has {', '.join(models)}" if models else "it has none: TUNEGRAPH_AI_RUNTIME_MODELS names them"
        raise InvalidInput(f"AI Runtime has no base model {base_model[:100]!a}; {available}", ("input", "baseModel"))
    if refusal := hyperparameters.refusal(config):
        raise _refused(*refusal)
    compute(config)


def compute(config: Mapping[str, Any]) -> Compute:
    """The GPUs that a configuration asks for; by default one A10 for at most a day."""
    key, kind = _given(config, TYPE, DEFAULT_TYPE)
    if not isinstance(kind, str) or kind not in PER_NODE:
        raise _refused(key, f"must be one of {', '.join(PER_NODE)}")
    per_node = PER_NODE[kind]
    key, given = _given(config, COUNT, per_node)
    count = _whole(given)
    if count is None or not 0 < count <= MOST_ACCELERATORS or count % per_node:
        multiple = f"a multiple of {per_node}" if per_node > 1 else "a whole number"
        raise _refused(key, f"must be {multiple} from {per_node} to {MOST_ACCELERATORS}: all GPUs of {kind} nodes")
    key, given = _given(config, MINUTES, DEFAULT_MINUTES)
    minutes = _whole(given)
    if minutes is None or not 0 < minutes <= MOST_MINUTES:
        raise _refused(key, f"must be a whole number from 1 to {MOST_MINUTES} (7 days)")
    return Compute(kind, count, minutes * 60)


def total_epochs(config: Mapping[str, Any]) -> int:
    """How many epochs a run has."""
    return int(hyperparameters.used(config)["epochs"])


def base_models(models: Sequence[str]) -> list[BaseModel]:
    """What can be trained, in the order in which it was set."""
    return [BaseModel(name, name.rstrip("/").rpartition("/")[2], TrainerKind.AI_RUNTIME) for name in models]


def secrets(lines: Sequence[str]) -> tuple[Secret, ...]:
    """What lines such as HF_TOKEN=scope/key mean. Raises `ValueError` for any other."""
    matches = [SECRET.fullmatch(line.strip()) for line in lines]
    if None in matches:
        raise ValueError("a secret of AI Runtime is written as VARIABLE=scope/key")
    return tuple(Secret(*one.groups()) for one in matches if one is not None)


def _given(config: Mapping[str, Any], key: str, default: object) -> tuple[str, object]:
    """A value, and the key it was given by: both spellings are heeded, so that neither is ignored unnoticed."""
    other = SPELLINGS[key]
    if key in config and other in config and config[key] != config[other]:
        raise _refused(other, f"contradicts {key}")
    name = other if other in config else key
    value = config.get(name)
    return name, default if value is None else value


def _whole(value: object) -> int | None:
    """A whole number, which JSON may have with a point; true is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        return None
    return int(value) if abs(value) < 1e9 else None  # noqa: PLR2004  (infinity among them)


def _refused(key: str, reason: str) -> InvalidInput:
    return InvalidInput(f"trainingConfig.{key} {reason}", ("input", "trainingConfig", key))
