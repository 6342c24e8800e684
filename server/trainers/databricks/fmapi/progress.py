"""How far a run is: from the text of its TRAIN_UPDATED events, or else from the time at which it is expected to end.

The text is not specified. An example from Databricks' documentation: `[epoch=1/1][batch=50/56][ETA=5min] Train loss:
1.71`. It does not tell whether batches are counted anew in each epoch.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from server.domain.status import RunState
from server.trainers.databricks.fmapi.runs import Finetune

UPDATED: Final = "TRAIN_UPDATED"
FINISHED: Final = "TRAIN_FINISHED"
# numbers of more digits are none: text is cheap
EPOCH: Final = re.compile(r"\bepochs?\s*[=: ]\s*(\d{1,9})\s*(?:/|of)\s*(\d{1,9})(?!\d)", re.IGNORECASE | re.ASCII)
BATCH: Final = re.compile(r"\b(?:batch|ba)\s*[=: ]\s*(\d{1,9})\s*(?:/|of)\s*(\d{1,9})(?!\d)", re.IGNORECASE | re.ASCII)
EPOCHS: Final = re.compile(r"(\d{1,9})ep", re.ASCII)
HUNDRED: Final = 100


@dataclass(frozen=True, slots=True)
class Progress:
    """`epoch` is the one that the run is in, from 1."""

    percent: int | None = None
    epoch: int | None = None
    epochs: int | None = None
    estimated_end: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a run said it was: in which of its epochs, and which share of the batches was done."""

    epoch: int
    epochs: int
    share: float | None

    @property
    def counts_anew(self) -> bool:
        """Whether its batches can't be those of the whole run."""
        if self.share is None:
            return False
        return not (self.epoch - 1) / self.epochs <= self.share <= self.epoch / self.epochs


def progress(run: Finetune, now: datetime) -> Progress:
    """What a run tells of its progress. A time that is over, or that training no longer takes, is no estimate."""
    places = [place for event in run.events if event.kind == UPDATED and (place := _place(event.message))]
    finished = any(event.kind == FINISHED for event in run.events)
    ahead = run.estimated_end is not None and run.estimated_end > now and not finished
    percent = _from_text(places)
    if percent is None and run.state is RunState.RUNNING:
        percent = _from_time(run, now)
    last = places[-1] if places else None
    return Progress(
        percent=percent,
        epoch=last.epoch if last else None,
        epochs=last.epochs if last else epochs(run.duration),
        estimated_end=run.estimated_end if ahead else None,
    )


def epochs(duration: str | None) -> int | None:
    """How many epochs a duration such as 3ep has; None when it is counted in batches or tokens."""
    found = EPOCHS.fullmatch((duration or "").replace("_", ""))
    return int(found[1]) if found else None


def _place(message: str) -> _Place | None:
    epoch, batch = EPOCH.search(message), BATCH.search(message)
    if epoch is None and batch is None:
        return None
    number, of = (int(epoch[1]), int(epoch[2])) if epoch else (1, 1)
    share = int(batch[1]) / int(batch[2]) if batch and int(batch[2]) else None
    return _Place(min(max(number, 1), max(of, 1)), max(of, 1), None if share is None else min(share, 1.0))


def _from_text(places: list[_Place]) -> int | None:
    """Taking the lesser, until it is clear what is counted: progress that was told never goes back."""
    if not places:
        return None
    last = places[-1]
    in_epoch = (last.epoch - 1 + (last.share or 0.0)) / last.epochs
    if last.share is None or any(place.counts_anew for place in places):
        return int(HUNDRED * in_epoch)
    return int(HUNDRED * min(in_epoch, last.share))


def _from_time(run: Finetune, now: datetime) -> int | None:
    if run.started_at is None or run.estimated_end is None or run.estimated_end <= run.started_at:
        return None
    return int(HUNDRED * min(max((now - run.started_at) / (run.estimated_end - run.started_at), 0.0), 1.0))
