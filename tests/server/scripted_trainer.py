"""A trainer that does what a test says, with the faults that real ones have."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from server.domain.errors import InvalidInput, Refused, Unavailable
from server.domain.metrics import MetricPoint
from server.domain.status import RunState, TrainerKind
from server.trainers.trainer import (
    BaseModel,
    Capabilities,
    Observation,
    RunHandle,
    TrainerEvent,
    TrainerJobId,
    TrainingRequest,
)

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
BASE_MODEL = "scripted/small"
ARTIFACT = Path("/models/scripted")
CAPABLE = Capabilities(observe_interval=0.5, observe_batch=100, idempotent_submit=True)


def away() -> Unavailable:
    return Unavailable("the trainer is away")


def point(step: int, **values: float) -> MetricPoint:
    return MetricPoint(step, NOON, values)


@dataclass(frozen=True)
class Fault:
    """What goes wrong in one call: an error before or after its effect, or a hang until `release` is set."""

    error: BaseException | None = None
    after: bool = False
    release: asyncio.Event | None = None
    reached: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class ScriptedTrainer:
    kind: TrainerKind = TrainerKind.LOCAL
    capabilities: Capabilities = CAPABLE
    runs: dict[str, Observation] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    cancel_works: bool = True
    requests: list[TrainingRequest] = field(default_factory=list)
    observed: list[list[RunHandle]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    faults: defaultdict[str, deque[Fault]] = field(default_factory=lambda: defaultdict(deque))
    on_cancel: Callable[[str], None] | None = None
    log_text: str = "epoch 1\nout of memory\n"

    def fault(
        self,
        method: str,
        error: BaseException | None = None,
        *,
        after: bool = False,
        hang: bool = False,
        times: int = 1,
    ) -> Fault:
        fault = Fault(error, after, asyncio.Event() if hang else None)
        self.faults[method].extend([fault] * times)
        return fault

    def say(self, job_id: str, state: RunState, word: str | None = None, **what: Any) -> None:  # noqa: ANN401
        self.runs[job_id] = Observation(state, word or f"it is {state.lower()}", **what)

    def add(self, job_id: str, **what: Any) -> None:  # noqa: ANN401
        self.runs[job_id] = replace(self.runs[job_id], **what)

    async def _meet(self, method: str) -> Fault | None:
        self.calls.append(method)
        if not self.faults[method]:
            return None
        fault = self.faults[method].popleft()
        fault.reached.set()
        if fault.release is not None:
            await fault.release.wait()
        if fault.error is not None and not fault.after:
            raise fault.error
        return fault

    @staticmethod
    def _leave(fault: Fault | None) -> None:
        if fault is not None and fault.error is not None:
            raise fault.error

    def validate(self, base_model: str, config: Mapping[str, Any]) -> None:
        if base_model != BASE_MODEL:
            raise InvalidInput(f"no base model {base_model}", ("input", "baseModel"))
        if config.get("epochs", 1) == 0:
            raise InvalidInput("epochs: must be at least 1", ("input", "trainingConfig", "epochs"))

    def total_epochs(self, base_model: str, config: Mapping[str, Any]) -> int | None:  # noqa: ARG002  (the port's)
        epochs: int | None = config.get("epochs")
        return epochs

    async def base_models(self) -> Sequence[BaseModel]:
        return [BaseModel(BASE_MODEL, "Scripted", self.kind)]

    async def submit(self, request: TrainingRequest) -> TrainerJobId:
        fault = await self._meet("submit")
        if request.job_id not in self.runs:
            self.runs[request.job_id] = Observation(RunState.QUEUED, "waiting")
            self.requests.append(request)
        elif not self.capabilities.idempotent_submit:
            self.requests.append(request)  # trained twice
        self._leave(fault)
        return TrainerJobId(f"run-{request.job_id}")

    async def find(self, job_id: str) -> TrainerJobId | None:
        self._leave(await self._meet("find"))
        return TrainerJobId(f"run-{job_id}") if job_id in self.runs else None

    async def observe(self, runs: Sequence[RunHandle]) -> Mapping[str, Observation]:
        self._leave(await self._meet("observe"))
        self.observed.append(list(runs))
        return {run.job_id: self.runs[run.job_id] for run in runs if run.job_id not in self.hidden}

    async def cancel(self, trainer_job_id: TrainerJobId) -> None:
        fault = await self._meet("cancel")
        job_id = trainer_job_id.removeprefix("run-")
        if self.on_cancel is not None:
            self.on_cancel(job_id)
        elif self.cancel_works:
            self.say(job_id, RunState.CANCELLED, "stopped")
        self._leave(fault)

    async def logs(self, trainer_job_id: TrainerJobId) -> str:  # noqa: ARG002  (the port's)
        self._leave(await self._meet("logs"))
        return self.log_text


@dataclass
class RegisteringTrainer(ScriptedTrainer):
    """One that logs to MLflow and registers models itself; `events` are what it tells of each run beside."""

    kind: TrainerKind = TrainerKind.FMAPI
    events: defaultdict[str, list[TrainerEvent]] = field(default_factory=lambda: defaultdict(list))
    versions: dict[str, str] = field(default_factory=dict)

    async def observe(self, runs: Sequence[RunHandle]) -> Mapping[str, Observation]:
        seen = await super().observe(runs)
        return {job_id: replace(said, events=self.events[job_id]) for job_id, said in seen.items()}

    async def registered(self, trainer_job_id: TrainerJobId, model: str) -> str:
        self._leave(await self._meet("registered"))
        version = self.versions.get(trainer_job_id)
        if version is None:
            raise Unavailable(f"no version of {model} is ready yet")
        return version


@dataclass
class PlacedTrainer(ScriptedTrainer):
    """One whose runs can only be seen from where they are, which tells when something is new about them."""

    where: str = "here"
    listeners: list[Callable[[str], None]] = field(default_factory=list)

    async def place(self) -> str:
        return self.where

    def subscribe(self, listener: Callable[[str], None]) -> Callable[[], None]:
        self.listeners.append(listener)
        return partial(self.listeners.remove, listener)

    def announce(self, job_id: str) -> None:
        for listener in self.listeners:
            listener(job_id)


def refused() -> Refused:
    return InvalidInput("the base model is retired", ("input", "baseModel"))
