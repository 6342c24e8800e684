"""FMAPI: the port's calls, as requests to one Databricks workspace."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from server.databricks.errors import ApiError
from server.databricks.workspace import Workspace
from server.domain.errors import Unavailable
from server.domain.status import TrainerKind
from server.trainers.databricks import model_versions
from server.trainers.databricks.fmapi import configuration, operations, runs
from server.trainers.databricks.fmapi.calls import ask
from server.trainers.databricks.fmapi.catalogue import Catalogue
from server.trainers.databricks.fmapi.observing import Observer
from server.trainers.databricks.fmapi.retirement import Retirement
from server.trainers.databricks.fmapi.submission import SETTLE_SECONDS, Submissions
from server.trainers.databricks.upload import upload
from server.trainers.trainer import (
    BaseModel,
    Capabilities,
    Observation,
    RunHandle,
    TrainerJobId,
    TrainingRequest,
)

OBSERVED_AT_ONCE: Final = 1_000
HISTORIES_PER_SECOND: Final = 3.0
VOLUME_PARTS: Final = 3


def _now() -> datetime:
    return datetime.now(UTC)


class FmapiTrainer:
    """Trains in a workspace. It registers each model itself, in Unity Catalog.

    `volume` (/Volumes/catalog/schema/volume/…) is where the training files go, `folder` (a path of the workspace) where
    the experiments are, one for each job; `alias` is set on a registered version unless it is empty. `now` is the clock
    by which progress is estimated. In seconds: `observe_interval`, and `quick_interval` for new runs; `settle`, for
    which an experiment without a run is waited for after a response was lost; `registering`, for which `registered`
    waits for a version to become ready. `histories_per_second`: requests for the metrics of runs that go on.
    """

    kind = TrainerKind.FMAPI

    def __init__(  # noqa: PLR0913  (a setting each)
        self,
        workspace: Workspace,
        *,
        volume: str,
        folder: str,
        alias: str = "",
        observe_interval: float = 30.0,
        quick_interval: float = 5.0,
        settle: float = SETTLE_SECONDS,
        registering: float = 10.0,
        histories_per_second: float = HISTORIES_PER_SECOND,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self.capabilities = Capabilities(
            observe_interval, OBSERVED_AT_ONCE, idempotent_submit=False, quick_interval=quick_interval
        )
        self._workspace = workspace
        self._volume = volume
        self._alias = alias
        self._registering = registering
        self._catalogue = Catalogue(workspace)
        self._observer = Observer(workspace, now, histories_per_second)
        self._submissions = Submissions(workspace, folder, Retirement(workspace, self._catalogue), settle)

    def validate(self, base_model: str, config: Mapping[str, Any]) -> None:
        """See the port. A base model is only known to be wrong once the service has been asked for its list."""
        configuration.check(base_model, config, self._catalogue.known)

    def total_epochs(self, base_model: str, config: Mapping[str, Any]) -> int | None:  # noqa: ARG002  (the same for all)
        """How many epochs a run has; None when its duration is counted in batches or tokens."""
        return configuration.total_epochs(config)

    async def base_models(self) -> Sequence[BaseModel]:
        """What the service offers, listed anew every ten minutes. Raises `Unavailable` when it never could be."""
        return await self._catalogue.models()

    async def submit(self, request: TrainingRequest) -> TrainerJobId:
        """Upload the files and create a run, unless the job's experiment has one already.

        Raises `Refused` when the service will never take it, and `Unavailable` after which it may have been created.
        """
        name = await self._submissions.find_now(request.job_id)
        if name is None:
            await self._check(request)
            files = await upload(self._workspace, self._volume, request)
            register_to = request.register_as or self._schema()

            def config(experiment: str) -> dict[str, Any]:
                return configuration.wire(request, files, experiment=experiment, register_to=register_to)

            name = await self._submissions.create(request.job_id, config)
        return TrainerJobId(name)

    async def find(self, job_id: str) -> TrainerJobId | None:
        """The run in the job's experiment. Raises `Unavailable` while it is not certain that there is none."""
        name = await self._submissions.find(job_id)
        return None if name is None else TrainerJobId(name)

    async def observe(self, runs: Sequence[RunHandle]) -> Mapping[str, Observation]:
        """Observations by job id: one list of all runs, and the metrics of those that have changed.

        Raises `Unavailable` when the runs can't be listed.
        """
        try:
            return await self._observer.observe(runs)
        except ApiError as error:
            raise Unavailable(f"FMAPI's runs can't be listed: {error}") from error

    async def cancel(self, trainer_job_id: TrainerJobId) -> None:
        """Ask the service to stop the run. Raises `Unavailable` when the request was not taken."""
        try:
            await ask(self._workspace, operations.stop(trainer_job_id))
        except ApiError as error:
            raise Unavailable(f"FMAPI does not stop the run: {error}") from error

    async def logs(self, trainer_job_id: TrainerJobId) -> str:
        """The run's events, a line each: there is no other log. Raises `Unavailable`."""
        try:
            events = runs.events(await ask(self._workspace, operations.events(trainer_job_id)))
        except ApiError as error:
            raise Unavailable(f"FMAPI's events of the run can't be read: {error}") from error
        return "".join(f"{event.at.isoformat()} {event.kind} {event.message}\n" for event in events)

    async def registered(self, trainer_job_id: TrainerJobId, model: str) -> str:
        """The version that the service has registered from the run, which it does when training ends.

        Raises `Unavailable` as long as there is none, and `Refused` when there will be none.
        """
        try:
            run = (await runs.named(self._workspace, [trainer_job_id])).get(trainer_job_id)
        except ApiError as error:
            raise Unavailable(f"FMAPI's run can't be read: {error}") from error
        if run is None or run.mlflow_run_id is None:
            raise Unavailable("FMAPI does not say which MLflow run the model is of")
        return await model_versions.registered(
            self._workspace, model, run.mlflow_run_id, self._alias, patience=self._registering
        )

    async def _check(self, request: TrainingRequest) -> None:
        with suppress(Unavailable):  # creating the run tells why
            await self._catalogue.models()
        self.validate(request.base_model, request.config)

    def _schema(self) -> str:
        """catalog.schema of the volume: the service registers every model, also those that nobody gave a name."""
        return ".".join(self._volume.strip("/").split("/")[1:VOLUME_PARTS])
