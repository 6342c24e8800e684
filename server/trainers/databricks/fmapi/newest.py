"""What the newest values of runs say without their histories: many runs are searched with one request.

The search tells of each metric only its last value. Where steps follow one another, what two searches saw is all that
there is; else a run's history has to be read, at a bounded rate.
"""

import math
from dataclasses import dataclass
from typing import Final

from server.domain.metrics import MetricPoint
from server.trainers.databricks.fmapi.metrics import named
from server.trainers.databricks.mlflow_runs import Newest, RunMetrics, latest, points_at

FIRST_STEP: Final = 1  # a run that is not further has hardly anything to tell
PAUSE_SECONDS: Final = 20.0  # of saved-up requests, at most


@dataclass(frozen=True, slots=True)
class Unread:
    """The history has to be read: `requests` is how many that takes."""

    requests: int


def conclude(after: int | None, before: Newest | None, now: Newest, *, ended: bool) -> RunMetrics | Unread:
    """What is known of the steps behind `after`, from the newest values at the last search and at this one.

    The newest step is among the points: whoever tells them leaves it out while the run goes on.
    """
    top = _top(now)
    start = -1 if after is None else after
    waits = not ended and after is None and before is None
    if top is None or top <= start or (waits and top <= FIRST_STEP):
        return RunMetrics((), latest(now))
    newest = points_at(now, top, named)
    if after is not None and top == after + 1:
        return RunMetrics((newest,), latest(now))
    middle = None if before is None else _top(before)
    # a metric that was not told at the middle step may have been measured there since
    told_before = before is not None and all(
        key in before and before[key].step == middle for key, value in now.items() if value.step == top
    )
    if after is not None and before is not None and told_before and middle == after + 1 and top == middle + 1:
        earlier, later = points_at(before, middle, named), points_at(now, middle, named)
        whole = MetricPoint(middle, max(earlier.at, later.at), {**earlier.values, **later.values})
        return RunMetrics((whole, newest), latest(now))
    return Unread(1 + len({named(key) for key, value in now.items() if value.step > start}))


def _top(newest: Newest) -> int | None:
    return max((value.step for value in newest.values()), default=None)


class Allowance:
    """Requests that may be made: so many a second, saved up while nobody asks for them."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._left = per_second * PAUSE_SECONDS
        self._counted_at: float | None = None

    def take(self, requests: int, now: float) -> bool:
        """Whether so many may be made now; one run's are, as soon as any are left."""
        if math.isinf(self._per_second):
            return True
        passed = 0.0 if self._counted_at is None else now - self._counted_at
        self._left = min(self._left + passed * self._per_second, self._per_second * PAUSE_SECONDS)
        self._counted_at = now
        if self._left <= 0:
            return False
        self._left -= requests
        return True
