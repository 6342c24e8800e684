"""The AI Runtime trainer: the port's calls, as requests to one workspace."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from server.databricks.errors import ApiError
from server.databricks.workspace import Workspace
from server.domain.errors import InvalidInput, Refused, TrainerUnavailable, Unavailable
from server.domain.status import TrainerKind
from server.trainers.databricks import model_versions
from server.trainers.databricks.ai_runtime import calls, configuration, logs
from server.trainers.databricks.ai_runtime.observer import Observer
from server.trainers.databricks.ai_runtime.run_spec import RunSpec, files, put, spec_for, submit
from server.trainers.databricks.ai_runtime.search import Absences, search
from server.trainers.databricks.upload import Uploaded, upload
from server.trainers.trainer import (
    BaseModel,
    Capabilities,
    Observation,
    RunHandle,
    TrainerJobId,
    TrainingRequest,
)

if TYPE_CHECKING:
    from server.databricks.client import WorkspaceClient

SUBMIT_SECONDS: Final = 25.0
PUT_PROGRAM_SECONDS: Final = 120.0  # for all of the program's files
SETTLE_SECONDS: Final = 30.0  # as long as a request that was given up may still be under way
BAD_REQUEST: Final = 400
# of HTTP 400 as well: there may be room later
OF_THE_MOMENT: Final = frozenset(
    {
        "ABORTED",
        "QUOTA_EXCEEDED",
        "REQUEST_LIMIT_EXCEEDED",
        "RESOURCE_CONFLICT",
        "RESOURCE_EXHAUSTED",
        "RESOURCE_LIMIT_EXCEEDED",
        "TEMPORARILY_UNAVAILABLE",
        "WORKSPACE_RUN_LIMIT_EXCEEDED",
    }
)


class AiRuntimeTrainer:
    """Trains on serverless GPUs of a Databricks workspace.

    `volume` (/Volumes/catalog/schema/volume/…) takes the training files, `folder` of the workspace the programs and the
    MLflow experiments. `models` are the base models that are offered. `alias` is set on a registered version. `secrets`
    are variables of the training's environment, HF_TOKEN=scope/key, whose values Databricks keeps. A run that can't be
    found is looked for again `settle` seconds later before it is taken for one that was never started.
    """

    kind = TrainerKind.AI_RUNTIME
    # a look costs a request or two for each run that is training: no oftener than it logs
    capabilities = Capabilities(observe_interval=30.0, observe_batch=48, idempotent_submit=True, quick_interval=10.0)

    def __init__(  # noqa: PLR0913  (settings)
        self,
        workspace: Workspace,
        *,
        volume: str,
        folder: str,
        models: Sequence[str],
        alias: str,
        secrets: Sequence[str] = (),
        settle: float = SETTLE_SECONDS,
    ) -> None:
        self._workspace = workspace
        self._volume = volume
        self._folder = folder
        self._models = tuple(models)
        self._alias = alias
        self._secrets = configuration.secrets(secrets)
        self._observer = Observer(workspace)
        self._absences = Absences(settle)
        self._submitting: list[str] = []  # one entry for each thread that is at it

    def validate(self, base_model: str, config: Mapping[str, Any]) -> None:
        """See the port."""
        configuration.check(base_model, config, self._models)

    def total_epochs(self, base_model: str, config: Mapping[str, Any]) -> int:  # noqa: ARG002  (the same for all)
        """How many epochs a run has."""
        return configuration.total_epochs(config)

    async def base_models(self) -> Sequence[BaseModel]:
        """What is offered, in the order in which it was set."""
        return configuration.base_models(self._models)

    async def submit(self, request: TrainingRequest) -> TrainerJobId:
        """Put data and program where the run finds them, and start it; a run that was started already is found.

        A refusal for good is `InvalidInput` in the service's words, or `TrainerUnavailable`.
        """
        try:
            run = await self._start(request)
        except Refused:
            if (earlier := await self._earlier(request.job_id)) is None:
                raise
            run = earlier
        self._absences.forget(request.job_id)
        return run

    async def find(self, job_id: str) -> TrainerJobId | None:
        """The id of a job's run; None when there is none. Raises `Unavailable` while that is not certain."""
        if job_id in self._submitting:
            raise Unavailable("the submission of the job to AI Runtime is still under way")
        run_id = await search(self._workspace, job_id)
        if run_id is None:
            self._absences.confirm(job_id)
        else:
            self._absences.forget(job_id)
        return run_id

    async def observe(self, runs: Sequence[RunHandle]) -> Mapping[str, Observation]:
        """The runs' observations by job; those that the workspace does not show now are left out.

        Raises `Unavailable` when it shows none of them.
        """
        return await self._observer.observe(runs) if runs else {}

    async def cancel(self, trainer_job_id: TrainerJobId) -> None:
        """Ask a run to stop; it ends some time later. Raises `Unavailable` when the request was not taken."""
        try:
            await self._workspace.call(
                lambda client: client.jobs.cancel_run(int(trainer_job_id)), within=calls.REQUEST_SECONDS
            )
        except ApiError as error:
            raise Unavailable(f"AI Runtime did not cancel the run {trainer_job_id}: {error}") from error

    async def logs(self, trainer_job_id: TrainerJobId) -> str:
        """The last 65,536 characters that the run printed: from AI Runtime's log, or else from its artifacts in MLflow.

        Raises `Unavailable` when neither can be read.
        """
        try:
            text = await logs.streamed(self._workspace, trainer_job_id)
        except Unavailable:
            if text := await self._kept(trainer_job_id):
                return text
            raise
        return text or await self._kept(trainer_job_id)

    async def registered(self, trainer_job_id: TrainerJobId, model: str) -> str:
        """The version that the run's own program has registered. See `Registering`."""
        tracked = await self._observer.tracked(trainer_job_id)
        if tracked is None:
            raise Unavailable(f"AI Runtime does not say where the run {trainer_job_id} logs to")
        return await model_versions.registered(self._workspace, model, tracked, self._alias)

    async def _start(self, request: TrainingRequest) -> TrainerJobId:
        self.validate(request.base_model, request.config)
        spec = spec_for(request, self._folder, self._secrets)
        data = await upload(self._workspace, self._volume, request)
        await self._put(spec, data)
        try:
            return await self._workspace.call(lambda client: self._submit(client, spec), within=SUBMIT_SECONDS)
        except ApiError as error:
            raise _refusal(error) from error

    async def _put(self, spec: RunSpec, data: Uploaded) -> None:
        """Write the program's files; those that are there already say the same."""
        content = await self._workspace.in_thread(files, spec, data)
        try:
            await self._workspace.call(
                lambda client: put(client, spec.program_folder, content), within=PUT_PROGRAM_SECONDS
            )
        except ApiError as error:
            raise Unavailable(f"the training's program can't be put into {spec.program_folder}: {error}") from error

    async def _earlier(self, job_id: str) -> TrainerJobId | None:
        """The run that an earlier call started, although a later one was refused; None when there is none.

        Raises `Unavailable` when that can't be told.
        """
        try:
            return await search(self._workspace, job_id)
        except Unavailable as inconclusive:
            if isinstance(inconclusive.__cause__, ApiError):  # a workspace that shows no runs never took one
                return None
            raise

    async def _kept(self, run_id: TrainerJobId) -> str:
        tracked = await self._observer.tracked(run_id)
        return "" if tracked is None else await logs.kept(self._workspace, tracked)

    def _submit(self, client: "WorkspaceClient", spec: RunSpec) -> TrainerJobId:
        """In a thread, which may go on when nobody waits any longer."""
        self._submitting.append(spec.request.job_id)
        try:
            return submit(client, spec)
        finally:
            self._submitting.remove(spec.request.job_id)


def _refusal(error: ApiError) -> Exception:
    """The exception for a run that the Jobs API refused.

    `TrainerUnavailable` when AI Runtime is switched off, `InvalidInput` when the request is wrong, `Unavailable` when
    it may be taken later.
    """
    if error.code == "FEATURE_DISABLED":
        return TrainerUnavailable(
            f"AI Runtime is not enabled in this Databricks workspace: {error.message} An administrator of the workspace"
            " can enable serverless GPU compute in its settings; until then, use another trainer"
        )
    if error.status == BAD_REQUEST and error.code and error.code not in OF_THE_MOMENT:
        return InvalidInput(f"AI Runtime refused the run: {error.message}", ("input", "trainingConfig"))
    return Unavailable(f"AI Runtime did not take the run: {error}")
