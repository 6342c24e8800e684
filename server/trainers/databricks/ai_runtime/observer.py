"""Observations of runs, with as few requests as what is new needs."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import structlog

from server.databricks.errors import ApiError
from server.databricks.workspace import Workspace
from server.domain.errors import Unavailable
from server.domain.status import RunState
from server.trainers.bundle.tracking import CUSTOM
from server.trainers.databricks.ai_runtime import artifacts, calls, metrics, observations, states
from server.trainers.databricks.ai_runtime.metrics import Reading, Snapshot
from server.trainers.databricks.ai_runtime.observations import ENDED
from server.trainers.databricks.ai_runtime.states import Json, Status
from server.trainers.trainer import Observation, RunHandle

MOST_SINGLE_REQUESTS: Final = 3  # more runs are looked up in the list of active runs first
PAGES_TO_SPARE: Final = 2
METRICS_SECONDS: Final = 10.0  # a run that is still training is observed again soon
CUSTOM_METRICS_SECONDS: Final = 5.0
MOST_KNOWN_RUNS: Final = 10_000

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Known:
    """What need not be asked for again: a run's MLflow run, and the last step that was read of it."""

    tracked: str | None = None
    read_to: int | None = None


class Observer:
    """Observes runs, and remembers the MLflow run that each one logs to."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._known: dict[str, Known] = {}

    async def observe(self, handles: Sequence[RunHandle]) -> dict[str, Observation]:
        """Observations by job id, of the runs that could be seen. Raises `Unavailable` when none could."""
        listed = await self._listed(handles) if len(handles) > MOST_SINGLE_REQUESTS else {}
        tasks = [self._one(handle, listed.get(handle.trainer_job_id)) for handle in handles]
        observed, lost = {}, list[Unavailable]()
        for handle, outcome in zip(handles, await asyncio.gather(*tasks, return_exceptions=True), strict=True):
            if isinstance(outcome, Observation):
                observed[handle.job_id] = outcome
                continue
            if not isinstance(outcome, Exception):
                raise outcome
            log.warning("a run could not be looked at", job=handle.job_id, error=f"{type(outcome).__name__}: {outcome}")
            strange = Unavailable("AI Runtime's answer could not be understood")
            lost.append(outcome if isinstance(outcome, Unavailable) else strange)
        if lost and not observed:
            raise max(lost, key=lambda one: one.retry_after or 0.0)
        return observed

    async def tracked(self, run_id: str) -> str | None:
        """The id of a run's MLflow run; None while it has none. Raises `Unavailable`."""
        known = self._known.get(run_id, Known())
        if known.tracked is None:
            known = self._remember(run_id, await calls.output(self._workspace, await self._run(run_id)))
        return known.tracked

    async def _listed(self, handles: Sequence[RunHandle]) -> dict[str, Json]:
        """Those of the runs that are active, as far as a few pages of all active runs have them."""
        wanted = {str(handle.trainer_job_id) for handle in handles}
        listed: dict[str, Json] = {}
        left = -(-len(wanted) // calls.RUNS_PER_PAGE) + PAGES_TO_SPARE
        try:
            async for page in calls.pages(self._workspace, active_only=True):
                listed |= {str(run.get("run_id")): run for run in page if str(run.get("run_id")) in wanted}
                left -= 1
                if len(listed) == len(wanted) or not left:
                    break
        except ApiError as error:
            raise _unseen("the active runs", error) from error
        return listed

    async def _run(self, run_id: str) -> Json:
        try:
            return await calls.run(self._workspace, run_id)
        except ApiError as error:
            raise _unseen(f"the run {run_id}", error) from error

    async def _one(self, handle: RunHandle, listed: Json | None) -> Observation:
        run_id = str(handle.trainer_job_id)
        run = listed if listed is not None and states.task(listed) else await self._run(run_id)
        status, output = states.read(run), dict[str, object]()
        if self._wants_output(status, handle):
            output = dict(await calls.output(self._workspace, run))
            self._remember(run_id, output)
        waiting_for = states.status_message(output)
        if status.state is RunState.RUNNING and waiting_for is not None:
            status = replace(status, state=RunState.QUEUED, waits=True)
        snapshot, reading = await self._metrics(handle, status)
        observation = observations.from_run(run, status, output, snapshot, reading)
        events = observations.events(run, status, waiting_for, handle.after_event)
        return replace(observation, mlflow_run_id=self._known.get(run_id, Known()).tracked, events=events)

    def _wants_output(self, status: Status, handle: RunHandle) -> bool:
        """Whether the task's output may hold what is not known yet: why it waits, where it logs to, why it failed."""
        unknown = self._known.get(str(handle.trainer_job_id), Known()).tracked is None
        if status.waits:
            return handle.after_event == 0
        if status.state is RunState.RUNNING:
            return unknown or handle.after_step is None
        return status.state is RunState.FAILED or (unknown and status.state in ENDED)

    async def _metrics(self, handle: RunHandle, status: Status) -> tuple[Snapshot | None, Reading]:
        """What the run has logged. An end is only observed with everything that was logged until then.

        A run that MLflow does not show, because it was deleted or may not be read, has nothing to wait for.
        """
        known = self._known.get(str(handle.trainer_job_id), Known())
        if known.tracked is None or status.state not in {RunState.RUNNING, *ENDED}:
            return None, Reading()
        decides = status.state in {RunState.SUCCEEDED, RunState.FAILED}
        try:
            async with asyncio.timeout(None if decides else METRICS_SECONDS):
                return await self._read(handle, known, known.tracked, ended=status.state in ENDED)
        except ApiError as error:
            log.warning("MLflow does not show a run", job=handle.job_id, error=str(error))
        except (Unavailable, TimeoutError) as error:
            if decides:
                raise
            log.warning("metrics could not be read; they will be", job=handle.job_id, error=str(error))
        return None, Reading()

    async def _read(self, handle: RunHandle, known: Known, tracked: str, *, ended: bool) -> tuple[Snapshot, Reading]:
        run = await calls.tracked(self._workspace, tracked)
        snapshot = metrics.snapshot(run)
        if not ended and snapshot.newest == known.read_to:
            return snapshot, Reading()
        keys = metrics.unread(snapshot, handle.after_step)
        histories = await asyncio.gather(*(calls.history(self._workspace, tracked, key) for key in keys))
        self._keep(str(handle.trainer_job_id), replace(known, read_to=snapshot.newest))
        series = dict(zip(keys, histories, strict=True))
        if ended:
            snapshot = replace(snapshot, custom=await self._custom(run))
        # there may be a hundred thousand of them
        return snapshot, await self._workspace.in_thread(metrics.reading, series, snapshot, handle.after_step, ended)

    async def _custom(self, run: Json) -> Mapping[str, object]:
        """What the program wrote beside its metrics; that it did not, or can't be read, is no reason to wait."""
        try:
            async with asyncio.timeout(CUSTOM_METRICS_SECONDS):
                custom = json.loads(await artifacts.read(self._workspace, f"{artifacts.root(run)}/{CUSTOM}"))
        except (ApiError, Unavailable, TimeoutError, ValueError):
            return {}
        return custom if isinstance(custom, dict) else {}

    def _remember(self, run_id: str, output: Json) -> Known:
        known = self._known.get(run_id, Known())
        if (tracked := calls.mlflow_run_id(output)) is not None:
            known = replace(known, tracked=tracked)
            self._keep(run_id, known)
        return known

    def _keep(self, run_id: str, known: Known) -> None:
        if len(self._known) >= MOST_KNOWN_RUNS:
            self._known.clear()
        self._known[run_id] = known


def _unseen(subject: str, error: ApiError) -> Unavailable:
    """A refusal to show a run is no failure of it: it may be forbidden to see, or be there again later."""
    return Unavailable(f"AI Runtime does not show {subject}: {error}")
