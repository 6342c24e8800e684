"""What a training logs to MLflow, as the port has it: points, progress, and an estimate of the end."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from server.domain.metrics import MetricPoint
from server.trainers.bundle.progress import NAMES

Json = Mapping[str, Any]

EPOCH, EPOCHS, TOKENS = "epoch", "epochs", "num_tokens"
SERIES: Final = (*NAMES, EPOCH)
MOST_DIGITS: Final = 9
LONGEST_ESTIMATE: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Value:
    """One measured value."""

    step: int
    at: datetime
    value: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An MLflow run as it is now: the newest value of each metric, and at its end what is beside them."""

    latest: Mapping[str, Value]
    params: Mapping[str, str]
    tags: Mapping[str, str]
    custom: Mapping[str, Any] = field(default_factory=dict)

    @property
    def newest(self) -> int | None:
        """The newest step of all."""
        return max((value.step for key, value in self.latest.items() if key in SERIES), default=None)

    @property
    def epochs(self) -> int | None:
        """How many epochs the training has."""
        text = self.params.get(EPOCHS, "")
        return int(text) or None if text.isdecimal() and len(text) <= MOST_DIGITS else None

    @property
    def current_epoch(self) -> int | None:
        """The epoch that it is in, or has finished last."""
        epoch = self._finite(EPOCH)
        return None if epoch is None else max(0, math.ceil(epoch))

    @property
    def epochs_completed(self) -> int | None:
        """The epochs that it has finished."""
        epoch = self._finite(EPOCH)
        return None if epoch is None else max(0, math.floor(epoch))

    @property
    def percent(self) -> int | None:
        """How much of the training is done, in percent from 0 to 100."""
        epoch, epochs = self._finite(EPOCH), self.epochs
        return None if epoch is None or epochs is None else int(min(max(100 * epoch / epochs, 0), 100))

    @property
    def tokens(self) -> int | None:
        """How many tokens the training has seen."""
        tokens = self._finite(TOKENS)
        return None if tokens is None else int(tokens)

    def _finite(self, key: str) -> float | None:
        latest = self.latest.get(key)
        return latest.value if latest is not None and math.isfinite(latest.value) else None


@dataclass(frozen=True, slots=True)
class Reading:
    """New points, oldest first, and when the training will be done if it goes on as it did."""

    points: Sequence[MetricPoint] = ()
    estimated_end: datetime | None = None


def snapshot(run: Json) -> Snapshot:
    """An MLflow run as GET runs/get returns it; metrics that can't be read are left out."""
    data = run.get("data") or {}
    latest: dict[str, Value] = {}
    for metric in data.get("metrics") or ():
        if (value := _value(metric)) is not None:
            latest[str(metric.get("key"))] = value
    return Snapshot(latest, _texts(data.get("params")), _texts(data.get("tags")))


def unread(snapshot: Snapshot, after: int | None) -> list[str]:
    """The series that have a step after one that is recorded."""
    after = -1 if after is None else after
    return [key for key in SERIES if key in snapshot.latest and snapshot.latest[key].step > after]


def reading(histories: Mapping[str, Iterable[Json]], snapshot: Snapshot, after: int | None, ended: bool) -> Reading:  # noqa: FBT001  (threads pass by position)
    """The points after a step, from all values of the series.

    As long as the run has not `ended` its newest step is left for later: not everything that is measured at a step
    arrives at once, and what arrives after its step was recorded would be lost.
    """
    after = -1 if after is None else after
    before = math.inf if ended or snapshot.newest is None else snapshot.newest
    series = {key: sorted(_values(history), key=lambda one: one.at) for key, history in histories.items()}
    steps: dict[int, tuple[datetime, dict[str, float]]] = {}
    for key in NAMES.keys() & series.keys():
        for value in series[key]:
            if after < value.step < before:
                at, measured = steps.get(value.step, (value.at, {}))
                steps[value.step] = max(at, value.at), {**measured, NAMES[key]: value.value}
    points = [MetricPoint(step, at, measured) for step, (at, measured) in sorted(steps.items())]
    return Reading(points, None if ended else _end(series.get(EPOCH, ()), snapshot.epochs))


def _end(epochs: Sequence[Value], total: int | None) -> datetime | None:
    """The last time plus the epochs that are left at the mean speed between the first and the last measurement.

    None without two measurements that differ, and when more than `LONGEST_ESTIMATE` is left.
    """
    if total is None or len(epochs) < 2:  # noqa: PLR2004  (two moments make a speed)
        return None
    first, last = epochs[0], epochs[-1]
    done, elapsed = last.value - first.value, last.at - first.at
    if not (done > 0 and math.isfinite(done)) or elapsed <= timedelta():
        return None
    left = elapsed.total_seconds() * max(0.0, total - last.value) / done
    return last.at + timedelta(seconds=left) if left < LONGEST_ESTIMATE.total_seconds() else None


def _values(history: Iterable[Json]) -> list[Value]:
    return [value for metric in history if (value := _value(metric)) is not None]


def _value(metric: Json) -> Value | None:
    """One metric; protobuf's JSON writes what is not finite as text, and may do so with large numbers."""
    try:
        at = datetime.fromtimestamp(int(metric["timestamp"]) / 1000, UTC)
        return Value(int(metric.get("step") or 0), at, float(metric["value"]))
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        return None


def _texts(pairs: Iterable[Json] | None) -> dict[str, str]:
    return {str(pair["key"]): str(pair.get("value") or "") for pair in pairs or () if pair.get("key")}
