"""The port that every trainer is driven through; its adapters all pass one contract test suite."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NewType, Protocol, runtime_checkable

from server.domain.metrics import MetricPoint
from server.domain.status import RunState, TrainerKind

TrainerJobId = NewType("TrainerJobId", str)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the poller may expect of a trainer.

    Intervals are in seconds: `observe_interval` between two observations of a run; `quick_interval` while it is new or
    about to end, `queue_interval` while it waits in a line whose end the trainer tells (see `Announcing`): 0, no other.
    The interval grows up to `quiet_interval` while a run shows nothing new: for a trainer that tells of ends.
    """

    observe_interval: float
    observe_batch: int
    idempotent_submit: bool
    quick_interval: float = 0.0
    queue_interval: float = 0.0
    quiet_interval: float = 0.0


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A model that a trainer can start from. `max_context_length` is in tokens."""

    name: str
    display_name: str
    trainer: TrainerKind
    max_context_length: int | None = None


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """Everything a trainer needs for one run; the files are chat JSONL, complete and no longer written to.

    `register_as` is the full name (catalog.schema.model) under which a trainer that registers models itself is to
    register this one; None: not at all.
    """

    job_id: str
    model_name: str
    base_model: str
    config: Mapping[str, Any]
    seed: int
    train_file: Path
    validation_file: Path
    dataset_digest: str
    register_as: str | None = None


@dataclass(frozen=True, slots=True)
class RunHandle:
    """One run to look at.

    `after_step` is the last metric step already recorded (None: none yet), `after_event` how many of the trainer's own
    events are, whichever they were.
    """

    job_id: str
    trainer_job_id: TrainerJobId
    after_step: int | None = None
    after_event: int = 0


@dataclass(frozen=True, slots=True)
class TrainerEvent:
    """One entry of the trainer's own history of a run; `kind` is its word, `bad` when it tells of a failure.

    `identity` tells it from the run's other events, and is the same whenever it is observed; None: its time, kind and
    message do.
    """

    at: datetime
    kind: str
    message: str
    bad: bool = False
    identity: str | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """What a trainer says of one run now.

    `word` is the trainer's own status text, for the record. `points` are those after the handle's `after_step`, oldest
    first. `events` may repeat those that were told before, and may come late. `epochs_completed` counts whole epochs.
    `estimated_end` is the trainer's guess. `mlflow_run_id` is the run that the trainer itself logs to. `waits`: it
    stands in line, and the trainer tells when it no longer does. `artifact` is a folder with the trained model in
    MLflow's format, once the run has succeeded. `error_code` and `message` say why a run failed.
    """

    state: RunState
    word: str
    progress_percent: int | None = None
    current_epoch: int | None = None
    total_epochs: int | None = None
    epochs_completed: int | None = None
    points: Sequence[MetricPoint] = ()
    tokens_processed: int | None = None
    training_duration_seconds: float | None = None
    custom_metrics: Mapping[str, Any] = field(default_factory=dict)
    events: Sequence[TrainerEvent] = ()
    estimated_end: datetime | None = None
    mlflow_run_id: str | None = None
    waits: bool = False
    artifact: Path | None = None
    error_code: str | None = None
    message: str | None = None


class Trainer(Protocol):
    """A trainer. A method that talks to the outside raises `errors.Unavailable` when it can't be reached."""

    @property
    def kind(self) -> TrainerKind:
        """Which trainer this is."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        ...

    def validate(self, base_model: str, config: Mapping[str, Any]) -> None:
        """Raise `InvalidInput` (path from "input") for a base model or a configuration that can't be trained.

        Unknown keys pass: they are recorded and left to the trainer.
        """
        ...

    def total_epochs(self, base_model: str, config: Mapping[str, Any]) -> int | None:
        """How many epochs a run with this (valid) configuration has, when that is known beforehand."""
        ...

    async def base_models(self) -> Sequence[BaseModel]:
        """What can be trained, in the order to show."""
        ...

    async def submit(self, request: TrainingRequest) -> TrainerJobId:
        """Start a run; a second call for the same job answers with the run that exists.

        Raises `Refused` when the trainer will never take this request.
        """
        ...

    async def find(self, job_id: str) -> TrainerJobId | None:
        """The run of a job whose submission was not answered; None when there certainly is none."""
        ...

    async def observe(self, runs: Sequence[RunHandle]) -> Mapping[str, Observation]:
        """What is true of each run now, by job id. A run that this process can't see is left out."""
        ...

    async def cancel(self, trainer_job_id: TrainerJobId) -> None:
        """Ask a run to stop; `observe` tells when it has. Asking twice, or asking a finished run, is fine."""
        ...

    async def logs(self, trainer_job_id: TrainerJobId) -> str:
        """The tail of a run's own log, for a person who wants to know why it failed."""
        ...


@runtime_checkable
class Registering(Protocol):
    """A trainer that keeps an MLflow run of its own and registers the model itself, both where it trains."""

    async def registered(self, trainer_job_id: TrainerJobId, model: str) -> str:
        """The version of `model` that came of a succeeded run, ready to load and under its alias.

        Raises `Unavailable` while there is none yet, and `Refused` when there never will be.
        """
        ...


@runtime_checkable
class Placed(Protocol):
    """A trainer whose runs can only be seen from where they are."""

    async def place(self) -> str:
        """What tells that place from all others, without blanks."""
        ...


@runtime_checkable
class Announcing(Protocol):
    """A trainer that learns in this process when something is new about one of its runs."""

    def subscribe(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Call `listener` with the job's id from then on, from any thread, until the result is called."""
        ...
