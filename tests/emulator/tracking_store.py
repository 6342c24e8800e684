"""The experiments and runs of MLflow tracking."""

from dataclasses import dataclass, field
from typing import Any

from tests.emulator.clock import Agenda
from tests.emulator.disk import Disk
from tests.emulator.errors import ApiError, exists, invalid, missing
from tests.emulator.identifiers import Identifiers

STATUSES = frozenset({"RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"})


@dataclass(frozen=True, slots=True)
class Metric:
    key: str
    value: float
    timestamp: int
    step: int


@dataclass(slots=True)
class Experiment:
    id: str
    name: str
    created: int
    updated: int
    tags: dict[str, str] = field(default_factory=dict)
    artifact_location: str = ""


@dataclass(slots=True)
class Run:
    id: str
    experiment: str
    name: str
    user: str
    started: int
    status: str = "RUNNING"
    ended: int | None = None
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, list[Metric]] = field(default_factory=dict)

    @property
    def artifact_uri(self) -> str:
        return f"dbfs:/databricks/mlflow-tracking/{self.experiment}/{self.id}/artifacts"

    def latest(self) -> dict[str, Metric]:
        """Of each metric the one with the greatest step, then time, then value: MLflow's own order."""
        return {
            key: max(points, key=lambda at: (at.step, at.timestamp, at.value)) for key, points in self.metrics.items()
        }


class TrackingStore:
    def __init__(self, agenda: Agenda, ids: Identifiers, disk: Disk) -> None:
        self._agenda = agenda
        self._ids = ids
        self._disk = disk
        self.experiments: dict[str, Experiment] = {}
        self.runs: dict[str, Run] = {}

    def experiment(self, identifier: str) -> Experiment:
        if identifier not in self.experiments:
            raise missing(
                f"No experiment was found. If using the Python fluent API, experiment {identifier} is unknown."
            )
        return self.experiments[identifier]

    def named(self, name: str) -> Experiment | None:
        wanted = plain(name)
        return next((one for one in self.experiments.values() if one.name == wanted), None)

    def create_experiment(self, name: str, tags: dict[str, str] | None = None) -> Experiment:
        if not name.startswith("/"):
            message = f"Got an invalid experiment name '{name}'. An experiment name must be an absolute path within "
            raise invalid(message + "the Databricks workspace, e.g. '/Users/<some-username>/my-experiment'.")
        if self.named(name) is not None:
            raise exists(f"Node named '{plain(name).rpartition('/')[2]}' already exists")
        now = self._agenda.millis()
        made = Experiment(str(self._ids.number()), plain(name), now, now, dict(tags or {}))
        made.artifact_location = f"dbfs:/databricks/mlflow-tracking/{made.id}"
        self.experiments[made.id] = made
        return made

    def obtain_experiment(self, name: str) -> Experiment:
        """The experiment of this name, made if need be: what the training services do."""
        return self.named(name) or self.create_experiment(name)

    def run(self, identifier: str) -> Run:
        if identifier not in self.runs:
            raise missing(f"Run '{identifier}' not found.")
        return self.runs[identifier]

    def create_run(
        self, experiment: str, user: str, name: str = "", started: int | None = None, tags: dict[str, str] | None = None
    ) -> Run:
        self.experiment(experiment)
        given = dict(tags or {})
        identifier = self._ids.hexadecimal()
        called = name or given.get("mlflow.runName") or f"run-{identifier[:8]}"
        made = Run(identifier, experiment, called, user, self._agenda.millis() if started is None else started)
        made.tags = given | {"mlflow.runName": called}
        self.runs[identifier] = made
        self._disk.artifacts(experiment, identifier).mkdir(parents=True, exist_ok=True)
        return made

    def end_run(self, run: Run, status: str) -> None:
        run.status, run.ended = status, self._agenda.millis()

    def log_metric(self, run: Run, metric: Metric) -> None:
        """Add a point; the same point twice is one, as MLflow has it."""
        points = run.metrics.setdefault(metric.key, [])
        if metric not in points[-1:]:
            points.append(metric)

    def log_values(self, run: Run, values: dict[str, float], step: int) -> None:
        """Add a point now to each of these metrics."""
        for key, value in values.items():
            self.log_metric(run, Metric(key, value, self._agenda.millis(), step))

    def log_param(self, run: Run, key: str, value: str) -> None:
        if run.params.get(key, value) != value:
            message = f"Changing param values is not allowed. Param with key='{key}' was already logged with value="
            raise invalid(
                message + f"'{run.params[key]}' for run ID='{run.id}'. Attempted logging new value '{value}'."
            )
        run.params[key] = value

    def set_tag(self, run: Run, key: str, value: str) -> None:
        run.tags[key] = value
        if key == "mlflow.runName":
            run.name = value

    def update_run(self, run: Run, given: dict[str, Any]) -> None:
        status = given.get("status")
        if status is not None:
            if status not in STATUSES:
                raise invalid(f"Invalid value '{status}' for status")
            run.status = status
        if given.get("end_time") is not None:
            run.ended = int(given["end_time"])
        if given.get("run_name"):
            self.set_tag(run, "mlflow.runName", given["run_name"])

    def write_artifact(self, run: Run, path: str, content: bytes) -> None:
        place = self._disk.artifacts(run.experiment, run.id) / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)

    def artifacts(self, run: Run, path: str) -> list[dict[str, Any]]:
        root = self._disk.artifacts(run.experiment, run.id)
        below = root / path
        if ".." in below.parts:
            raise ApiError(400, "INVALID_PARAMETER_VALUE", f"Invalid path: {path}")
        if not below.is_dir():
            return []
        return [
            {"path": str(inner.relative_to(root)), "is_dir": inner.is_dir()}
            | ({} if inner.is_dir() else {"file_size": inner.stat().st_size})
            for inner in sorted(below.iterdir())
        ]


def plain(name: str) -> str:
    """An experiment's name without what stands before every path of a workspace."""
    return name.removeprefix("/Workspace") if name.startswith("/Workspace/") else name
