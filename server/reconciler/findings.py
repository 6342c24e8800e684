"""What a trainer's observation means for a job: pure, before anything is written."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from server.domain.status import EventType, JobStatus, RunState, TrainerKind, route, target
from server.storage.claims import Claim
from server.storage.events import Entry
from server.storage.metrics import LATEST, Point
from server.trainers.trainer import MetricPoint, Observation, TrainerEvent

BEFORE_THE_END = 99
MAX_KEY = 250
MAX_WORD = 100
MAX_VALUES_TOLD = 50
MAX_CUSTOM_CHARACTERS = 64 * 1024
MAX_STEP = 2**63 - 1
MAX_TOLD = 2_000
WORTH_TELLING = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Findings:
    """`begins`: the job is RUNNING from now on. `ends`: FAILED or CANCELLED. `trained`: done, to be registered.

    `columns` are those of the job's row that change, `latest` those of its metrics. `update` is the one event that
    tells of progress and metrics together; `told` are the trainer's own events.
    """

    begins: bool
    ends: JobStatus | None
    trained: bool
    columns: Mapping[str, object]
    points: Sequence[Point]
    latest: Mapping[str, object]
    update: Entry | None
    told: Sequence[Entry]
    errors: Sequence[Entry]

    @property
    def quiet(self) -> bool:
        """Whether there is nothing to write."""
        return not (self.begins or self.ends or self.trained or self.columns or self.points or self.errors)


def find(claim: Claim, seen: Observation) -> Findings:
    """Compare what a trainer says of a run with the job as it was claimed."""
    heading = target(seen.state)
    moves = () if heading is None else route(claim.status, heading)
    trained = JobStatus.SUCCEEDED in moves
    new = _new_points(claim.last_metric_step, seen.points)
    points = [
        Point(clean(key, MAX_KEY), step.step, float(value) if math.isfinite(value) else None, step.at)
        for step in new
        for key, value in sorted(step.values.items())
    ]
    columns = _columns(claim, seen, new, trained=trained)
    update = _update(claim, columns, new)
    finished = JobStatus.RUNNING if trained else moves[-1] if moves else claim.status
    return Findings(
        begins=JobStatus.RUNNING in moves,
        ends=finished if finished in {JobStatus.FAILED, JobStatus.CANCELLED} else None,
        trained=trained,
        columns=columns,
        points=points,
        latest=_latest(claim, seen, points, trained=trained) if points or columns or moves else {},
        update=update,
        told=[_told(event) for event in seen.events],
        errors=[*_unknown(seen), *_diverged(points)],
    )


def clean(text: str, most: int) -> str:
    """A text from outside as Postgres can hold it, of at most `most` characters."""
    return text[:most].replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def _new_points(after: int | None, points: Iterable[MetricPoint]) -> list[MetricPoint]:
    after = -1 if after is None else after
    return sorted((point for point in points if after < point.step <= MAX_STEP and point.values), key=_step)


def _step(point: MetricPoint) -> int:
    return point.step


def _columns(claim: Claim, seen: Observation, new: Sequence[MetricPoint], *, trained: bool) -> dict[str, object]:
    percent = BEFORE_THE_END if trained else min(max(seen.progress_percent or 0, 0), BEFORE_THE_END)
    columns: dict[str, object] = {
        "progress_percent": max(percent, claim.progress_percent),
        "current_epoch": claim.current_epoch if seen.current_epoch is None else seen.current_epoch,
        "total_epochs": claim.total_epochs if seen.total_epochs is None else seen.total_epochs,
        "last_metric_step": new[-1].step if new else claim.last_metric_step,
        "trainer_events": claim.trainer_events + len(seen.events),
        "estimated_end_at": _estimated_end(claim, seen),
        "mlflow_run_id": claim.mlflow_run_id or seen.mlflow_run_id,
    }
    return {name: value for name, value in columns.items() if value != getattr(claim, name)}


def _estimated_end(claim: Claim, seen: Observation) -> datetime | None:
    """The trainer's guess; one that hardly differs from the last is not worth a write."""
    last, new = claim.estimated_end_at, seen.estimated_end
    if last is not None and new is not None and abs(new - last) < WORTH_TELLING:
        return last
    return new or last


def _told(event: TrainerEvent) -> Entry:
    kind, message = clean(event.kind, MAX_WORD), clean(event.message, MAX_TOLD)
    data = {"trainer_event": kind, "at": event.at.isoformat()}
    if event.bad:
        return Entry(EventType.ERROR, f"The trainer: {message or kind}", {**data, "code": "TRAINER_EVENT"})
    return Entry(EventType.PROGRESS_UPDATE, f"The trainer: {message or kind}", data)


def _update(claim: Claim, columns: Mapping[str, object], new: Sequence[MetricPoint]) -> Entry | None:
    percent = columns.get("progress_percent", claim.progress_percent)
    epoch = columns.get("current_epoch", claim.current_epoch)
    if new:
        last = new[-1]
        values = {
            clean(key, MAX_KEY): value if math.isfinite(value) else None
            for key, value in islice(sorted(last.values.items()), MAX_VALUES_TOLD)
        }
        told = ", ".join(f"{key} {value:.4g}" for key, value in islice(values.items(), 6) if value is not None)
        data = {"step": last.step, "epoch": epoch, "progress_percent": percent, "values": values}
        return Entry(EventType.METRIC_UPDATE, f"Step {last.step}: {told or 'no finite value'}", data)
    if "progress_percent" in columns:
        data = {"progress_percent": percent, "epoch": epoch}
        return Entry(EventType.PROGRESS_UPDATE, f"{percent} % of the training is done", data)
    return None


def _latest(claim: Claim, seen: Observation, points: Sequence[Point], *, trained: bool) -> dict[str, object]:
    latest: dict[str, object] = {point.key: point.value for point in points if point.key in LATEST}
    if claim.trainer is TrainerKind.LOCAL:  # its step is the epoch, told when the epoch is over
        epochs = points[-1].step if points else None
    else:
        epochs = (seen.total_epochs or claim.total_epochs) if trained else None
    if epochs is not None:
        latest["epochs_completed"] = epochs
    if seen.tokens_processed is not None and 0 <= seen.tokens_processed <= MAX_STEP:
        latest["tokens_processed"] = seen.tokens_processed
    if seen.training_duration_seconds is not None and math.isfinite(seen.training_duration_seconds):
        latest["training_duration_seconds"] = seen.training_duration_seconds
    if custom := _storable(seen.custom_metrics):
        latest["custom_metrics"] = custom
    return latest


def _storable(given: Mapping[str, object]) -> object:
    """Custom metrics as JSON that Postgres takes: what is not finite is null, and what is too large is left out."""
    if not given:
        return None
    try:
        written = json.dumps(given, default=str, ensure_ascii=False)
        if len(written) > MAX_CUSTOM_CHARACTERS:
            return None
        return json.loads(clean(written.replace("\\u0000", "\\ufffd"), len(written)), parse_constant=lambda _: None)
    except (ValueError, TypeError, RecursionError):
        return None


def _unknown(seen: Observation) -> list[Entry]:
    if seen.state is not RunState.UNKNOWN:
        return []
    word = clean(seen.word, MAX_WORD)
    message = f"The trainer said {word!r}, which is not known here; the job stays as it is"
    return [Entry(EventType.ERROR, message, {"code": "UNKNOWN_STATUS", "word": word})]


def _diverged(points: Sequence[Point]) -> list[Entry]:
    for point in points:
        if point.value is None:
            message = f"The run diverged: {point.key} is not finite at step {point.step}"
            return [Entry(EventType.ERROR, message, {"code": "DIVERGED", "key": point.key, "step": point.step})]
    return []
