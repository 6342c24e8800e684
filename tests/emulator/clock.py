"""The time in which trainings move, and what is going to happen in it."""

import heapq
import itertools
import time
from collections.abc import Callable
from datetime import UTC, datetime


class Clock:
    """Seconds since the epoch: real time, unless it is held; it can be put forward in either case."""

    def __init__(self, held_at: float | None = None) -> None:
        self._held_at = held_at
        self._ahead = 0.0

    def now(self) -> float:
        return (time.time() if self._held_at is None else self._held_at) + self._ahead

    def advance(self, seconds: float) -> float:
        """Put it forward; the new time."""
        if seconds < 0:
            raise ValueError("Time goes forward.")
        self._ahead += seconds
        return self.now()


class Agenda:
    """What is going to happen, carried out when somebody looks.

    Each effect sees its own moment as now, so what is found does not depend on when it is looked for.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._effects: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._moment: float | None = None

    def now(self) -> float:
        return self._clock.now() if self._moment is None else self._moment

    def millis(self) -> int:
        return round(self.now() * 1000)

    def after(self, seconds: float, effect: Callable[[], None]) -> None:
        heapq.heappush(self._effects, (self.now() + seconds, next(self._order), effect))

    def catch_up(self) -> None:
        """Let everything happen that is due by now, in its order."""
        until = self._clock.now()
        while self._effects and self._effects[0][0] <= until:
            self._moment, _, effect = heapq.heappop(self._effects)
            try:
                effect()
            finally:
                self._moment = None


def iso(seconds: float) -> str:
    """The way FMAPI writes times."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
