"""The metrics of runs in a Databricks workspace, each value logged once."""

# ruff: noqa: PLC0415  (the SDK takes seconds to import: on first use, in a thread)

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Final

from server.registry.description import MetricValue

if TYPE_CHECKING:
    from databricks.sdk.service.ml import Metric

    from server.databricks.client import WorkspaceClient

RUNS_REMEMBERED: Final = 16
VALUES_PER_PAGE: Final = 25_000  # the most that one request may ask for


@dataclass(slots=True)
class _History:
    """What is known to be logged to a run. Whoever reads or logs holds the lock, also after nobody waits for it."""

    lock: Lock = field(default_factory=Lock)
    values: dict[str, set[MetricValue]] = field(default_factory=dict)


class Histories:
    """Logs what a run does not have yet: Databricks appends whatever it is sent, the same value too.

    What a run has is read from Databricks, as others may have logged to it, unless all there is to log comes after the
    latest values, which come with the run itself. It is remembered for a few runs. For threads.
    """

    def __init__(self) -> None:
        self._runs: OrderedDict[str, _History] = OrderedDict()
        self._lock = Lock()

    def log(self, client: "WorkspaceClient", run_id: str, values: Sequence[MetricValue]) -> None:
        """Log those values that are new, in one request, which `client` must not repeat by itself."""
        from databricks.sdk.service.ml import Metric

        history = self._history(run_id)
        with history.lock:
            if not _new(values, history):
                return
            _read(client, run_id, history, _new(values, history))
            new = _new(values, history)
            if not new:
                return
            try:
                metrics = [
                    Metric(key=value.key, value=value.value, timestamp=value.timestamp, step=value.step)
                    for value in new
                ]
                client.experiments.log_batch(run_id=run_id, metrics=metrics)
            except BaseException:  # some of it, or all, may be logged
                for value in new:
                    history.values.pop(value.key, None)
                raise
            for value in new:
                history.values.setdefault(value.key, set()).add(value)

    def forget(self, run_id: str) -> None:
        """Drop what is remembered of a run that is complete."""
        with self._lock:
            self._runs.pop(run_id, None)

    def _history(self, run_id: str) -> _History:
        with self._lock:
            history = self._runs.setdefault(run_id, _History())
            self._runs.move_to_end(run_id)
            while len(self._runs) > RUNS_REMEMBERED:
                self._runs.popitem(last=False)
            return history


def _new(values: Sequence[MetricValue], history: _History) -> list[MetricValue]:
    return [value for value in dict.fromkeys(values) if value not in history.values.get(value.key, ())]


def _read(client: "WorkspaceClient", run_id: str, history: _History, values: Sequence[MetricValue]) -> None:
    """Read the histories that may have some of these values."""
    run = client.experiments.get_run(run_id).run
    latest = {metric.key: _value(metric) for metric in (run.data.metrics if run and run.data else None) or ()}
    for key in {value.key for value in values if value.key in latest and not _is_after(value, latest[value.key])}:
        logged = client.experiments.get_history(key, run_id=run_id, max_results=VALUES_PER_PAGE)
        history.values[key] = {_value(metric) for metric in logged}


def _is_after(value: MetricValue, latest: MetricValue) -> bool:
    """By both of the orders in which a value can be the latest."""
    return value.step > latest.step and value.timestamp > latest.timestamp


def _value(metric: "Metric") -> MetricValue:
    """A logged metric. JSON leaves zeros out, and has NaN and infinities as strings."""
    return MetricValue(metric.key or "", float(metric.value or 0), metric.timestamp or 0, metric.step or 0)
