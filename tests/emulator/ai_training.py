"""How a run of an AI Runtime task goes: its states, its MLflow run and its logs.

Shares of the pace: QUEUED until 0.05, PENDING until 0.10, RUNNING until 1, its task still PENDING until 0.25: it waits
for its GPU. Then it is TERMINATING for 0.02.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.emulator import bundle
from tests.emulator.ai_script import REGISTERING, Platform, Script
from tests.emulator.bundle import Unusable
from tests.emulator.clock import Agenda
from tests.emulator.disk import Disk
from tests.emulator.errors import ApiError
from tests.emulator.outcomes import Outcome
from tests.emulator.registry import Registry
from tests.emulator.tracking_store import Run, TrackingStore

PENDING, RUNNING, STARTS = 0.05, 0.10, 0.25
TERMINATING = 0.02
INFRASTRUCTURE = frozenset({"CLOUD_FAILURE", "INTERNAL_ERROR", "CLUSTER_ERROR", "DRIVER_ERROR"})
WAITING = "STATUS: Waiting for GPU capacity"


@dataclass(frozen=True, slots=True)
class Ending:
    """How it came to an end, in the words of the Jobs API."""

    result: str
    code: str
    message: str


@dataclass(slots=True, kw_only=True)
class TrainingRun:
    """`state` and `task_state` are life-cycle states, `created` and the other times seconds since the epoch."""

    job_id: int
    run_id: int
    task_run_id: int
    by: str
    created: float
    given: dict[str, Any]
    task: dict[str, Any]
    outcome: Outcome
    pace: float
    nodes: int
    state: str = "QUEUED"
    task_state: str = "QUEUED"
    task_started: float | None = None
    ended: float | None = None
    ending: Ending | None = None
    terminating: bool = False
    tracked: Run | None = None
    logs: list[tuple[float, int, str]] = field(default_factory=list)

    @property
    def wait(self) -> float:
        """How much longer than usual it waits for its GPU."""
        return 0.0 if self.outcome.gpu_wait is None else self.outcome.gpu_wait - (STARTS - RUNNING) * self.pace


@dataclass(frozen=True, slots=True)
class AiTraining:
    """What happens to one run, and when."""

    run: TrainingRun
    agenda: Agenda
    disk: Disk
    tracking: TrackingStore
    registry: Registry

    def begin(self) -> None:
        run = self.run
        self._after(PENDING, functools.partial(self._become, "PENDING", "PENDING"))
        self._after(RUNNING, functools.partial(self._become, "RUNNING", "PENDING"))
        self._after(STARTS, self._start, run.wait)
        if run.outcome.fails_at is not None:
            wait = run.wait if run.outcome.fails_at >= STARTS else 0.0
            self._after(run.outcome.fails_at, self._fail_as_scripted, wait)
        limit = run.given.get("timeout_seconds") or 0
        if limit:
            self._after(limit / run.pace, self._time_out)

    def cancel(self) -> None:
        if self.run.ended is None and not self.run.terminating:
            self._terminate(Ending("CANCELED", "USER_CANCELED", "Run cancelled."), "KILLED")

    def _after(self, share: float, effect: Callable[[], None], later: float = 0.0) -> None:
        """At this share of the pace since the submission, and so many seconds later, unless it is ending by then."""

        def unless_over() -> None:
            if self.run.ended is None and not self.run.terminating:
                effect()

        due = self.run.created + share * self.run.pace + later
        self.agenda.after(due - self.agenda.now(), unless_over)

    def _become(self, state: str, task_state: str) -> None:
        self.run.state, self.run.task_state = state, task_state

    def _log(self, text: str, node: int = 0) -> None:
        for line in text.splitlines():
            self.run.logs.append((self.agenda.now(), node, line))

    def _terminate(self, ending: Ending, run_status: str) -> None:
        """It is TERMINATING for a moment, whichever way it ends."""
        self.run.terminating = True
        self._become("TERMINATING", "TERMINATING")
        self.agenda.after(TERMINATING * self.run.pace, functools.partial(self._end, ending, run_status))

    def _end(self, ending: Ending, run_status: str) -> None:
        state = "INTERNAL_ERROR" if ending.code in INFRASTRUCTURE else "TERMINATED"
        self._become(state, state)
        self.run.ended, self.run.ending = self.agenda.now(), ending
        if self.run.tracked is not None:
            self.tracking.end_run(self.run.tracked, run_status)
            self._keep_logs(self.run.tracked)

    def _fail(self, code: str, message: str) -> None:
        self._log(message)
        self._terminate(Ending("FAILED", code, message), "FAILED")

    def _fail_as_scripted(self) -> None:
        reason = self.run.outcome.reason
        self._log("Traceback (most recent call last):\n" + '  File "train.py", line 1, in <module>')
        self._log(f"RuntimeError: {reason}")
        self._terminate(Ending("FAILED", self.run.outcome.code, reason), "FAILED")

    def _time_out(self) -> None:
        limit = self.run.given["timeout_seconds"]
        self._terminate(Ending("TIMEDOUT", "CANCELED", f"Run timed out after {limit} seconds."), "KILLED")

    def _start(self) -> None:
        """The GPU is there: the platform makes the MLflow run and starts the command on each node."""
        air, run = self.run.task["ai_runtime_task"], self.run
        self._become("RUNNING", "RUNNING")
        run.task_started = self.agenda.now()
        folder = air.get("mlflow_experiment_directory") or f"/Users/{run.by}"
        experiment = self.tracking.obtain_experiment(f"{folder.rstrip('/')}/{air['experiment']}")
        run.tracked = self.tracking.create_run(experiment.id, run.by, air.get("mlflow_run") or "")
        for node in range(run.nodes):
            self._log(f"Node {node} of {run.nodes} runs {air['deployments'][0]['command_path']}", node)
        try:
            config = bundle.read(self.disk.workspace(air["deployments"][0]["command_path"]))
        except (Unusable, ApiError) as error:
            self._fail("RESOURCE_NOT_FOUND", str(error))
            return
        Script(
            run=run.tracked,
            config=config,
            platform=Platform(
                functools.partial(self._after, later=run.wait),
                self._log,
                functools.partial(self._fail, "RUN_EXECUTION_ERROR"),
                self._succeed,
            ),
            disk=self.disk,
            tracking=self.tracking,
            registry=self.registry,
            settle=run.outcome.registration,
            settles_after=REGISTERING * run.pace,
        ).begin()

    def _succeed(self) -> None:
        self._terminate(Ending("SUCCESS", "SUCCESS", ""), "FINISHED")

    def _keep_logs(self, tracked: Run) -> None:
        """What the logging sidecar leaves in MLflow."""
        for node in range(self.run.nodes):
            lines = [line for _, at, line in self.run.logs if at == node]
            content = "".join(f"{line}\n" for line in lines).encode()
            self.tracking.write_artifact(tracked, f"logs/attempt_0/node_{node}/logs-0.chunk.txt", content)
