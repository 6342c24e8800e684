"""An `Observation` from what was read of a run. No requests are sent from here."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from server.domain.status import RunState
from server.trainers.bundle.tracking import ERROR_CODE_TAG, ERROR_TAG
from server.trainers.databricks.ai_runtime import states
from server.trainers.databricks.ai_runtime.metrics import Reading, Snapshot
from server.trainers.databricks.ai_runtime.states import Json, Status
from server.trainers.trainer import Observation, TrainerEvent

ENDED: Final = frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED})
WAITING, ASSIGNED = "WAITING_FOR_GPU", "GPU_ASSIGNED"


def from_run(run: Json, status: Status, output: Json, snapshot: Snapshot | None, reading: Reading) -> Observation:
    """The observation of a run, without what others know of it."""
    failed, ended = status.state is RunState.FAILED, status.state in ENDED
    seconds = _seconds(states.task(run)) if ended else None
    epochs = None if snapshot is None else snapshot.epochs
    return Observation(
        state=status.state,
        word=status.word,
        progress_percent=None if snapshot is None else snapshot.percent,
        current_epoch=epochs
        if status.state is RunState.SUCCEEDED
        else None
        if snapshot is None
        else snapshot.current_epoch,
        total_epochs=epochs,
        epochs_completed=None if snapshot is None else snapshot.epochs_completed,
        points=reading.points,
        tokens_processed=None if snapshot is None else snapshot.tokens,
        training_duration_seconds=seconds,
        custom_metrics=_custom(run, snapshot, seconds) if ended else {},
        estimated_end=reading.estimated_end,
        error_code=status.code if failed else None,
        message=_reason(status, output, snapshot) if failed else status.message,
    )


def events(run: Json, status: Status, waiting_for: str | None, after: int) -> Sequence[TrainerEvent]:
    """The new ones of two events: that the wait for a GPU has begun, and that it is over.

    `after` is how many of them are recorded, `waiting_for` AI Runtime's own message about the wait.
    """
    started = states.task(run).get("start_time") or run.get("start_time")
    at = datetime.fromtimestamp(started / 1000, UTC) if isinstance(started, int) and started else datetime.now(UTC)
    if status.waits and after == 0:
        gpus = _compute(run)
        hardware = f" ({gpus['accelerator_count']} of {gpus['accelerator_type']})" if len(gpus) > 1 else ""
        waiting = f"{waiting_for or 'Waiting for GPU capacity'}{hardware}"
        return [TrainerEvent(at, WAITING, waiting, identity=WAITING)]
    if status.state is RunState.RUNNING and after == 1:
        started_now = "The GPUs are there, and the training starts"
        return [TrainerEvent(datetime.now(UTC), ASSIGNED, started_now, identity=ASSIGNED)]
    return ()


def _reason(status: Status, output: Json, snapshot: Snapshot | None) -> str | None:
    """Why it failed: the program's error tags in MLflow, else the task's error, else the run's message."""
    tags: Mapping[str, str] = {} if snapshot is None else snapshot.tags
    if reason := ": ".join(part for part in (tags.get(ERROR_CODE_TAG), tags.get(ERROR_TAG)) if part):
        return reason
    return str(output.get("error") or "") or status.message


def _custom(run: Json, snapshot: Snapshot | None, seconds: float | None) -> dict[str, Any]:
    """The program's own metrics, the hardware, and `gpu_seconds`: GPUs times seconds of the task."""
    used = {**({} if snapshot is None else snapshot.custom), **_compute(run)}
    if seconds is not None and isinstance(count := used.get("accelerator_count"), int):
        used["gpu_seconds"] = round(count * seconds, 3)
    return used


def _compute(run: Json) -> dict[str, Any]:
    """What the run was given to compute with."""
    ai_runtime_task = states.task(run).get("ai_runtime_task")
    deployments = ai_runtime_task.get("deployments") if isinstance(ai_runtime_task, Mapping) else None
    compute = deployments[0].get("compute") if deployments else None
    return {key: compute[key] for key in ("accelerator_type", "accelerator_count") if compute and compute.get(key)}


def _seconds(task: Json) -> float | None:
    milliseconds = task.get("execution_duration")
    return milliseconds / 1000 if isinstance(milliseconds, int) and milliseconds > 0 else None
