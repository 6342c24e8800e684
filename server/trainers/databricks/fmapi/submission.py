"""Submitting to FMAPI, which has no idempotency key: one experiment of MLflow for each job says who may create its run.

An experiment's name is taken by one only. Whoever made it creates the run; everybody else searches for that run. After
a response that was lost nothing is created before the experiment has had no run for `SETTLE_SECONDS`.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from server.databricks.errors import ApiError
from server.databricks.workspace import Workspace
from server.domain.errors import InvalidInput, Unavailable
from server.trainers.databricks.doubts import Doubts
from server.trainers.databricks.fmapi import operations, runs
from server.trainers.databricks.fmapi.calls import send
from server.trainers.databricks.fmapi.retirement import Retirement

if TYPE_CHECKING:
    from server.databricks.client import WorkspaceClient

SETTLE_SECONDS: Final = 30.0
OTHERS_RUN_SECONDS: Final = 8.0  # that a submission waits for the run that another one creates
POLL_SECONDS: Final = 0.25
SEND_SECONDS: Final = 10.0  # from the last search; a program that was stopped meanwhile creates nothing
BAD_REQUEST: Final = frozenset({400, 422})
MISSING: Final = frozenset({"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"})
EXISTS: Final = frozenset({"RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"})


class Submissions:
    """The runs of jobs, found or created. Experiments are below `folder`, a path of the workspace."""

    def __init__(
        self, workspace: Workspace, folder: str, retirement: Retirement, settle: float = SETTLE_SECONDS
    ) -> None:
        self._workspace = workspace
        self._folder = folder.rstrip("/")
        self._retirement = retirement
        self._settle = settle
        self._doubts = Doubts()  # since when a job's experiment may get a run from elsewhere

    def experiment(self, job_id: str) -> str:
        """The path of a job's experiment."""
        return f"{self._folder}/{job_id}"

    async def find(self, job_id: str) -> str | None:
        """The name of a job's run; None when there is none. Raises `Unavailable` while that is not certain."""
        try:
            experiment_id = await self._experiment_id(job_id)
            if experiment_id is None:
                return None  # it is made before a run is asked for
            name = await runs.of_experiment(self._workspace, experiment_id)
        except ApiError as error:
            raise Unavailable(f"whether FMAPI has a run of this job can't be told: {error}") from error
        if name is None and not self._is_settled(job_id):
            raise Unavailable(
                "whether FMAPI has taken the job can't be told yet: its experiment has no run, and may still get one"
            )
        if name is not None:
            self._doubts.end(job_id)
        return name

    async def find_now(self, job_id: str) -> str | None:
        """The name of a job's run, when there is one already."""
        try:
            return await self.find(job_id)
        except Unavailable:
            return None

    async def create(self, job_id: str, config: Callable[[str], dict[str, Any]]) -> str:
        """Create the job's run, unless there is one; its name. `config` is given the experiment's path.

        Raises `Refused` when the service will never take it, and `Unavailable` after which it may have been created.
        """
        existing = await self._claim(job_id)
        if existing is not None:
            return existing
        try:
            name = await self._send(operations.create(config(self.experiment(job_id))))
        except ApiError as error:
            self._doubts.end(job_id)
            raise await self._refusal(error) from error
        except BaseException:
            self._doubts.begin(job_id)  # it may be carried out from now on
            raise
        self._doubts.end(job_id)
        return name

    async def _send(self, operation: operations.Operation) -> str:
        deadline = time.monotonic() + SEND_SECONDS
        return runs.name_of(await self._workspace.call_once(partial(_send_before, deadline, operation)))

    async def _claim(self, job_id: str) -> str | None:
        """None when the run is this call's to create; else the name of the run that there is."""
        try:
            if await self._experiment_id(job_id) is None and await self._made_experiment(job_id):
                return None
        except ApiError as error:
            raise Unavailable(f"the experiment {self.experiment(job_id)} can't be made: {error}") from error
        deadline = time.monotonic() + OTHERS_RUN_SECONDS
        while True:
            try:
                name = await self.find(job_id)
            except Unavailable:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(POLL_SECONDS)
                continue
            if name is None:
                self._doubts.begin(job_id)  # from now on others wait for the run of this call
            return name

    def _is_settled(self, job_id: str) -> bool:
        return self._doubts.seconds(job_id) >= self._settle

    async def _experiment_id(self, job_id: str) -> str | None:
        path = self.experiment(job_id)

        def read(client: "WorkspaceClient") -> str | None:
            experiment = client.experiments.get_by_name(path).experiment
            if experiment is None or not experiment.experiment_id:
                raise Unavailable(f"MLflow's answer has no experiment {path}")
            return experiment.experiment_id

        try:
            return await self._workspace.call(read)
        except ApiError as error:
            if error.code in MISSING:
                return None
            raise

    async def _made_experiment(self, job_id: str) -> bool:
        """Make the job's experiment; False when there is one already. Raises `ApiError` and `Unavailable`."""

        def make(client: "WorkspaceClient") -> None:
            client.workspace.mkdirs(self._folder)
            client.experiments.create_experiment(self.experiment(job_id))

        try:
            await self._workspace.call(make)
        except ApiError as error:
            if error.code in EXISTS:
                return False
            raise
        return True

    async def _refusal(self, error: ApiError) -> Exception:
        """The exception for a run that was not created."""
        if error.status in BAD_REQUEST and error.code is not None:
            return InvalidInput(f"FMAPI refuses the job: {error.message}", ("input",))
        return await self._retirement.to_exception(error)


def _send_before(deadline: float, operation: operations.Operation, client: "WorkspaceClient") -> object:
    if time.monotonic() > deadline:
        raise Unavailable("the job was not submitted in time after FMAPI was asked for its run; it is asked again")
    return send(client, operation)
