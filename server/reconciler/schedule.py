"""When each run of a lane is observed next: kept in memory, and not missed when it is lost."""

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from server.domain.status import JobStatus
from server.storage.claims import Claim
from server.trainers.trainer import Capabilities

SETTLED_AFTER_SECONDS = 60.0  # from the creation, the submission or the beginning of the training
MOST_DOUBLINGS = 16


@dataclass(slots=True)
class Turn:
    """A job in the schedule, with what it has seen in a row.

    `failures` counts errors, `blind` observations that lacked the run, `quiet` those without anything new.
    """

    due: float
    under_way: bool = False
    hastened: bool = False
    failures: int = 0
    blind: int = 0
    quiet: int = 0


class Schedule:
    """Jobs and when they are due, by one clock in seconds."""

    def __init__(self) -> None:
        self.turns: dict[str, Turn] = {}

    def follow(self, job_ids: Collection[str], now: float) -> None:
        """These are the jobs to observe: new ones now, and others no more."""
        wanted = set(job_ids)
        for job_id in [job_id for job_id, turn in self.turns.items() if job_id not in wanted and not turn.under_way]:
            del self.turns[job_id]
        for job_id in wanted - self.turns.keys():
            self.turns[job_id] = Turn(now)

    def take(self, now: float, most: int) -> list[str]:
        """Up to so many jobs that are due, the longest due first; they are under way until they are put back."""
        due = [(turn.due, job_id) for job_id, turn in self.turns.items() if not turn.under_way and turn.due <= now]
        taken = [job_id for _, job_id in sorted(due)[:most]]
        for job_id in taken:
            self.turns[job_id].under_way = True
            self.turns[job_id].hastened = False
        return taken

    def put_back(self, job_id: str, due: float, now: float) -> None:
        """A job is due again then; at once, when something was told of it while it was observed."""
        if (turn := self.turns.get(job_id)) is not None:
            turn.due = now if turn.hastened else due
            turn.under_way = turn.hastened = False

    def hasten(self, job_ids: Iterable[str], now: float) -> None:
        """Something is new about these jobs."""
        for job_id in job_ids:
            if (turn := self.turns.get(job_id)) is not None:
                turn.due, turn.hastened = now, True

    def drop(self, job_id: str) -> None:
        """A job is not to be observed any more."""
        self.turns.pop(job_id, None)

    def next_due(self) -> float | None:
        """When the next job is due that is not under way."""
        return min((turn.due for turn in self.turns.values() if not turn.under_way), default=None)


def interval_seconds(claim: Claim, capabilities: Capabilities, *, waits: bool, begins: bool) -> float:
    """Until a run is observed again: soon while it is new or about to end, rarely while it waits in a told line."""
    if waits and claim.status is JobStatus.QUEUED:
        return capabilities.queue_interval or capabilities.observe_interval
    quick = capabilities.quick_interval or capabilities.observe_interval
    new = begins or claim.settled_age < SETTLED_AFTER_SECONDS
    ending = claim.estimated_end_in is not None and abs(claim.estimated_end_in) < SETTLED_AFTER_SECONDS
    return quick if new or ending else capabilities.observe_interval


def longer_while_quiet(interval: float, quiet: int, capabilities: Capabilities) -> float:
    """An interval in seconds after so many observations without anything new: twice as long after each, to a limit."""
    doublings = min(quiet, MOST_DOUBLINGS)
    return max(interval, min(interval * float(2**doublings), capabilities.quiet_interval))


def next_tick(now: float, interval: float) -> float:
    """The next multiple of an interval: runs that share it are observed together, whenever each was first."""
    return (math.floor(now / interval) + 1) * interval
