"""What a trainer's observation means for a job: pure, before anything is written."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import islice

from server.domain.metrics import MetricPoint
from server.domain.status import EventType, JobStatus, RunState, route, target
from server.reconciler.plausibility import MAX_BIG, Plausibility, finite, storable
from server.storage.claims import Claim
from server.storage.events import Entry
from server.storage.metrics import LATEST, Point
from server.trainers.trainer import Observation, TrainerEvent

BEFORE_THE_END = 99
MAX_KEY = 250
MAX_WORD = 100
MAX_VALUES_TOLD = 50
MAX_CUSTOM_CHARACTERS = 64 * 1024
MAX_TOLD = 2_000
MAX_TRAINER_EVENTS = 1_000  # of a run that are looked at, the newest; twice as many are remembered
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
    plausibility = Plausibility()
    new = _new_points(claim.last_metric_step, seen.points, plausibility)
    points = [
        Point(clean(key, MAX_KEY), step.step, finite(value), plausibility.moment("time of a point", step.at))
        for step in new
        for key, value in sorted(step.values.items())
    ]
    events = _new_events(claim, seen)
    columns = _columns(claim, seen, new, plausibility, trained=trained)
    if events:
        columns["trainer_events"] = [*claim.trainer_events, *events][-2 * MAX_TRAINER_EVENTS :]
    finished = JobStatus.RUNNING if trained else moves[-1] if moves else claim.status
    latest = _latest(claim, seen, points, plausibility, trained=trained)
    return Findings(
        begins=JobStatus.RUNNING in moves,
        ends=finished if finished in {JobStatus.FAILED, JobStatus.CANCELLED} else None,
        trained=trained,
        columns=columns,
        points=points,
        latest=latest if points or columns or moves else {},
        update=_update(claim, columns, new),
        told=list(events.values()),
        errors=[*_unknown(seen), *_diverged(points), *_impossible(plausibility)],
    )


def clean(text: str, most: int) -> str:
    """A text from outside as Postgres can hold it, of at most `most` characters."""
    return storable(text[:most])


def _new_points(after: int | None, points: Iterable[MetricPoint], plausibility: Plausibility) -> list[MetricPoint]:
    after = -1 if after is None else after
    possible = [point for point in points if plausibility.whole("step", point.step, MAX_BIG) is not None]
    return sorted((point for point in possible if after < point.step and point.values), key=_step)


def _step(point: MetricPoint) -> int:
    return point.step


def _new_events(claim: Claim, seen: Observation) -> dict[int, Entry]:
    """What the trainer's own history has that the job's has not, by digest, in the order in which it is given."""
    recorded = set(claim.trainer_events)
    given = {event_digest(event): event for event in seen.events[-MAX_TRAINER_EVENTS:]}
    return {digest: _told(event) for digest, event in given.items() if digest not in recorded}


def event_digest(event: TrainerEvent) -> int:
    """What one of a run's events is known by: the first 64 bits of the SHA-256 of its identity."""
    kind, message = clean(event.kind, MAX_WORD), clean(event.message, MAX_TOLD)
    identity = event.identity or f"{event.at.isoformat()} {kind} {message or kind}"
    return int.from_bytes(sha256(identity.encode("utf-8", "replace")).digest()[:8], "big", signed=True)


def _columns(
    claim: Claim, seen: Observation, new: Sequence[MetricPoint], plausibility: Plausibility, *, trained: bool
) -> dict[str, object]:
    """The columns that change; what is not told, or can't be true, stays as it was."""
    percent = BEFORE_THE_END if trained else min(max(seen.progress_percent or 0, 0), BEFORE_THE_END)
    current_epoch = plausibility.whole("current epoch", seen.current_epoch)
    total_epochs = plausibility.whole("total epochs", seen.total_epochs)
    columns: dict[str, object] = {
        "progress_percent": max(percent, claim.progress_percent),
        "current_epoch": claim.current_epoch if current_epoch is None else current_epoch,
        "total_epochs": claim.total_epochs if total_epochs is None else total_epochs,
        "last_metric_step": new[-1].step if new else claim.last_metric_step,
        "estimated_end_at": _estimated_end(claim, plausibility.moment("estimated end", seen.estimated_end)),
        "mlflow_run_id": claim.mlflow_run_id or plausibility.name("MLflow run", seen.mlflow_run_id),
    }
    return {name: value for name, value in columns.items() if value != getattr(claim, name)}


def _estimated_end(claim: Claim, new: datetime | None) -> datetime | None:
    """The trainer's guess; one that hardly differs from the last is not worth a write."""
    last = claim.estimated_end_at
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
            clean(key, MAX_KEY): finite(value) for key, value in islice(sorted(last.values.items()), MAX_VALUES_TOLD)
        }
        told = ", ".join(f"{key} {value:.4g}" for key, value in islice(values.items(), 6) if value is not None)
        data = {"step": last.step, "epoch": epoch, "progress_percent": percent, "values": values}
        return Entry(EventType.METRIC_UPDATE, f"Step {last.step}: {told or 'no finite value'}", data)
    if "progress_percent" in columns:
        data = {"progress_percent": percent, "epoch": epoch}
        return Entry(EventType.PROGRESS_UPDATE, f"{percent} % of the training is done", data)
    return None


def _latest(
    claim: Claim, seen: Observation, points: Sequence[Point], plausibility: Plausibility, *, trained: bool
) -> dict[str, object]:
    latest: dict[str, object] = {point.key: point.value for point in points if point.key in LATEST}
    epochs = plausibility.whole("epochs completed", seen.epochs_completed)
    if epochs is None and trained:  # the trainer does not count them
        epochs = plausibility.whole("total epochs", seen.total_epochs) or claim.total_epochs
    known = {
        "epochs_completed": epochs,
        "tokens_processed": plausibility.whole("tokens", seen.tokens_processed, MAX_BIG),
        "training_duration_seconds": plausibility.seconds("duration", seen.training_duration_seconds),
    }
    latest |= {name: value for name, value in known.items() if value is not None}
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


def _impossible(plausibility: Plausibility) -> list[Entry]:
    return [
        Entry(
            EventType.ERROR,
            f"The trainer told a value that can't be true ({name}); it is taken as not told",
            {"code": "IMPOSSIBLE_VALUE", "value": name},
        )
        for name in sorted(plausibility.impossible)
    ]


def _diverged(points: Sequence[Point]) -> list[Entry]:
    for point in points:
        if point.value is None:
            message = f"The run diverged: {point.key} is not finite at step {point.step}"
            return [Entry(EventType.ERROR, message, {"code": "DIVERGED", "key": point.key, "step": point.step})]
    return []
