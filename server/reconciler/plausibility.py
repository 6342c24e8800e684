"""Which values of a trainer's observation can be true and be stored; the names of all others are kept."""

import math
from datetime import UTC, datetime
from typing import Final

MAX_WHOLE: Final = 2**31 - 1  # Postgres' integer
MAX_BIG: Final = 2**63 - 1  # its bigint
MAX_SECONDS: Final = 1e10
MAX_NAME_CHARACTERS: Final = 250
EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)


class Plausibility:
    """Checks the values of one observation; `impossible` are the names of those that can't be true."""

    def __init__(self) -> None:
        self.impossible: set[str] = set()

    def whole(self, name: str, value: int | None, most: int = MAX_WHOLE) -> int | None:
        """A whole number from 0 to `most`; None for any other, whose name is kept in `impossible`."""
        if value is None or (isinstance(value, int) and 0 <= value <= most):
            return value
        self.impossible.add(name)
        return None

    def seconds(self, name: str, value: float | None) -> float | None:
        """A duration from 0 to `MAX_SECONDS`; None for any other, whose name is kept in `impossible`."""
        number = None if value is None else finite(value)
        if value is None or (number is not None and 0 <= number <= MAX_SECONDS):
            return number
        self.impossible.add(name)
        return None

    def moment(self, name: str, value: datetime | None) -> datetime | None:
        """A time from 2000 to 2200 with its zone; None for any other, whose name is kept in `impossible`."""
        if value is None or (value.tzinfo is not None and EARLIEST <= value <= LATEST):
            return value
        self.impossible.add(name)
        return None

    def name(self, name: str, value: str | None) -> str | None:
        """A name by which something is found: never a part of it, nor what can't be stored."""
        if not value or (len(value) <= MAX_NAME_CHARACTERS and storable(value) == value):
            return value or None
        self.impossible.add(name)
        return None


def finite(value: float) -> float | None:
    """A number that a column takes; None for NaN, infinities, and whole numbers that are too large."""
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def storable(text: str) -> str:
    """A text without what Postgres does not hold: NUL becomes U+FFFD, a lone surrogate "?"."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
