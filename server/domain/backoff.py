"""When to look again after a failure."""

import random


def delay(failures: int, *, first: float, longest: float, draw: random.Random) -> float:
    """Seconds to wait after `failures` failures in a row (1 or more): doubling from `first` up to `longest`.

    Spread over the upper half of the interval ("equal jitter"), so that what failed together does not return together.
    """
    ceiling = min(longest, first * 2.0 ** min(failures - 1, 32))
    return ceiling / 2 + draw.random() * ceiling / 2
