"""The metrics of MLflow runs in a workspace, through the SDK: MLflow's own client is slower, and asks more often."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping
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
SEARCHED_AT_ONCE: Final = 1_000  # runs

Naming = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Value:
    """The last value of a metric; `at` is in milliseconds since the epoch."""

    step: int
    value: float
    at: int


Newest = Mapping[str, Value]  # by MLflow's keys


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


async def newest(
    workspace: Workspace, runs: Mapping[str, str], *, within: float = WITHIN
) -> dict[str, dict[str, Value]]:
    """The last value of each metric of runs, by run id; `runs` has the experiment of each.

    Runs that are not found are left out. One request for a thousand of them. Raises `ApiError` and `Unavailable`.
    """
    found: dict[str, dict[str, Value]] = {}
    run_ids = sorted(run_id for run_id in runs if run_id.isalnum())
    for first in range(0, len(run_ids), SEARCHED_AT_ONCE):
        portion = run_ids[first : first + SEARCHED_AT_ONCE]
        experiments = {runs[run_id] for run_id in portion}

        def search(
            client: "WorkspaceClient", portion: list[str] = portion, experiments: set[str] = experiments
        ) -> dict[str, dict[str, Value]]:
            return _search(client, portion, experiments)

        found |= await workspace.call(search, within=within)
    return found


def _search(
    client: "WorkspaceClient", run_ids: Collection[str], experiments: Collection[str]
) -> dict[str, dict[str, Value]]:
    # https://mlflow.org/docs/latest/search-runs.html: attributes.run_id takes IN
    wanted = ", ".join(f"'{run_id}'" for run_id in run_ids)
    found = {}
    for run in client.experiments.search_runs(
        experiment_ids=sorted(experiments), filter=f"attributes.run_id IN ({wanted})", max_results=SEARCHED_AT_ONCE
    ):
        if run.info and run.info.run_id:
            logged = [metric for metric in (run.data.metrics if run.data else None) or () if metric.key]
            values = {
                metric.key or "": Value(_step(metric), _value(metric), metric.timestamp or 0) for metric in logged
            }
            found[run.info.run_id] = values
    return found


def latest(newest: Newest) -> dict[str, float]:
    """The values alone."""
    return {key: value.value for key, value in newest.items()}


def points_at(newest: Newest, step: int, named: Naming) -> MetricPoint:
    """What was last measured at a step, and is still the newest of its metric."""
    there = {key: value for key, value in newest.items() if value.step == step}
    values: dict[str, float] = {}
    for key in sorted(there, key=lambda key: (named(key) == key, key)):
        if named(key) not in values and len(values) < MOST_KEYS:
            values[named(key)] = there[key].value
    return MetricPoint(step, _time(max((value.at for value in there.values()), default=0)), values)


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
