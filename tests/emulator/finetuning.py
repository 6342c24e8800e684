"""How a fine-tuning run of FMAPI goes: its states, events, metrics, checkpoints and model.

Shares of the pace: PENDING until 0.02, QUEUED until 0.06, STARTING until 0.15, RUNNING until 1; it trains until 0.92.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.emulator.clock import Agenda
from tests.emulator.dataset import Datasets, Malformed
from tests.emulator.errors import ApiError
from tests.emulator.learning import Lesson, Step, lesson
from tests.emulator.outcomes import Outcome
from tests.emulator.registry import Registry
from tests.emulator.tracking_store import Run, TrackingStore

QUEUED, CHECKED, VALIDATED, INITIALIZED, TRAINS, TRAINED = 0.02, 0.06, 0.10, 0.14, 0.15, 0.92
STOPPING = 0.02
REGISTERING = 0.1
TOLD = 10
MINUTE = 60
FINAL = frozenset({"COMPLETED", "FAILED", "STOPPED"})
MODEL_PARTS = 3


@dataclass(slots=True, kw_only=True)
class Finetune:
    id: str
    name: str
    by: str
    created: float
    updated: float
    config: dict[str, Any]
    experiment_path: str
    experiment: str
    run: Run
    outcome: Outcome
    pace: float
    status: str = "PENDING"
    started: float | None = None
    completed: float | None = None
    estimated_end: float | None = None
    reason: str | None = None
    deleted: bool = False
    stopping: bool = False
    events: list[tuple[str, float, str]] = field(default_factory=list)
    listed: list[float] = field(default_factory=list)  # when a page showed it


@dataclass(frozen=True, slots=True)
class Finetuning:
    """What happens to one run, and when."""

    one: Finetune
    agenda: Agenda
    datasets: Datasets
    tracking: TrackingStore
    registry: Registry

    def begin(self) -> None:
        self._tell("CREATED", "Run created.")
        self._after(QUEUED, functools.partial(self._become, "QUEUED"))
        self._after(CHECKED, self._check)
        if self.one.outcome.fails_at is not None:
            self._after(self.one.outcome.fails_at, functools.partial(self._fail, self.one.outcome.reason))

    def stop(self, reason: str) -> None:
        """A run that has started needs a while for it."""
        self.one.stopping, self.one.reason = True, reason
        if self.one.status in ("PENDING", "QUEUED"):
            self._stopped()
            return
        self._become("TERMINATING")
        self.agenda.after(STOPPING * self.one.pace, self._stopped)

    def _stopped(self) -> None:
        self._end("STOPPED", "KILLED")
        self._tell("STOPPED", self.one.reason or "Run stopped.")

    def _after(self, share: float, effect: Callable[[], None]) -> None:
        """At this share of the pace since the creation, unless the run has come to an end or is about to."""

        def unless_over() -> None:
            if self.one.status not in FINAL and not self.one.stopping:
                effect()

        due = self.one.created + share * self.one.pace
        self.agenda.after(due - self.agenda.now(), unless_over)

    def _become(self, status: str) -> None:
        self.one.status, self.one.updated = status, self.agenda.now()

    def _tell(self, kind: str, message: str) -> None:
        self.one.events.append((kind, self.agenda.now(), message))
        self.one.updated = self.agenda.now()

    def _end(self, status: str, run_status: str) -> None:
        self._become(status)
        self.one.completed, self.one.estimated_end = self.agenda.now(), None
        self.tracking.end_run(self.one.run, run_status)

    def _fail(self, reason: str, kind: str = "FAILED") -> None:
        self.one.reason = reason
        self._end("FAILED", "FAILED")
        self._tell(kind, reason)
        if kind != "FAILED":
            self._tell("FAILED", reason)

    def _check(self) -> None:
        """Whether data and schema are there; what is in the data is looked at next."""
        self._become("STARTING")
        self.one.started = self.agenda.now()
        try:
            self.registry.check_schema(self.one.config["experimentTracker"]["mlflow"]["modelRegistryPath"])
        except ApiError as error:
            self._fail(error.message, "CHECK_FAILED")
            return
        self._tell("CHECK_PASSED", "Credentials and paths are valid.")
        self._tell("STARTED", "Run started.")
        self._after(VALIDATED, self._validate)

    def _validate(self) -> None:
        config = self.one.config
        try:
            data = self.datasets.read(config["trainDataPath"], config["taskType"])
            if config.get("evalDataPath"):
                self.datasets.read(config["evalDataPath"], config["taskType"])
            course = lesson(data, config["trainingDuration"])
        except (Malformed, ValueError) as error:
            self._fail(str(error))
            return
        self._tell("DATA_VALIDATED", f"Training data validated: {data.rows} rows.")
        self._after(INITIALIZED, functools.partial(self._tell, "MODEL_INITIALIZED", f"{config['model']} is loaded."))
        self._after(TRAINS, functools.partial(self._train, course))

    def _train(self, course: Lesson) -> None:
        self._become("RUNNING")
        self.one.estimated_end = self.one.created + self.one.pace
        self._tell("TRAIN_STARTED", "Training started.")
        for key in ("model", "taskType", "trainingDuration", "learningRate", "trainDataPath"):
            self.tracking.log_param(self.one.run, key, str(self.one.config[key]))
        self._next(course, course.steps(), 0, 0)

    def _next(self, course: Lesson, steps: list[Step], index: int, told: int) -> None:
        share = TRAINS + (TRAINED - TRAINS) * steps[index].done
        self._after(share, functools.partial(self._step, course, steps, index, told))

    def _step(self, course: Lesson, steps: list[Step], index: int, told: int) -> None:
        step = steps[index]
        self.tracking.log_values(self.one.run, self._train_values(course, step), step.batch)
        tenths = step.batch * TOLD // course.batches
        if tenths > told or step.ends_epoch:
            told = tenths
            self._tell("TRAIN_UPDATED", self._progress(course, step))
        if step.ends_epoch:
            self._finish_epoch(course, step)
        if index + 1 < len(steps):
            self._next(course, steps, index + 1, told)
        else:
            self._tell("TRAIN_FINISHED", "Training finished.")
            self._after(1.0, self._complete)

    def _left(self, step: Step) -> float:
        return self.one.pace * (TRAINED - TRAINS) * (1 - step.done)

    def _progress(self, course: Lesson, step: Step) -> str:
        left = self._left(step)
        eta = f"{round(left / MINUTE)}min" if left >= MINUTE else f"{round(left)}s"
        where = f"[epoch={step.epoch}/{course.epochs}][batch={step.batch}/{course.batches}][ETA={eta}]"
        return f"{where} Train loss: {course.loss(step):.2f}"

    def _train_values(self, course: Lesson, step: Step) -> dict[str, float]:
        loss, trained = course.loss(step), self.agenda.now() - self.one.created - TRAINS * self.one.pace
        tokens = course.data.tokens * course.epochs * step.done
        return {
            "loss/train/total": loss,
            "metrics/train/LanguageCrossEntropy": loss,
            "metrics/train/LanguagePerplexity": round(math.exp(loss), 6),
            "metrics/train/TokenAccuracy": course.accuracy(step),
            "throughput/tokens_per_sec": round(tokens / trained, 3) if trained > 0 else 0.0,
            "time/batch": float(step.batch),
            "time/epoch": float(step.epoch - 1 if not step.ends_epoch else step.epoch),
            "time/token": float(round(tokens)),
            "time/total": round(trained, 3),
            "time/remaining_estimate": round(self._left(step), 3),
            "lr-DecoupledLionW/group0": course.rate(step, float(self.one.config["learningRate"])),
        }

    def _finish_epoch(self, course: Lesson, step: Step) -> None:
        if self.one.config.get("evalDataPath"):
            loss = course.loss(step, held_out=True)
            values = {
                "metrics/eval/LanguageCrossEntropy": loss,
                "metrics/eval/LanguagePerplexity": round(math.exp(loss), 6),
                "metrics/eval/TokenAccuracy": course.accuracy(step, held_out=True),
            }
            self.tracking.log_values(self.one.run, values, step.batch)
        name = f"ep{step.epoch}-ba{step.batch}"
        content = f"{self.one.name} {name} {course.loss(step)}\n".encode()
        self.tracking.write_artifact(self.one.run, f"{self.one.name}/checkpoints/{name}/weights.bin", content)
        self._tell("CHECKPOINT_SAVED", f"Checkpoint {name} saved.")

    def _complete(self) -> None:
        """The model is registered as the run ends, and ready a while later."""
        self._end("COMPLETED", "FINISHED")
        self._tell("COMPLETED", "Run completed.")
        settle = self.one.outcome.registration
        if settle != "NONE":
            given = self.one.config["experimentTracker"]["mlflow"]["modelRegistryPath"]
            name = given if len(given.split(".")) == MODEL_PARTS else f"{given}.{self.one.name}"
            source = f"{self.one.run.artifact_uri}/{self.one.name}/checkpoints"
            after = REGISTERING * self.one.pace
            self.registry.register(name, source, self.one.run, settle, after)
