"""Runs, metrics and models in a Databricks workspace: MLflow tracking, and Unity Catalog."""

# ruff: noqa: PLC0415  (the SDK takes seconds to import: on first use, in a thread)

import json
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final, TypeVar

from server.databricks.errors import ApiError
from server.databricks.workspace import Workspace
from server.domain.errors import Unavailable
from server.domain.metrics import MetricPoint
from server.domain.status import JobStatus
from server.registry import description, models, unity_catalog
from server.registry.client import Client
from server.registry.histories import Histories
from server.registry.mlflow import prepare_environment
from server.registry.models import Version
from server.registry.registry import RunFacts
from server.threads import Threads

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

    from server.databricks.client import WorkspaceClient

Result = TypeVar("Result")

EXPERIMENT: Final = "local"  # beside the experiments of the trainers in the workspace, which are named after jobs
MODELS_AT_ONCE: Final = 4
REQUEST_BYTES: Final = 900_000  # a request may have a megabyte: https://docs.databricks.com/api/workspace/experiments

LOGGING_POINTS_SECONDS: Final = 60.0
MILLISECONDS_PER_SECOND: Final = 1_000


class DatabricksRegistry:
    """The registry in `workspace`, whose runs are in one experiment in `folder`; `alias` is given to new versions.

    The workspace has to be the one that Databricks' SDK finds in its environment, for that is where MLflow's own client
    goes. All but the models is kept through the SDK, which is quicker and can be told not to repeat a request.

    `model_seconds` bounds the copying of a model, and `ready_seconds` the wait until a version can be loaded. A version
    that has waited for its files for longer than `model_seconds` is made anew.
    """

    def __init__(
        self,
        workspace: Workspace,
        folder: str,
        alias: str,
        *,
        model_seconds: float = models.LOGGING_A_MODEL_SECONDS,
        ready_seconds: float = 60.0,
    ) -> None:
        self._workspace = workspace
        self._folder = folder.rstrip("/")
        self._alias = alias
        self._model_seconds = model_seconds
        self._models = Client(_open, Threads(MODELS_AT_ONCE), model_seconds)
        self._ready_seconds = ready_seconds
        self._finding_or_making = Lock()
        self._registering = Lock()
        self._histories = Histories()

    async def start_run(self, run: RunFacts) -> str:
        """Find the job's run by its tag, or make it; then describe it."""
        run_id = await self._ask(lambda client: self._run_id(client, run), once=True)
        for params in _portions(description.parameters(run)):
            await self._ask(partial(_describe, run_id=run_id, params=params))
        return run_id

    async def log_points(self, run_id: str, points: Sequence[MetricPoint]) -> None:
        """Log in batches what the run does not have yet."""
        values = list(description.metrics(points))
        for start in range(0, len(values), description.METRICS_PER_BATCH):
            await self._log(run_id, values[start : start + description.METRICS_PER_BATCH])

    async def log_model(self, run_id: str, artifact: Path) -> None:
        """Copy the folder to the run's artifacts, unless it is there with the same digest."""
        await self._models.call(models.log, run_id, artifact, hidden=await self._ask(lambda client: client.secrets))

    async def register(self, run_id: str, name: str, job_id: str) -> str:
        """Find the version made from this run, or make it; wait until it is ready, and give it the alias."""
        hidden = await self._ask(lambda client: client.secrets)
        version = await self._models.call(self._find_or_make, run_id, name, job_id, hidden=hidden)
        await models.until_ready(
            name, version, lambda number: self._version(name, number), timeout_seconds=self._ready_seconds
        )
        number = int(version.number)
        await self._ask(lambda client: client.registered_models.set_alias(name, self._alias, number))
        return version.number

    async def finish(self, run_id: str, status: JobStatus) -> None:
        """End the run, once; `status` is a terminal one."""
        mlflow_status = description.RUN_STATUS[status]
        await self._ask(lambda client: _finish(client, run_id, mlflow_status))
        self._histories.forget(run_id)

    async def _ask(
        self, function: "Callable[[WorkspaceClient], Result]", *, once: bool = False, timeout_seconds: float = 30.0
    ) -> Result:
        try:
            if once:
                return await self._workspace.call_once(function, within=timeout_seconds)
            return await self._workspace.call(function, within=timeout_seconds)
        except ApiError as error:
            raise Unavailable(f"Databricks: {error}") from error

    async def _log(self, run_id: str, values: Sequence[description.MetricValue]) -> None:
        await self._ask(
            lambda client: self._histories.log(client, run_id, values),
            once=True,
            timeout_seconds=LOGGING_POINTS_SECONDS,
        )

    async def _version(self, name: str, number: str) -> Version:
        info = await self._ask(lambda client: client.model_versions.get(name, int(number)))
        return Version(number, info.status.value if info.status else "in a state that is not known")

    def _run_id(self, client: "WorkspaceClient", facts: RunFacts) -> str:
        from databricks.sdk.service.ml import RunTag

        with self._finding_or_making:
            experiment = _experiment(client, self._folder)
            runs = client.experiments.search_runs(
                experiment_ids=[experiment], filter=description.run_filter(facts.job_id), max_results=1
            )
            run = (
                next(runs, None)
                or client.experiments.create_run(
                    experiment_id=experiment,
                    start_time=description.milliseconds(facts.started_at),
                    tags=[RunTag(key, value) for key, value in description.tags(facts).items()],
                    run_name=facts.model_name,
                ).run
            )
        if run is None or run.info is None or not run.info.run_id:
            raise Unavailable("Databricks answered without a run")
        return run.info.run_id

    def _find_or_make(self, client: "MlflowClient", run_id: str, name: str, job_id: str) -> Version:
        with self._registering:
            return unity_catalog.find_or_make(client, run_id, name, job_id, self._model_seconds)


def _open() -> "MlflowClient":
    prepare_environment()
    return unity_catalog.open_client()


def _experiment(client: "WorkspaceClient", folder: str) -> str:
    """The id of the experiment that local runs are in, which is made when there is none."""
    name = f"{folder}/{EXPERIMENT}"
    experiment_id = _experiment_named(client, name)
    if experiment_id is None:
        client.workspace.mkdirs(folder)
        try:
            experiment_id = client.experiments.create_experiment(name).experiment_id
        except Exception:
            experiment_id = _experiment_named(client, name)  # another replica was quicker
            if experiment_id is None:
                raise
    if not experiment_id:
        raise Unavailable(f"Databricks answered without the experiment {name}")
    return experiment_id


def _experiment_named(client: "WorkspaceClient", name: str) -> str | None:
    try:
        experiment = client.experiments.get_by_name(name).experiment
    except ApiError as error:
        if error.is_not_found:
            return None
        raise
    if experiment is not None and experiment.lifecycle_stage == "deleted":
        raise Unavailable(
            f"Databricks: the experiment {name} was deleted;"
            f" `databricks experiments restore-experiment {experiment.experiment_id}` brings it back"
        )
    return experiment.experiment_id if experiment else None


def _portions(params: dict[str, str]) -> Iterator[dict[str, str]]:
    """As many parameters together as one request may have."""
    portion: dict[str, str] = {}
    size = 0
    for key, value in params.items():
        more = len(json.dumps([key, value]))  # in ASCII, as the SDK sends it
        if portion and (len(portion) == description.PARAMETERS_PER_BATCH or size + more > REQUEST_BYTES):
            yield portion
            portion, size = {}, 0
        portion[key] = value
        size += more
    yield portion


def _describe(client: "WorkspaceClient", *, run_id: str, params: dict[str, str]) -> None:
    from databricks.sdk.service.ml import Param

    client.experiments.log_batch(run_id=run_id, params=[Param(key, value) for key, value in params.items()])


def _finish(client: "WorkspaceClient", run_id: str, status: str) -> None:
    from databricks.sdk.service.ml import UpdateRunStatus

    run = client.experiments.get_run(run_id).run
    if run is None or run.info is None or run.info.status is None or run.info.status.value != status:
        now = int(time.time() * MILLISECONDS_PER_SECOND)
        client.experiments.update_run(run_id=run_id, status=UpdateRunStatus(status), end_time=now)
