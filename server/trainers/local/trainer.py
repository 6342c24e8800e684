"""The local trainer: the port's calls, answered from the folders of its runs."""

import asyncio
import signal
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from server.domain.status import RunState, TrainerKind
from server.trainers.local import configuration, language_models
from server.trainers.local.children import Children
from server.trainers.local.run import Result, Run, is_held
from server.trainers.trainer import (
    BaseModel,
    Capabilities,
    Observation,
    RunHandle,
    TrainerJobId,
    TrainingRequest,
)

RUNS: Final = "runs"  # the folder in the data folder
CRASHED: Final = "TRAINER_CRASHED"
PATIENCE: Final = 10.0  # seconds that a child has to stop after it was asked
BEFORE_THE_END: Final = 99
LAST_LINES: Final = 3


class LocalTrainer:
    """Trains on this machine, at most `slots` runs at once; the rest wait in line.

    `language_models` are folders or ids of the hub to list as base models; others can be named all the same.
    """

    kind = TrainerKind.LOCAL
    capabilities = Capabilities(observe_interval=0.5, observe_batch=1_000, idempotent_submit=True)

    def __init__(self, data_dir: Path, slots: int, language_models: Sequence[str] = ()) -> None:
        self._runs = data_dir.absolute() / RUNS
        self._children = Children(self._runs, slots)
        self._language_models = language_models
        self._launching = asyncio.Lock()

    def validate(self, base_model: str, config: Mapping[str, Any]) -> None:
        """See the port."""
        configuration.check(base_model, config)

    def total_epochs(self, base_model: str, config: Mapping[str, Any]) -> int:
        """How many epochs a run has."""
        return configuration.total_epochs(base_model, config)

    async def base_models(self) -> Sequence[BaseModel]:
        """What can be trained, the smallest first; then the language models that the settings name."""
        named = await asyncio.to_thread(language_models.base_models, self._language_models)
        return [*configuration.base_models(), *named]

    async def submit(self, request: TrainingRequest) -> TrainerJobId:
        """Put a run in line, and start it when a slot is free."""
        configuration.check(request.base_model, request.config)
        run = await asyncio.to_thread(Run.create, self._runs, request)
        await self._start_queued()
        return self._name(run)

    async def find(self, job_id: str) -> TrainerJobId | None:
        """The run of a job, when it was submitted here."""
        run = Run(self._runs / job_id)
        return self._name(run) if await asyncio.to_thread(run.is_there) else None

    async def observe(self, runs: Sequence[RunHandle]) -> Mapping[str, Observation]:
        """Look at runs, and start queued ones where a slot has become free. Runs of other machines are left out."""
        seen = await asyncio.to_thread(self._observe, runs)
        await self._start_queued()
        return seen

    async def cancel(self, trainer_job_id: TrainerJobId) -> None:
        """Ask a run to stop; one that has not begun never will."""
        if (run := self._run(trainer_job_id)) is not None:
            await asyncio.to_thread(self._cancel, run)

    async def logs(self, trainer_job_id: TrainerJobId) -> str:
        """The end of what the run's child printed."""
        run = self._run(trainer_job_id)
        return "" if run is None else await asyncio.to_thread(run.log_tail)

    async def _start_queued(self) -> None:
        async with self._launching:
            await asyncio.to_thread(self._children.start_queued)

    def _name(self, run: Run) -> TrainerJobId:
        return TrainerJobId(f"local-{self._host()}-{run.job_id}")

    def _run(self, trainer_job_id: TrainerJobId) -> Run | None:
        """The run's folder; None for a run of another machine or data folder."""
        host, _, job_id = trainer_job_id.removeprefix("local-").partition("-")
        return Run(self._runs / job_id) if job_id and host == self._host() else None

    def _host(self) -> str:
        """What tells this data folder from all others."""
        mark = self._runs / ".host"
        if not mark.exists():
            self._runs.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft = self._runs / f".host.{uuid.uuid4().hex[:8]}"
            draft.write_text(draft.suffix[1:], encoding="utf-8")
            with suppress(FileExistsError):
                mark.hardlink_to(draft)  # whole, and only when nobody was quicker
            draft.unlink()
        return mark.read_text(encoding="utf-8")

    def _observe(self, handles: Sequence[RunHandle]) -> dict[str, Observation]:
        seen = {}
        for handle in handles:
            run = self._run(handle.trainer_job_id)
            if run is not None:
                seen[handle.job_id] = self._look(run, handle.after_step)
        return seen

    def _look(self, run: Run, after_step: int | None) -> Observation:
        if not run.is_there():
            return _gone(run)
        state, word = self._state(run)
        progress, points = run.told(-1 if after_step is None else after_step)
        result = run.result()
        return Observation(
            state=result.state if result is not None else state,
            word=result.state if result is not None else word,
            progress_percent=min(progress.percent, BEFORE_THE_END) if progress is not None else None,
            current_epoch=progress.epoch if progress is not None else None,
            total_epochs=progress.epochs if progress is not None else None,
            epochs_completed=progress.epoch if progress is not None else None,
            points=points,
            tokens_processed=progress.tokens if progress is not None else None,
            training_duration_seconds=progress.seconds if progress is not None else None,
            custom_metrics=(result.custom_metrics or {}) if result is not None else {},
            artifact=run.model if result is not None and result.state is RunState.SUCCEEDED else None,
            error_code=result.error_code if result is not None else None,
            message=result.message if result is not None else None,
        )

    def _state(self, run: Run) -> tuple[RunState, str]:
        """What is true of a run; one whose child is gone without a word is given its end here."""
        if run.result() is not None:
            return RunState.UNKNOWN, "ended"
        cancel_age = run.cancel_age(time.time())
        # asked before the lock, which a child takes first: one that begins between the two is not taken for dead
        was_started = run.was_started()
        if is_held(run.lock):
            if cancel_age is not None and cancel_age > PATIENCE:
                self._children.signal(run, signal.SIGKILL)
            return (RunState.RUNNING, "training") if was_started else (RunState.QUEUED, "starting")
        exit_status = self._children.exit_status(run)
        if not was_started and exit_status is None:
            if cancel_age is not None:
                run.end(Result(RunState.CANCELLED))
            return RunState.QUEUED, "waiting for a slot"
        if cancel_age is not None:
            run.end(Result(RunState.CANCELLED))
        else:
            run.end(Result(RunState.FAILED, CRASHED, _last_words(run, exit_status)))
        return RunState.UNKNOWN, "ended"

    def _cancel(self, run: Run) -> None:
        if run.is_there() and run.result() is None:
            run.ask_to_cancel()
            self._children.signal(run, signal.SIGTERM)


def _gone(run: Run) -> Observation:
    message = f"the folder of the run is gone: {run.folder.name}"
    return Observation(RunState.FAILED, "gone", error_code="RUN_FOLDER_GONE", message=message)


def _last_words(run: Run, exit_status: int | None) -> str:
    if exit_status is None:
        how = "the training process ended without a word"
    elif exit_status < 0:
        how = f"the training process was ended by {signal.Signals(-exit_status).name}"
    else:
        how = f"the training process ended with exit status {exit_status}"
    lines = [line for line in run.log_tail().splitlines() if line.strip()]
    return f"{how}; it last said: {' / '.join(lines[-LAST_LINES:])}" if lines else how
