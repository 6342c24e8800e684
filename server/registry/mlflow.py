"""Runs, metrics and models in MLflow: SQLite under the data folder, a database of one's own, or a tracking server."""

# ruff: noqa: PLC0415  (MLflow takes seconds to import: on first use, in a thread)

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple

from server.domain.errors import Unavailable
from server.domain.status import JobStatus
from server.registry import description, local_store
from server.registry.registry import LoggedPoint, RunFacts
from server.threads import Threads, heavy_import

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")

EXPERIMENT = "tunegraph"
MODEL = "model"

# seconds
OPENING = 45.0  # importing MLflow and creating its tables: three on an idle machine
LOGGING_A_MODEL = 120.0
BETWEEN_LOOKS = 0.5

DATABASES = frozenset({"sqlite", "postgresql", "mysql", "mssql"})

# What MLflow can be told only through the environment, which it reads when it is imported. Without it: telemetry that
# calls out, log handlers of its own on our loggers, addresses on stdout, and requests that are repeated for minutes.
ENVIRONMENT = MappingProxyType(
    {
        "DO_NOT_TRACK": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_CONFIGURE_LOGGING": "false",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    }
)


def prepare_environment() -> None:
    """Set what MLflow reads from the environment, for this process and its children; what is set already stays.

    The program calls it first thing, while there is one thread. `MlflowRegistry` calls it again before it imports
    MLflow, so that nothing calls out where the program is another one.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)


class MlflowRegistry:
    """The registry at an MLflow tracking address, which also keeps the registered models.

    `artifact_root` is where the files of runs go when the address is a database; a tracking server has its own place.
    In seconds, `answer_within` bounds one request, and `ready_within` the wait until a new version can be loaded.
    """

    def __init__(
        self,
        tracking_uri: str,
        artifact_root: Path,
        threads: Threads,
        *,
        answer_within: float = 15.0,
        ready_within: float = 60.0,
    ) -> None:
        self._tracking_uri = tracking_uri
        self._artifact_root = artifact_root
        self._threads = threads
        self._answer_within = answer_within
        self._ready_within = ready_within
        self._opening = Lock()
        self._finding_or_making = Lock()
        self._opened: MlflowClient | None = None

    async def start_run(self, run: RunFacts) -> str:
        """Find the job's run by its tag, or make it; then describe it."""
        return await self._call(self._start_run, run)

    async def log_points(self, run_id: str, points: Sequence[LoggedPoint]) -> None:
        """Log in batches; the store drops what it has already."""
        values = list(description.metrics(points))
        for start in range(0, len(values), description.METRICS_PER_BATCH):
            await self._call(self._log_metrics, run_id, values[start : start + description.METRICS_PER_BATCH])

    async def log_model(self, run_id: str, artifact: Path) -> None:
        """Copy the folder to the run's artifacts, unless it is there with the same digest."""
        await self._call(self._log_model, run_id, artifact, within=LOGGING_A_MODEL)

    async def register(self, run_id: str, name: str, job_id: str) -> str:
        """Find the version made from this run, or make it; then wait until it is ready."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._ready_within
        version = await self._call(self._register, run_id, name, job_id)
        while version.status == "PENDING_REGISTRATION":
            if loop.time() > deadline:
                raise Unavailable(f"MLflow: version {version.version} of {name} is still being registered")
            await asyncio.sleep(BETWEEN_LOOKS)
            version = await self._call(self._version, name, str(version.version))
        if version.status != "READY":
            raise Unavailable(f"MLflow: version {version.version} of {name} is {version.status}")
        return str(version.version)

    async def finish(self, run_id: str, status: JobStatus) -> None:
        """End the run, once; `status` is a terminal one."""
        await self._call(self._finish, run_id, description.RUN_STATUS[status])

    async def _call(
        self, action: Callable[[*Arguments], Result], *arguments: *Arguments, within: float | None = None
    ) -> Result:
        try:
            if self._opened is None:
                await self._threads.run(self._client, within=OPENING, name="MLflow")
            return await self._threads.run(action, *arguments, within=within or self._answer_within, name="MLflow")
        except Unavailable:
            raise
        except Exception as error:  # MLflow lets errors of requests, SQLAlchemy and the file system through
            raise Unavailable(f"MLflow: {description.reason(error)}") from error

    def _client(self) -> "MlflowClient":
        with self._opening:
            if self._opened is None:
                with heavy_import():
                    self._opened = self._open()
            return self._opened

    def _open(self) -> "MlflowClient":
        prepare_environment()
        from mlflow.tracking import MlflowClient

        local_store.create_missing(self._tracking_uri, self._artifact_root)
        return MlflowClient(tracking_uri=self._tracking_uri, registry_uri=self._tracking_uri)

    def _start_run(self, facts: RunFacts) -> str:
        from mlflow.entities import Param

        client = self._client()
        with self._finding_or_making:
            experiment = self._experiment()
            run = self._run_of(experiment, facts.job_id) or client.create_run(
                experiment,
                start_time=description.milliseconds(facts.started_at),
                tags=description.tags(facts),
                run_name=facts.model_name,
            )
        run_id: str = run.info.run_id
        # also for a run that was found: the program may have ended between the two
        params = [Param(key, value) for key, value in description.parameters(facts).items()]
        for start in range(0, len(params), description.PARAMETERS_PER_BATCH):
            client.log_batch(run_id, params=params[start : start + description.PARAMETERS_PER_BATCH])
        return run_id

    def _experiment(self) -> str:
        from mlflow.exceptions import MlflowException

        client = self._client()
        found = client.get_experiment_by_name(EXPERIMENT)
        if found is None:
            is_database = self._tracking_uri.split(":")[0].split("+")[0] in DATABASES
            location = self._artifact_root.as_uri() if is_database else None
            try:
                return client.create_experiment(EXPERIMENT, artifact_location=location)
            except MlflowException:
                found = client.get_experiment_by_name(EXPERIMENT)  # another replica was quicker
                if found is None:
                    raise
        if found.lifecycle_stage != "active":
            raise Unavailable(
                f"MLflow: the experiment {EXPERIMENT} was deleted;"
                f" `mlflow experiments restore --experiment-id {found.experiment_id}` brings it back"
            )
        return str(found.experiment_id)

    def _run_of(self, experiment: str, job_id: str) -> "Run | None":
        runs = self._client().search_runs(
            [experiment], filter_string=f"tags.`{description.JOB_TAG}` = '{job_id}'", max_results=1
        )
        return runs[0] if runs else None

    def _log_metrics(self, run_id: str, values: Sequence[description.MetricValue]) -> None:
        from mlflow.entities import Metric

        self._client().log_batch(run_id, metrics=[Metric(*value) for value in values])

    def _log_model(self, run_id: str, artifact: Path) -> None:
        if not (artifact / "MLmodel").is_file():
            raise Unavailable(f"there is no model in MLflow's format at {artifact.name}")
        client = self._client()
        digest = description.folder_digest(artifact)
        if client.get_run(run_id).data.tags.get(description.MODEL_DIGEST_TAG) == digest:
            return  # written over, it could be read half-way
        client.log_artifacts(run_id, str(artifact), artifact_path=MODEL)
        client.set_tag(run_id, description.MODEL_DIGEST_TAG, digest)

    def _register(self, run_id: str, name: str, job_id: str) -> "ModelVersion":
        with self._finding_or_making:
            return self._version_of(run_id, name) or self._make_version(run_id, name, job_id)

    def _version_of(self, run_id: str, name: str) -> "ModelVersion | None":
        made = [
            version
            for version in self._client().search_model_versions(f"run_id = '{run_id}'")
            if version.name == name and version.status != "FAILED_REGISTRATION"
        ]
        return min(made, key=lambda version: int(version.version), default=None)

    def _make_version(self, run_id: str, name: str, job_id: str) -> "ModelVersion":
        client = self._client()
        run = client.get_run(run_id)
        if description.MODEL_DIGEST_TAG not in run.data.tags:
            raise Unavailable(f"MLflow: the run {run_id} has no model to register")
        self._registered_model(name)
        tags = {key: value for key, value in run.data.tags.items() if key.startswith(description.OUR_TAGS)}
        return client.create_model_version(
            name,
            source=f"{run.info.artifact_uri}/{MODEL}",
            run_id=run_id,
            tags=tags | {description.JOB_TAG: job_id},
            await_creation_for=0,
        )

    def _registered_model(self, name: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client().create_registered_model(name)
        except MlflowException as error:
            if error.error_code not in {"RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"}:
                raise

    def _version(self, name: str, version: str) -> "ModelVersion":
        return self._client().get_model_version(name, version)

    def _finish(self, run_id: str, status: str) -> None:
        client = self._client()
        if client.get_run(run_id).info.status != status:
            client.set_terminated(run_id, status)
