"""Runs of FMAPI as its answers tell of them; whatever is missing or unknown there is None here, and no error."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from server.databricks.workspace import Workspace
from server.domain.errors import Unavailable
from server.domain.status import RunState
from server.trainers.databricks.fmapi import operations
from server.trainers.databricks.fmapi.calls import ask
from server.trainers.trainer import TrainerEvent

STATES: Final[Mapping[str, RunState]] = {
    "PENDING": RunState.QUEUED,
    "QUEUED": RunState.QUEUED,
    "STARTING": RunState.QUEUED,
    "RUNNING": RunState.RUNNING,
    "COMPLETED": RunState.SUCCEEDED,
    "STOPPED": RunState.CANCELLED,
    "FAILED": RunState.FAILED,
}
TERMINATING: Final = "TERMINATING"
ENDED: Final = frozenset({"COMPLETED", "STOPPED", "FAILED"})
BAD: Final = frozenset({"FAILED", "FAILED_EXCEPTION", "CHECK_FAILED"})
NEVER: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Finetune:
    """One run; `events` are oldest first, and there are none when the run was listed without details."""

    name: str
    status: str
    created_at: datetime | None
    updated_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    estimated_end: datetime | None
    reason: str | None
    duration: str | None
    mlflow_run_id: str | None
    events: Sequence[TrainerEvent]
    experiment_id: str | None = None

    @property
    def state(self) -> RunState:
        """In the port's words. What a run that is TERMINATING comes to is not known yet."""
        if self.status == TERMINATING:
            return RunState.QUEUED if self.started_at is None else RunState.RUNNING
        return STATES.get(self.status, RunState.UNKNOWN)


async def named(workspace: Workspace, names: Sequence[str]) -> dict[str, Finetune]:
    """Those of these runs that FMAPI knows, by name: one request for each page."""
    wanted = frozenset(names)
    found: dict[str, Finetune] = {}
    cursor = None
    while True:
        page = await ask(workspace, operations.runs_named(names, cursor))
        new = {run.name: run for run in _runs(page) if run.name in wanted - found.keys()}
        found |= new
        cursor = _next(page)
        if cursor is None or not new or len(found) == len(wanted):
            return found


async def of_experiment(workspace: Workspace, experiment_id: str) -> str | None:
    """The name of an experiment's run; of the first one, should there be more."""
    page = await ask(workspace, operations.runs_of(experiment_id))
    runs = sorted(_runs(page), key=lambda run: (run.created_at or NEVER, run.name))
    return runs[0].name if runs else None


def name_of(answer: object) -> str:
    """The name that a created run was given."""
    name = answer.get("name") if isinstance(answer, dict) else None
    if not isinstance(name, str) or not name:
        raise Unavailable("FMAPI did not say what it called the run")
    return name


def events(told: object) -> list[TrainerEvent]:
    """A run's events, oldest first."""
    items = [item for item in told if isinstance(item, dict)] if isinstance(told, list) else []
    return sorted((_event(item) for item in items), key=lambda event: event.at)


def _runs(page: object) -> list[Finetune]:
    listed = page.get("finetunes") if isinstance(page, dict) else None
    if not isinstance(listed, list):
        raise Unavailable("FMAPI's answer has no list of runs")
    return [_run(item) for item in listed if isinstance(item, dict) and _text(item.get("name"))]


def _next(page: Mapping[str, Any]) -> str | None:
    return _text(page.get("cursor")) if page.get("hasNextPage") else None


def _run(told: Mapping[str, Any]) -> Finetune:
    details = _object(told.get("details"))
    mlflow = _object(_object(details.get("experimentTracker")).get("mlflow"))
    return Finetune(
        name=str(told["name"]),
        status=str(told.get("status")),
        created_at=_time(told.get("createdAt")),
        updated_at=_time(told.get("updatedAt")),
        started_at=_time(told.get("startedAt")),
        completed_at=_time(told.get("completedAt")),
        estimated_end=_time(told.get("estimatedEndTime")),
        reason=_text(told.get("reason")),
        duration=_text(details.get("trainingDuration")),
        mlflow_run_id=_text(mlflow.get("mlflowRunId")),
        experiment_id=_text(mlflow.get("mlflowExperimentId")),
        events=events(details.get("formattedFinetuningEvents")),
    )


def _event(told: Mapping[str, Any]) -> TrainerEvent:
    kind = _text(told.get("eventType")) or "EVENT"
    return TrainerEvent(_time(told.get("eventTime")) or NEVER, kind, _text(told.get("eventMessage")) or "", kind in BAD)


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _time(value: object) -> datetime | None:
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return time.replace(tzinfo=UTC) if time is not None and time.tzinfo is None else time
