"""Runs, metrics and models in MLflow: SQLite under the data folder, a database of one's own, or a tracking server."""

# ruff: noqa: PLC0415  (MLflow takes seconds to import: on first use, in a thread)

import os
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING

from server.domain.errors import Unavailable
from server.domain.metrics import MetricPoint
from server.domain.status import JobStatus
from server.registry import description, local_store, models
from server.registry.client import Client
from server.registry.models import Version
from server.registry.registry import RunFacts
from server.threads import Threads

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

EXPERIMENT = "tunegraph"

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
        "MLFLOW_DATABRICKS_ENDPOINT_HTTP_RETRY_TIMEOUT": "1",  # less than Databricks' SDK waits before it repeats
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
    In seconds, `request_seconds` bounds one request, and `ready_seconds` the wait until a new version can be loaded.
    """

    def __init__(
        self,
        tracking_uri: str,
        artifact_root: Path,
        threads: Threads,
        *,
        request_seconds: float = 15.0,
        ready_seconds: float = 60.0,
    ) -> None:
        self._tracking_uri = tracking_uri
        self._artifact_root = artifact_root
        self._client = Client(self._open, threads, request_seconds)
        self._ready_seconds = ready_seconds
        self._finding_or_making = Lock()

    async def start_run(self, run: RunFacts) -> str:
        """Find the job's run by its tag, or make it; then describe it."""
        return await self._client.call(self._start_run, run)

    async def log_points(self, run_id: str, points: Sequence[MetricPoint]) -> None:
        """Log in batches; the store drops what it has already."""
        values = list(description.metrics(points))
        for start in range(0, len(values), description.METRICS_PER_BATCH):
            await self._client.call(_log_metrics, run_id, values[start : start + description.METRICS_PER_BATCH])

    async def log_model(self, run_id: str, artifact: Path) -> None:
        """Copy the folder to the run's artifacts, unless it is there with the same digest."""
        await self._client.call(models.log, run_id, artifact, timeout_seconds=models.LOGGING_A_MODEL_SECONDS)

    async def register(self, run_id: str, name: str, job_id: str) -> str:
        """Find the version made from this run, or make it; then wait until it is ready."""
        version = await self._client.call(self._register, run_id, name, job_id)
        await models.until_ready(
            name, version, lambda number: self._client.call(_version, name, number), timeout_seconds=self._ready_seconds
        )
        return version.number

    async def finish(self, run_id: str, status: JobStatus) -> None:
        """End the run, once; `status` is a terminal one."""
        await self._client.call(_finish, run_id, description.RUN_STATUS[status])

    def _open(self) -> "MlflowClient":
        prepare_environment()
        from mlflow.tracking import MlflowClient

        local_store.create_missing(self._tracking_uri, self._artifact_root)
        return MlflowClient(tracking_uri=self._tracking_uri, registry_uri=self._tracking_uri)

    def _start_run(self, client: "MlflowClient", facts: RunFacts) -> str:
        from mlflow.entities import Param

        with self._finding_or_making:
            experiment = self._experiment(client)
            run = _run_of(client, experiment, facts.job_id) or client.create_run(
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

    def _experiment(self, client: "MlflowClient") -> str:
        from mlflow.exceptions import MlflowException

        experiment = client.get_experiment_by_name(EXPERIMENT)
        if experiment is None:
            is_database = self._tracking_uri.split(":")[0].split("+")[0] in DATABASES
            location = self._artifact_root.as_uri() if is_database else None
            try:
                return client.create_experiment(EXPERIMENT, artifact_location=location)
            except MlflowException:
                experiment = client.get_experiment_by_name(EXPERIMENT)  # another replica was quicker
                if experiment is None:
                    raise
        if experiment.lifecycle_stage != "active":
            raise Unavailable(
                f"MLflow: the experiment {EXPERIMENT} was deleted;"
                f" `mlflow experiments restore --experiment-id {experiment.experiment_id}` brings it back"
            )
        return str(experiment.experiment_id)

    def _register(self, client: "MlflowClient", run_id: str, name: str, job_id: str) -> Version:
        with self._finding_or_making:
            version = _version_of(client, run_id, name)
            if version is not None:
                return version
            run = models.logged(client, run_id)
            tags = {key: value for key, value in run.data.tags.items() if key.startswith(description.OUR_TAGS)}
            return models.make_version(client, run, name, tags=tags | {description.JOB_TAG: job_id})


def _run_of(client: "MlflowClient", experiment: str, job_id: str) -> "Run | None":
    runs = client.search_runs([experiment], filter_string=description.run_filter(job_id), max_results=1)
    return runs[0] if runs else None


def _log_metrics(client: "MlflowClient", run_id: str, values: Sequence[description.MetricValue]) -> None:
    from mlflow.entities import Metric

    client.log_batch(run_id, metrics=[Metric(*value) for value in values])


def _version_of(client: "MlflowClient", run_id: str, name: str) -> Version | None:
    made = [
        Version(str(version.version), version.status)
        for version in client.search_model_versions(f"run_id = '{run_id}'")
        if version.name == name and version.status != models.FAILED
    ]
    return min(made, key=lambda version: int(version.number), default=None)


def _version(client: "MlflowClient", name: str, number: str) -> Version:
    return Version(number, client.get_model_version(name, number).status)


def _finish(client: "MlflowClient", run_id: str, status: str) -> None:
    if client.get_run(run_id).info.status != status:
        client.set_terminated(run_id, status)
