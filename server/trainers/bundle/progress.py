"""What a training tells of itself: how far it is, and the metrics of a step."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

NAMES: Final[Mapping[str, str]] = {
    "loss": "train_loss",
    "eval_loss": "val_loss",
    "mean_token_accuracy": "train_accuracy",
    "eval_mean_token_accuracy": "val_accuracy",
    "learning_rate": "learning_rate",
    "grad_norm": "grad_norm",
}
"""What transformers and TRL call a metric, and what Tunegraph does. The accuracies are of the next token."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a training is: epochs done of all, percent of the whole, tokens seen, seconds since it began."""

    epoch: int
    epochs: int
    percent: int
    tokens: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Point:
    """The metrics of one step of the optimizer, under the names of transformers; step 0 is the untrained model."""

    step: int
    epoch: float
    at: datetime
    values: Mapping[str, float]

    def renamed(self) -> dict[str, float]:
        """The values under Tunegraph's names."""
        return {NAMES[key]: value for key, value in self.values.items()}


Tell = Callable[[Progress, Point | None], None]


class Diverged(ArithmeticError):
    """A loss is not finite."""


class Log:
    """One point for each step, of what is logged of it in pieces: its loss, then perhaps an evaluation."""

    def __init__(self, tell: Tell) -> None:
        self.tokens = 0
        self.first: dict[str, float] = {}
        self._tell = tell
        self._progress: Progress | None = None
        self._point: Point | None = None

    def add(self, progress: Progress, step: int, epoch: float, logged: Mapping[str, float]) -> None:
        """Take what was logged; raises `Diverged` for a loss that is not finite."""
        if self._point is not None and self._point.step != step:
            self.flush()
        values = {key: float(value) for key, value in logged.items() if key in NAMES}
        for key in ("loss", "eval_loss"):
            if not math.isfinite(values.get(key, 0.0)):
                raise Diverged(f"the loss is not finite any more at step {step}; try a lower learning_rate")
        if values:
            before = {} if self._point is None else self._point.values
            self._point = Point(step, epoch, datetime.now(UTC), {**before, **values})
            self.first = {**values, **self.first}
        self._progress = progress

    def flush(self) -> None:
        """Tell the latest progress, with the point of its step if there is one."""
        if self._progress is not None:
            self._tell(self._progress, self._point)
        self._progress = self._point = None


def to_file(path: Path) -> Tell:
    """Append to a file: one JSON object a line, each with one write, so that a reader sees all of it or none.

    What it returns raises `OSError`.
    """

    def tell(progress: Progress, point: Point | None) -> None:
        entry: dict[str, object] = {"progress": asdict(progress)}
        if point is not None:
            entry["point"] = {"step": point.step, "at": point.at.isoformat(), "values": point.renamed()}
        with path.open("ab", buffering=0) as file:
            file.write((json.dumps(entry) + "\n").encode())

    return tell
