"""The metrics of MLflow runs in a workspace, through the SDK: MLflow's own client is slower, and asks more often."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from server.databricks.workspace import Workspace
from server.domain.metrics import MetricPoint

if TYPE_CHECKING:
    from databricks.sdk.service.ml import Metric

    from server.databricks.client import WorkspaceClient

PAGE: Final = 25_000  # the most that MLflow gives at once
MOST_KEYS: Final = 60
WITHIN: Final = 30.0
MILLISECOND: Final = 1_000

Naming = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class RunMetrics:
    """What a run has logged: `points` in the order of their steps, `latest` by MLflow's own keys."""

    points: tuple[MetricPoint, ...]
    latest: dict[str, float]


async def metrics(
    workspace: Workspace, run_id: str, after: int | None, *, named: Naming, within: float = WITHIN
) -> RunMetrics:
    """The points after a step: one request for the run, and one for each key that has any.

    `named` gives the names under which values are told; of keys that share one, the first in MLflow's order is taken.
    Raises `ApiError` and `Unavailable`.
    """
    return await workspace.call(lambda client: _read(client, run_id, after, named), within=within)


def _read(client: "WorkspaceClient", run_id: str, after: int | None, named: Naming) -> RunMetrics:
    run = client.experiments.get_run(run_id).run
    logged = [metric for metric in (run.data.metrics if run and run.data else None) or () if metric.key]
    names: dict[str, str] = {}
    for metric in sorted(logged, key=lambda metric: (named(metric.key or "") == metric.key, metric.key or "")):
        if _step(metric) > _start(after) and named(metric.key or "") not in names and len(names) < MOST_KEYS:
            names[named(metric.key or "")] = metric.key or ""
    points: dict[int, dict[str, float]] = {}
    times: dict[int, int] = {}
    for name, key in names.items():
        for metric in client.experiments.get_history(key, run_id=run_id, max_results=PAGE):
            step = _step(metric)
            if step > _start(after):
                points.setdefault(step, {})[name] = _value(metric)
                times[step] = max(times.get(step, 0), metric.timestamp or 0)
    return RunMetrics(
        tuple(MetricPoint(step, _time(times[step]), points[step]) for step in sorted(points)),
        _latest(logged),
    )


def _latest(logged: "Iterable[Metric]") -> dict[str, float]:
    return {metric.key or "": _value(metric) for metric in logged}


def _start(after: int | None) -> int:
    return -1 if after is None else after


def _step(metric: "Metric") -> int:
    return metric.step or 0  # JSON leaves a zero out


def _value(metric: "Metric") -> float:
    """MLflow writes what JSON has no numbers for as a text."""
    try:
        return float(0.0 if metric.value is None else metric.value)
    except ValueError:
        return math.nan


def _time(milliseconds: int) -> datetime:
    """A time that no calendar has is the first of all, which nobody takes for true."""
    try:
        return datetime.fromtimestamp(milliseconds / MILLISECOND, UTC)
    except (OverflowError, ValueError, OSError):
        return datetime.min.replace(tzinfo=UTC)
