"""The port to where runs are logged and models registered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from server.domain.metrics import MetricPoint
from server.domain.status import JobStatus


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a run is described by. It is the same at every call for a job.

    `parameters` may nest, and may hold whatever a client has put into its configuration.
    """

    job_id: str
    model_name: str
    base_model: str
    trainer: str
    training_sheet_id: str
    training_sheet_name: str
    dataset_digest: str | None
    parameters: Mapping[str, object]
    train_pairs: int
    val_pairs: int
    created_by: str
    started_at: datetime


class ModelRegistry(Protocol):
    """A registry. Whatever goes wrong on the other side is raised as `errors.Unavailable`, with its cause.

    Every call may be repeated after a crash or a timeout, and then finds what an earlier one has left.
    """

    async def start_run(self, run: RunFacts) -> str:
        """The id of the job's run, which is made when there is none."""
        ...

    async def log_points(self, run_id: str, points: Sequence[MetricPoint]) -> None:
        """Log metrics; those logged before change nothing. A value that is not finite is left out."""
        ...

    async def log_model(self, run_id: str, artifact: Path) -> None:
        """Keep a folder in MLflow's format as the run's model."""
        ...

    async def register(self, run_id: str, name: str, job_id: str) -> str:
        """The version under which the run's logged model is registered as `name`, once it is ready to load."""
        ...

    async def finish(self, run_id: str, status: JobStatus) -> None:
        """End the run as its job has ended."""
        ...
