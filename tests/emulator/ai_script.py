"""What the training script of an AI Runtime task does: it learns, logs to MLflow and registers its model.

It starts when its task does and trains from 0.28 to 0.95 of the pace. Metrics have the names that transformers and TRL
give them; of what Tunegraph's own script leaves in the run's tags, the version it registered and why it failed are
left here too.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

from tests.emulator.bundle import Bundle
from tests.emulator.dataset import Dataset, Datasets, Malformed
from tests.emulator.disk import Disk
from tests.emulator.errors import ApiError
from tests.emulator.learning import Lesson, Step, lesson
from tests.emulator.registry import Registry
from tests.emulator.tracking_store import Run, TrackingStore

LEARNS, LEARNED = 0.28, 0.95
REGISTERING = 0.1
TASK = "CHAT_COMPLETION"
VERSION_TAG, ERROR_CODE_TAG, ERROR_TAG = "tunegraph.model_version", "tunegraph.error_code", "tunegraph.error"


@dataclass(frozen=True, slots=True)
class Platform:
    """What the script is given by whoever runs it; `after` takes a share of the pace."""

    after: Callable[[float, Callable[[], None]], None]
    log: Callable[[str], None]
    fail: Callable[[str], None]
    succeed: Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One run of the script. `settle` and `settles_after` (seconds) are what becomes of the version it registers."""

    run: Run
    config: Bundle
    platform: Platform
    disk: Disk
    tracking: TrackingStore
    registry: Registry
    settle: str
    settles_after: float

    def begin(self) -> None:
        self.platform.after(LEARNS, self._learn)

    def _learn(self) -> None:
        """Read the data; a script that has none is done when its time is over."""
        if self.config.train_file is None:
            self.platform.after(1.0, self.platform.succeed)
            return
        try:
            data = self._read(self.config.train_file)
            if self.config.validation_file is not None:
                self._read(self.config.validation_file)
            course = lesson(data, f"{max(1, round(self.config.epochs))}ep")
        except (Malformed, ValueError) as error:
            self._refuse("BAD_DATA", str(error))
            return
        self.platform.log(f"{data.rows} examples from {self.config.train_file}")
        self.tracking.log_param(self.run, "epochs", str(course.epochs))
        self.tracking.log_param(self.run, "learning_rate", str(self.config.learning_rate))
        if self.config.validation_file is not None:
            self._evaluate(course, Step(0, 1, 0.0, ends_epoch=False))
        self._next(course, course.steps(), 0)

    def _read(self, path: str) -> Dataset:
        return Datasets(self.disk, {}).read(path, TASK)

    def _refuse(self, code: str, message: str) -> None:
        self.tracking.set_tag(self.run, ERROR_CODE_TAG, code)
        self.tracking.set_tag(self.run, ERROR_TAG, message)
        self.platform.log("Traceback (most recent call last):")
        self.platform.fail(message)

    def _next(self, course: Lesson, steps: list[Step], index: int) -> None:
        share = LEARNS + (LEARNED - LEARNS) * steps[index].done
        self.platform.after(share, functools.partial(self._step, course, steps, index))

    def _step(self, course: Lesson, steps: list[Step], index: int) -> None:
        step = steps[index]
        loss, epoch = course.loss(step), round(step.batch / course.batches_of_an_epoch, 4)
        values = {
            "loss": loss,
            "mean_token_accuracy": course.accuracy(step),
            "grad_norm": round(loss / 2, 6),
            "learning_rate": course.rate(step, self.config.learning_rate),
            "epoch": epoch,
        }
        self.tracking.log_values(self.run, values, step.batch)
        self.platform.log(f"{{'loss': {loss:.4f}, 'epoch': {epoch}}}")
        if step.ends_epoch and self.config.validation_file is not None:
            self._evaluate(course, step)
        if index + 1 < len(steps):
            self._next(course, steps, index + 1)
        else:
            self._finish()

    def _evaluate(self, course: Lesson, step: Step) -> None:
        loss, accuracy = course.loss(step, held_out=True), course.accuracy(step, held_out=True)
        self.tracking.log_values(self.run, {"eval_loss": loss, "eval_mean_token_accuracy": accuracy}, step.batch)

    def _finish(self) -> None:
        self.tracking.write_artifact(self.run, "model/adapter/adapter_config.json", b'{"peft_type": "LORA"}\n')
        if self.config.register_as is not None and self.settle != "NONE":
            try:
                version = self.registry.register(
                    self.config.register_as,
                    f"{self.run.artifact_uri}/model",
                    self.run,
                    self.settle,
                    self.settles_after,
                )
            except ApiError as error:
                self._refuse("TRAINING_ERROR", error.message)
                return
            self.tracking.set_tag(self.run, VERSION_TAG, str(version.number))
            self.platform.log(f"Registered {self.config.register_as}, version {version.number}")
        self.platform.after(1.0, self.platform.succeed)
