"""The local trainer: the port's calls, by the folders of its runs."""

import signal
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from server.domain.status import RunState, TrainerKind
from server.threads import Threads
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
STOP_SECONDS: Final = 10.0  # that a child has to stop after SIGTERM, before SIGKILL
QUEUE_SECONDS: Final = 10.0  # between observations of runs in line, behind what is told of them
QUIET_SECONDS: Final = 4.0  # at most between observations of a run that makes no progress
MOST_PERCENT_RUNNING: Final = 99
LOG_LINES: Final = 3
THREADS: Final = 4  # that read and write the folders of runs


class LocalTrainer:
    """Trains on this machine, at most `slots` runs at once; the rest wait in line.

    `language_models` are folders or ids of the hub to list as base models; others can be named all the same.
    """

    kind = TrainerKind.LOCAL
    capabilities = Capabilities(
        observe_interval=0.5,
        observe_batch=1_000,
        idempotent_submit=True,
        queue_interval=QUEUE_SECONDS,
        quiet_interval=QUIET_SECONDS,
    )

    def __init__(self, data_dir: Path, slots: int, language_models: Sequence[str] = ()) -> None:
        self._runs = data_dir.absolute() / RUNS
        self._children = Children(self._runs, slots)
        self._language_models = language_models
        self._threads = Threads(THREADS, "local runs")
        self._mark: str | None = None

    def validate(self, base_model: str, config: Mapping[str, Any]) -> None:
        """See the port."""
        configuration.check(base_model, config)

    def total_epochs(self, base_model: str, config: Mapping[str, Any]) -> int:
        """How many epochs a run has."""
        return configuration.total_epochs(base_model, config)

    async def base_models(self) -> Sequence[BaseModel]:
        """What can be trained, the smallest first; then the language models that the settings name."""
        named = await self._threads.call(language_models.base_models, self._language_models)
        return [*configuration.base_models(), *named]

    async def place(self) -> str:
        """The mark of this data folder."""
        return self._mark if self._mark is not None else await self._threads.call(self._host)

    def subscribe(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Tell of each run that is started, and of each whose process has ended, from any thread."""
        return self._children.subscribe(listener)

    async def submit(self, request: TrainingRequest) -> TrainerJobId:
        """Put a run in line, and start it when a slot is free."""
        configuration.check(request.base_model, request.config)
        run = await self._threads.call(Run.create, self._runs, request)
        await self._threads.call(self._children.start_queued)
        return self._name(run)

    async def find(self, job_id: str) -> TrainerJobId | None:
        """The id of a job's run; None when it was not submitted here."""
        run = Run(self._runs / job_id)
        return self._name(run) if await self._threads.call(run.is_there) else None

    async def observe(self, runs: Sequence[RunHandle]) -> Mapping[str, Observation]:
        """Observations by job, without runs of other machines; queued runs are started where slots have become free."""
        observations = await self._threads.call(self._observe, runs)
        await self._threads.call(self._children.start_queued)
        return observations

    async def cancel(self, trainer_job_id: TrainerJobId) -> None:
        """Ask a run to stop; one that has not begun never will."""
        if (run := self._run(trainer_job_id)) is not None:
            await self._threads.call(self._cancel, run)

    async def logs(self, trainer_job_id: TrainerJobId) -> str:
        """The last 8,192 bytes that the run's child printed; empty when it printed nothing or ran elsewhere."""
        run = self._run(trainer_job_id)
        return "" if run is None else await self._threads.call(run.log_tail)

    def _name(self, run: Run) -> TrainerJobId:
        return TrainerJobId(f"local-{self._host()}-{run.job_id}")

    def _run(self, trainer_job_id: TrainerJobId) -> Run | None:
        """The run's folder; None for a run of another machine or data folder."""
        host, _, job_id = trainer_job_id.removeprefix("local-").partition("-")
        return Run(self._runs / job_id) if job_id and host == self._host() else None

    def _host(self) -> str:
        """What tells this data folder from all others; it never changes."""
        if self._mark is not None:
            return self._mark
        mark = self._runs / ".host"
        if not mark.exists():
            self._runs.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft = self._runs / f".host.{uuid.uuid4().hex[:8]}"
            draft.write_text(draft.suffix[1:], encoding="utf-8")
            with suppress(FileExistsError):
                mark.hardlink_to(draft)  # whole, and only when nobody was quicker
            draft.unlink()
        self._mark = mark.read_text(encoding="utf-8")
        return self._mark

    def _observe(self, handles: Sequence[RunHandle]) -> dict[str, Observation]:
        observations = {}
        for handle in handles:
            run = self._run(handle.trainer_job_id)
            if run is not None:
                observations[handle.job_id] = self._observation(run, handle.after_step)
        return observations

    def _observation(self, run: Run, after_step: int | None) -> Observation:
        if not run.is_there():
            return _gone(run)
        state, word, waits = self._state(run)
        progress, points = run.progress(-1 if after_step is None else after_step)
        result = run.result()
        return Observation(
            state=result.state if result is not None else state,
            word=result.state if result is not None else word,
            progress_percent=min(progress.percent, MOST_PERCENT_RUNNING) if progress is not None else None,
            current_epoch=progress.epoch if progress is not None else None,
            total_epochs=progress.epochs if progress is not None else None,
            epochs_completed=progress.epoch if progress is not None else None,
            waits=waits,
            points=points,
            tokens_processed=progress.tokens if progress is not None else None,
            training_duration_seconds=progress.seconds if progress is not None else None,
            custom_metrics=(result.custom_metrics or {}) if result is not None else {},
            artifact=run.model if result is not None and result.state is RunState.SUCCEEDED else None,
            error_code=result.error_code if result is not None else None,
            message=result.message if result is not None else None,
        )

    def _state(self, run: Run) -> tuple[RunState, str, bool]:
        """A run's state, its word for it, and whether it waits. One whose child is gone without a result is ended."""
        if run.result() is not None:
            self._children.forget(run)
            return RunState.UNKNOWN, "ended", False
        cancel_age = run.cancel_age(time.time())
        # asked before the lock, which a child takes first: one that begins between the two is not taken for dead
        was_started = run.was_started()
        if is_held(run.lock):
            if cancel_age is not None and cancel_age > STOP_SECONDS:
                self._children.signal(run, signal.SIGKILL)
            self._children.await_exit(run)
            return (RunState.RUNNING, "training", False) if was_started else (RunState.QUEUED, "starting", False)
        exit_status = self._children.exit_status(run, ending=was_started)
        if not was_started and exit_status is None:
            if cancel_age is not None:
                run.end(Result(RunState.CANCELLED))
            return RunState.QUEUED, "waiting for a slot", not self._children.is_coming(run)
        if cancel_age is not None:
            run.end(Result(RunState.CANCELLED))
        else:
            run.end(Result(RunState.FAILED, CRASHED, _last_words(run, exit_status)))
        self._children.forget(run)
        return RunState.UNKNOWN, "ended", False

    def _cancel(self, run: Run) -> None:
        if run.is_there() and run.result() is None:
            run.ask_to_cancel()
            self._children.signal(run, signal.SIGTERM)


def _gone(run: Run) -> Observation:
    message = f"the folder of the run is gone: {run.folder.name}"
    return Observation(RunState.FAILED, "gone", error_code="RUN_FOLDER_GONE", message=message)


def _last_words(run: Run, exit_status: int | None) -> str:
    if exit_status is None:
        ending = "the training process ended without a word"
    elif exit_status < 0:
        ending = f"the training process was ended by {signal.Signals(-exit_status).name}"
    else:
        ending = f"the training process ended with exit status {exit_status}"
    lines = [line for line in run.log_tail().splitlines() if line.strip()]
    return f"{ending}; it last said: {' / '.join(lines[-LOG_LINES:])}" if lines else ending
