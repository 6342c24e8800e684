"""How trainings are made to end, where a test wants another end than success."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What becomes of the next `times` trainings whose experiment contains `match`.

    `fails_at` is the share of the pace after which it fails with `reason` (and `code`, one of the Jobs API's
    termination codes). `pace` replaces the workspace's, in seconds. `gpu_wait` is the time, in seconds, for which an
    AI Runtime task waits for its GPU. `registration` is what becomes of the model's version: READY,
    FAILED_REGISTRATION, PENDING_REGISTRATION (it stays so), or NONE (no version is made).
    """

    match: str = ""
    fails_at: float | None = None
    reason: str = "CUDA out of memory."
    code: str = "RUN_EXECUTION_ERROR"
    pace: float | None = None
    gpu_wait: float | None = None
    registration: str = "READY"
    times: int | None = 1


@dataclass(slots=True)
class Outcomes:
    """The outcomes to come, the first that fits first."""

    scripted: list[Outcome] = field(default_factory=list)

    def add(self, outcome: Outcome) -> Outcome:
        self.scripted.append(outcome)
        return outcome

    def script(self, match: str = "", **rest: Any) -> Outcome:  # noqa: ANN401  (the fields of Outcome)
        """Let the next training in an experiment whose name contains `match` end so; the rest as `Outcome` says."""
        return self.add(Outcome(match=match, **rest))

    def take(self, experiment: str) -> Outcome:
        for outcome in list(self.scripted):
            if outcome.match in experiment and outcome.times != 0:
                if outcome.times is not None:
                    outcome.times -= 1
                return outcome
        return Outcome()
