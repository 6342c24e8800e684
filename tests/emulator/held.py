"""Many runs of FMAPI at once that stand still until they are told to go on: to see what it costs to watch over them."""

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tests.emulator.clock import Agenda
from tests.emulator.finetunes import Finetunes
from tests.emulator.finetuning import FINAL, Finetune
from tests.emulator.tracking_store import TrackingStore

APART_SECONDS = 0.0001  # between two creations: pages follow their order
STEPS = 100
LOSS = 2.6


@dataclass(frozen=True, slots=True)
class Held:
    """The runs that were made here, QUEUED at first; their names say which."""

    agenda: Agenda
    finetunes: Finetunes
    tracking: TrackingStore

    def make(self, like: str, count: int) -> list[Finetune]:
        """So many runs of the configuration of another one. Raises `ApiError` when that is not there."""
        pattern = self.finetunes.get(like)
        return [self._make(pattern, number) for number in range(count)]

    def step(self, names: Iterable[str], seconds: float) -> None:
        """Let each run log one step, spread evenly over a time; one that is QUEUED begins to run."""
        self._spread([self.finetunes.get(name) for name in names], seconds, self._step)

    def end(self, names: Iterable[str], seconds: float, reason: str | None) -> None:
        """Let each run end, spread evenly over a time: COMPLETED, or FAILED for a reason."""
        self._spread([self.finetunes.get(name) for name in names], seconds, functools.partial(self._end, reason=reason))

    def _make(self, pattern: Finetune, number: int) -> Finetune:
        ids, now = self.finetunes.ids, self.agenda.now()
        name = f"held-{ids.hexadecimal(12)}"
        one = Finetune(
            id=ids.hexadecimal(24),
            name=name,
            by=pattern.by,
            created=now + number * APART_SECONDS,
            updated=now,
            config=pattern.config,
            experiment_path=pattern.experiment_path,
            experiment=pattern.experiment,
            run=self.tracking.create_run(pattern.experiment, pattern.by, name),
            outcome=pattern.outcome,
            pace=pattern.pace,
            status="QUEUED",
        )
        self.finetunes.named[name] = one
        return one

    def _spread(self, runs: Sequence[Finetune], seconds: float, effect: Callable[[Finetune], None]) -> None:
        for number, one in enumerate(runs):
            self.agenda.after(seconds * number / len(runs), functools.partial(self._unless_over, effect, one))

    def _unless_over(self, effect: Callable[[Finetune], None], one: Finetune) -> None:
        if one.status not in FINAL:
            effect(one)

    def _step(self, one: Finetune) -> None:
        if one.started is None:
            one.status, one.started = "RUNNING", self.agenda.now()
            self._tell(one, "TRAIN_STARTED", "Training started.")
        step = 1 + max((metric.step for metric in one.run.latest().values()), default=0)
        loss = LOSS / (1 + step)
        self.tracking.log_values(one.run, {"loss/train/total": loss, "metrics/eval/LanguageCrossEntropy": loss}, step)
        where = f"[epoch=1/1][batch={step}/{STEPS}][ETA={STEPS - step}min]"
        self._tell(one, "TRAIN_UPDATED", f"{where} Train loss: {loss:.2f}")

    def _end(self, one: Finetune, reason: str | None) -> None:
        one.status, one.reason = ("COMPLETED", None) if reason is None else ("FAILED", reason)
        one.completed = self.agenda.now()
        self.tracking.end_run(one.run, "FINISHED" if reason is None else "FAILED")
        self._tell(one, one.status, reason or "Run completed.")

    def _tell(self, one: Finetune, kind: str, message: str) -> None:
        one.events.append((kind, self.agenda.now(), message))
        one.updated = self.agenda.now()
