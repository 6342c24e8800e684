"""How a training's figures go: formulas over the size of its data, with noise that its seed decides."""

import hashlib
import math
import re
from dataclasses import dataclass

from tests.emulator.dataset import Dataset

BATCH = 8
MOST_POINTS = 60
START_LOSS = 2.6
DURATION = re.compile(r"(\d[\d_]*)(ep|ba|tok)")


@dataclass(frozen=True, slots=True)
class Step:
    """One batch: its number, the epoch it ends or is in (from 1), and the share of the training done with it."""

    batch: int
    epoch: int
    done: float
    ends_epoch: bool


@dataclass(frozen=True, slots=True)
class Lesson:
    """The batches of a training."""

    data: Dataset
    epochs: int
    batches: int

    @property
    def batches_of_an_epoch(self) -> int:
        return max(1, math.ceil(self.batches / self.epochs))

    def steps(self) -> list[Step]:
        """The batches that are told of: all, or so many of them, among which each epoch's last."""
        every, of_an_epoch = max(1, self.batches // MOST_POINTS), self.batches_of_an_epoch
        return [
            Step(batch, math.ceil(batch / of_an_epoch), batch / self.batches, self._ends(batch))
            for batch in range(1, self.batches + 1)
            if batch % every == 0 or self._ends(batch)
        ]

    def _ends(self, batch: int) -> bool:
        return batch % self.batches_of_an_epoch == 0 or batch == self.batches

    def loss(self, step: Step, *, held_out: bool = False) -> float:
        """Falls from 2.6 to what so much data allows; on held-out data a little less far, and up at the end."""
        floor = 0.3 + 1.4 / (1 + math.log10(1 + self.data.rows))
        fallen = floor + (START_LOSS - floor) * math.exp(-4 * step.done)
        gap = 0.06 + 0.05 * step.done**2 if held_out else 0.0
        return round(fallen + gap + 0.04 * self._noise(f"{step.batch}:{held_out}"), 6)

    def accuracy(self, step: Step, *, held_out: bool = False) -> float:
        return round(math.exp(-self.loss(step, held_out=held_out) / 2), 6)

    def rate(self, step: Step, peak: float) -> float:
        """Linear, after a warm-up of the first fiftieth."""
        warm = 0.02
        return peak * (step.done / warm if step.done < warm else (1 - step.done) / (1 - warm))

    def _noise(self, of: str) -> float:
        digest = hashlib.sha256(f"{self.data.seed}:{of}".encode()).digest()
        return int.from_bytes(digest[:4]) / 2**31 - 1


def lesson(data: Dataset, duration: str) -> Lesson:
    """The batches that a duration such as 3ep, 100ba or 1_000_000tok means for this data.

    Raises:
        ValueError: When it is no such duration.
    """
    found = DURATION.fullmatch(duration)
    if found is None or not int(found[1]):
        raise ValueError(f"trainingDuration {duration!r} is not one such as 3ep, 100ba or 1_000_000tok")
    amount, unit = int(found[1]), found[2]
    of_an_epoch = max(1, math.ceil(data.rows / BATCH))
    if unit == "ep":
        return Lesson(data, amount, amount * of_an_epoch)
    batches = amount if unit == "ba" else max(1, math.ceil(amount * of_an_epoch / max(1, data.tokens)))
    return Lesson(data, max(1, math.ceil(batches / of_an_epoch)), batches)
