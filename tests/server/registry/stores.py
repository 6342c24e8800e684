"""What registries have left behind, read past them."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from server.databricks.workspace import Workspace
from server.registry import local_store
from server.registry.databricks import DatabricksRegistry
from server.registry.mlflow import MlflowRegistry
from server.registry.registry import ModelRegistry
from server.threads import Threads
from tests.emulator import tracking
from tests.emulator.registry import PENDING, Version
from tests.emulator.served import Emulator
from tests.emulator.tracking_store import Run as EmulatedRun

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

NAME = "main.ft.invoice_desk"
FOLDER = "/Shared/tunegraph"
ALIAS = "champion"
ROOT = Path(__file__).parents[3]
SILENT = ("MLFLOW_", "PYTEST_", "DO_NOT_TRACK", "CI")

Point = tuple[int, int, float]


@dataclass(frozen=True, slots=True)
class KeptRun:
    id: str
    experiment: str
    name: str
    status: str
    started: int
    ended: int | None
    tags: dict[str, str]
    params: dict[str, str]


@dataclass(frozen=True, slots=True)
class KeptVersion:
    """`told` is all that is said of it in tags or in words."""

    number: str
    run_id: str
    status: str
    told: str


class Store(Protocol):
    """A store, and registries over it as one process after another has them."""

    experiment: str

    def open(self, **over: float) -> ModelRegistry: ...

    def runs(self) -> list[KeptRun]: ...

    def history(self, run_id: str, key: str) -> list[Point]:
        """(step, milliseconds, value), in order."""
        ...

    def versions(self) -> list[KeptVersion]:
        """Those of `NAME`, in order; none when there is no such model."""
        ...

    def model(self, run_id: str) -> Path:
        """The folder of the run's model."""
        ...

    def answer(self, version: str, question: str) -> str:
        """What another process prints that loads a version and asks it."""
        ...

    def leave_run(self, job_id: str) -> str:
        """A run with nothing but the job's id."""
        ...

    def set_version_status(self, status: str) -> None:
        """Of all versions; while they are pending, nothing makes them ready."""
        ...

    def delete_experiment(self) -> None: ...


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def run_program(text: str) -> "subprocess.CompletedProcess[str]":
    """In an environment where MLflow is left to itself: under pytest and on CI it is silent anyway."""
    return subprocess.run(
        [sys.executable, "-c", text],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={name: value for name, value in os.environ.items() if not name.startswith(SILENT)},
        cwd=ROOT,
    )


def _answer(opening: str, version: str, question: str) -> str:
    program = f"""
from server.registry.mlflow import prepare_environment
prepare_environment()
import mlflow
{opening}
print(*mlflow.pyfunc.load_model("models:/{NAME}/{version}").predict([{question!r}]))
"""
    loaded = run_program(program)
    assert loaded.returncode == 0, loaded.stderr
    return loaded.stdout


class LocalStore:
    """MLflow's database and artifacts below a data folder."""

    experiment = "tunegraph"

    def __init__(self, data_dir: Path) -> None:
        self.uri = local_store.default_tracking_uri(data_dir)
        self.artifacts = local_store.default_artifact_root(data_dir)
        self._database = data_dir / "mlflow" / "mlflow.db"

    @property
    def client(self) -> "MlflowClient":
        from mlflow.tracking import MlflowClient  # noqa: PLC0415  (seconds, and only once it has been silenced)

        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def open(self, **over: float) -> MlflowRegistry:
        return MlflowRegistry(self.uri, self.artifacts, Threads(4), **over)

    def runs(self) -> list[KeptRun]:
        return [
            self._run(experiment.name, run)
            for experiment in self.client.search_experiments()
            for run in self.client.search_runs([experiment.experiment_id])
        ]

    @staticmethod
    def _run(experiment: str, run: "Run") -> KeptRun:
        info, data = run.info, run.data
        times = (info.start_time, info.end_time)
        return KeptRun(info.run_id, experiment, info.run_name, info.status, *times, data.tags, data.params)

    def history(self, run_id: str, key: str) -> list[Point]:
        return sorted((one.step, one.timestamp, one.value) for one in self.client.get_metric_history(run_id, key))

    def versions(self) -> list[KeptVersion]:
        found = sorted(self.client.search_model_versions(f"name = '{NAME}'"), key=lambda one: int(one.version))
        return [KeptVersion(str(one.version), one.run_id or "", one.status, str(one.tags)) for one in found]

    def model(self, run_id: str) -> Path:
        return self.artifacts / run_id / "artifacts" / "model"

    def answer(self, version: str, question: str) -> str:
        return _answer(f"mlflow.set_tracking_uri({self.uri!r})", version, question)

    def leave_run(self, job_id: str) -> str:
        experiment = self.client.create_experiment(self.experiment, artifact_location=self.artifacts.as_uri())
        run_id: str = self.client.create_run(experiment, tags={"tunegraph.job_id": job_id}).info.run_id
        return run_id

    def set_version_status(self, status: str) -> None:
        with closing(sqlite3.connect(self._database)) as database, database:
            database.execute("UPDATE model_versions SET status = ?", (status,))

    def delete_experiment(self) -> None:
        self.client.delete_experiment(self.client.create_experiment(self.experiment))


class WorkspaceStore:
    """An emulated workspace, which is also the one of the environment."""

    experiment = f"{FOLDER}/local"

    def __init__(self, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
        self.emulator = emulator
        self._monkeypatch = monkeypatch
        self._pending = False
        settle = emulator.world.registry.settle

        def settle_or_wait(version: Version, status: str) -> None:
            settle(version, PENDING if self._pending else status)

        monkeypatch.setattr(emulator.world.registry, "settle", settle_or_wait)

    def open(self, **over: float) -> DatabricksRegistry:
        """One that sends every request once, and gives up on it soon."""
        workspace = Workspace(request_seconds=0.5, repeat_seconds=1, longest_pause_seconds=0.01)
        return DatabricksRegistry(workspace, FOLDER, ALIAS, **over)

    def runs(self) -> list[KeptRun]:
        return [self._run(run) for run in self.emulator.world.tracking.runs.values()]

    def _run(self, run: EmulatedRun) -> KeptRun:
        experiment = self.emulator.world.tracking.experiments[run.experiment].name
        return KeptRun(run.id, experiment, run.name, run.status, run.started, run.ended, run.tags, run.params)

    def history(self, run_id: str, key: str) -> list[Point]:
        points = self.emulator.world.tracking.run(run_id).metrics.get(key, [])
        return sorted((one.step, one.timestamp, one.value) for one in points)

    def versions(self) -> list[KeptVersion]:
        model = self.emulator.world.registry.models.get(NAME)
        found = [] if model is None else sorted(model.versions.values(), key=lambda one: one.number)
        return [KeptVersion(str(one.number), one.run_id, one.status, one.comment) for one in found]

    def model(self, run_id: str) -> Path:
        run = self.emulator.world.tracking.run(run_id)
        return self.emulator.world.disk.artifacts(run.experiment, run_id) / "model"

    def answer(self, version: str, question: str) -> str:
        opening = "mlflow.set_tracking_uri('databricks'); mlflow.set_registry_uri('databricks-uc')"
        return _answer(opening, version, question)

    def leave_run(self, job_id: str) -> str:
        store = self.emulator.world.tracking
        experiment = store.create_experiment(self.experiment).id
        return store.create_run(experiment, "me@example.com", tags={"tunegraph.job_id": job_id}).id

    def set_version_status(self, status: str) -> None:
        self._pending = status == PENDING
        for version in self.emulator.world.registry.models[NAME].versions.values():
            version.status = status

    def delete_experiment(self) -> None:
        """As Databricks tells of it; the emulator deletes none."""
        self.emulator.world.tracking.create_experiment(self.experiment)
        told = tracking._experiment
        self._monkeypatch.setattr(tracking, "_experiment", lambda one: told(one) | {"lifecycle_stage": "deleted"})

    def aliases(self) -> dict[str, int]:
        return self.emulator.world.registry.models[NAME].aliases

    def files(self, version: str) -> dict[str, bytes]:
        """What lies under a version."""
        return contents(self.emulator.world.disk.file(f"/Models/{NAME.replace('.', '/')}/{version}"))
