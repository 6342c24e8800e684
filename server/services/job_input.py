"""What a person may ask for when creating a job: checked whole before anything is stored."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from server.domain.errors import InvalidInput
from server.domain.status import TrainerKind
from server.services import eligibility, inputs
from server.trainers.trainer import Trainer

MAX_CLIENT_MUTATION_ID_CHARACTERS = 255
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*")
UC_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_\-]*")


@dataclass(frozen=True, slots=True)
class CreateJob:
    """A job as it is asked for; without a `trainer` the server's default one, `training_config` is any JSON object."""

    training_sheet_id: str
    model_name: str
    base_model: str
    trainer: TrainerKind | None = None
    training_config: Any = field(default_factory=dict)
    train_val_split: float = 0.8
    split_seed: int = 0
    register_to_uc: bool = False
    uc_catalog: str | None = None
    uc_schema: str | None = None
    client_mutation_id: str | None = None

    @property
    def uc_model_name(self) -> str | None:
        """The full name under which the model is registered, when it is."""
        return f"{self.uc_catalog}.{self.uc_schema}.{self.model_name}" if self.register_to_uc else None


def check(request: CreateJob) -> None:
    """Raise `InvalidInput` for what no trainer could take or Postgres can't hold."""
    if request.client_mutation_id is not None:
        inputs.filled(request.client_mutation_id, ("input", "clientMutationId"), MAX_CLIENT_MUTATION_ID_CHARACTERS)
    if not isinstance(request.training_config, dict):
        raise inputs.refused(("input", "trainingConfig"), "must be an object")
    inputs.label_data(request.training_config, ("input", "trainingConfig"))
    inputs.filled(request.base_model, ("input", "baseModel"))
    eligibility.check_ratio(request.train_val_split, ("input", "trainValSplit"))
    eligibility.check_seed(request.split_seed, ("input", "splitSeed"))
    _check_names(request)


def _check_names(request: CreateJob) -> None:
    path = ("input", "modelName")
    inputs.filled(request.model_name, path)
    if not NAME.fullmatch(request.model_name):
        raise inputs.refused(path, "may have letters, digits, '-', '_' and '.', and begins with none of '-' and '.'")
    if request.register_to_uc and not UC_NAME.fullmatch(request.model_name):
        raise inputs.refused(path, "may have no '.' when the model is registered as catalog.schema.model")
    for name, value in (("ucCatalog", request.uc_catalog), ("ucSchema", request.uc_schema)):
        path = ("input", name)
        if value is None and request.register_to_uc:
            raise inputs.refused(path, "is needed to register the model")
        if value is not None and not UC_NAME.fullmatch(inputs.filled(value, path)):
            raise inputs.refused(path, "may have letters, digits, '-' and '_', and does not begin with '-'")


def check_trainer(request: CreateJob, trainers: Mapping[TrainerKind, Trainer], kind: TrainerKind) -> Trainer:
    """The trainer that will train. Raises `InvalidInput` when there is none, or when it would not take the job."""
    trainer = trainers.get(kind)
    if trainer is None:
        available = ", ".join(sorted(trainers))
        raise inputs.refused(("input", "trainer"), f"{kind} is not configured on this server; available: {available}")
    trainer.validate(request.base_model, request.training_config)
    return trainer


def digest(request: CreateJob, kind: TrainerKind) -> str:
    """sha256 (hex) of all that is asked for, defaults applied: requests that mean the same have equal digests.

    A whole number is the same whether it is written as 1, 1.0 or 1e0.
    """
    values = _values(request, kind)
    return _digest({**values, "training_config": _canonical(values["training_config"])})


def is_repeat(first: str, request: CreateJob, kind: TrainerKind) -> bool:
    """Whether a job with this digest was asked for with the same.

    Jobs of before 2026-11-28 have a digest in which 1 and 1.0 differ.
    """
    return first in (digest(request, kind), _digest(_values(request, kind)))


def _values(request: CreateJob, kind: TrainerKind) -> dict[str, Any]:
    values = {**asdict(request), "trainer": kind.value, "train_val_split": float(request.train_val_split)}
    del values["client_mutation_id"]
    return values


def _canonical(value: object) -> object:
    match value:
        case dict():
            return {key: _canonical(item) for key, item in value.items()}
        case list():
            return [_canonical(item) for item in value]
        case float() if value.is_integer():
            return int(value)
    return value


def _digest(values: Mapping[str, object]) -> str:
    try:
        written = json.dumps(values, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise InvalidInput("the input can't be written as JSON", ("input",)) from error
    return hashlib.sha256(written.encode()).hexdigest()
