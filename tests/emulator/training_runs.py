"""Jobs' one-time runs with an AI Runtime task: submitted once a token, found, listed and cancelled."""

from dataclasses import dataclass, field
from typing import Any

from tests.emulator.ai_training import AiTraining, TrainingRun
from tests.emulator.clock import Agenda
from tests.emulator.disk import Disk
from tests.emulator.errors import ApiError, invalid
from tests.emulator.identifiers import Identifiers
from tests.emulator.outcomes import Outcomes
from tests.emulator.registry import Registry
from tests.emulator.tracking_store import TrackingStore

LONGEST_TOKEN = 64
GPUS_OF_A_NODE = {"GPU_1xA10": 1, "GPU_1xH100": 1, "GPU_8xH100": 8, "GPU_8xB300": 8}


@dataclass(slots=True)
class TrainingRuns:
    """All of a workspace's, in the order in which they were submitted."""

    agenda: Agenda
    ids: Identifiers
    disk: Disk
    tracking: TrackingStore
    registry: Registry
    outcomes: Outcomes
    pace: float
    runs: dict[int, TrainingRun] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)

    def submit(self, given: dict[str, Any], by: str) -> TrainingRun:
        """Start one; the same token again is the same run.

        Raises:
            ApiError: When it is refused, or the token's run was deleted.
        """
        token = given.get("idempotency_token")
        if token is not None and len(token) > LONGEST_TOKEN:
            raise invalid(f"The idempotency token must have at most {LONGEST_TOKEN} characters.")
        if token in self.tokens:
            if self.tokens[token] not in self.runs:
                raise invalid(f"The run of the idempotency token {token} has been deleted.")
            return self.runs[self.tokens[token]]
        task = _task(given)
        run_id = self.ids.number()
        air = task["ai_runtime_task"]
        outcome = self.outcomes.take(f"{air.get('mlflow_experiment_directory', '')}/{air['experiment']}")
        now = self.agenda.now()
        run = TrainingRun(
            job_id=self.ids.number(),
            run_id=run_id,
            task_run_id=self.ids.number(),
            by=by,
            created=now,
            given=given,
            task=task,
            outcome=outcome,
            pace=outcome.pace or self.pace,
            nodes=_nodes(air),
        )
        self.runs[run_id] = run
        if token is not None:
            self.tokens[token] = run_id
        self._course(run).begin()
        return run

    def _course(self, run: TrainingRun) -> AiTraining:
        return AiTraining(run, self.agenda, self.disk, self.tracking, self.registry)

    def get(self, run_id: int) -> TrainingRun:
        """The run of this id, or the one whose task has it."""
        found = self.runs.get(run_id) or next((run for run in self.runs.values() if run.task_run_id == run_id), None)
        if found is None:
            raise invalid(f"Run {run_id} does not exist.")
        return found

    def cancel(self, run_id: int) -> None:
        """Ask it to end, which takes a while; one that has ended stays as it is."""
        self._course(self.get(run_id)).cancel()

    def delete(self, run_id: int) -> None:
        run = self.get(run_id)
        if run.ended is None:
            raise ApiError(400, "INVALID_STATE", f"Run {run_id} is still active: it can't be deleted.")
        del self.runs[run.run_id]


def _task(given: dict[str, Any]) -> dict[str, Any]:
    """The one task that is understood, checked as the service does before it accepts a run."""
    tasks = given.get("tasks") or []
    if len(tasks) != 1 or not isinstance(tasks[0].get("ai_runtime_task"), dict):
        raise invalid("Exactly one task with ai_runtime_task is supported.")
    task: dict[str, Any] = tasks[0]
    if not task.get("task_key"):
        raise invalid("Task key is required.")
    environments = {environment.get("environment_key") for environment in given.get("environments") or ()}
    if task.get("environment_key") not in environments:
        raise invalid(f"The environment_key of task {task['task_key']} names no environment of the run.")
    air = task["ai_runtime_task"]
    if not air.get("experiment"):
        raise invalid("ai_runtime_task.experiment is required.")
    if len(air.get("deployments") or ()) != 1:
        raise invalid("ai_runtime_task.deployments must hold exactly one deployment.")
    directory = air.get("mlflow_experiment_directory")
    if directory is not None and not directory.startswith("/Workspace"):
        raise invalid("ai_runtime_task.mlflow_experiment_directory must start with /Workspace.")
    if not air["deployments"][0].get("command_path"):
        raise invalid("A deployment needs a command_path.")
    _nodes(air)
    return task


def _nodes(air: dict[str, Any]) -> int:
    compute = air["deployments"][0].get("compute") or {}
    of_a_node = GPUS_OF_A_NODE.get(compute.get("accelerator_type", ""))
    if of_a_node is None:
        raise invalid(f"accelerator_type must be one of {', '.join(GPUS_OF_A_NODE)}.")
    count = compute.get("accelerator_count")
    if not isinstance(count, int) or count < 1 or count % of_a_node:
        raise invalid(f"accelerator_count must be a multiple of {of_a_node} for {compute['accelerator_type']}.")
    return count // of_a_node
