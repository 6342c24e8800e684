"""A line to hold, and what was measured of it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """A line to hold: what it says, what was found, and whether that holds; None when it was not measured."""

    says: str
    found: str = "not measured"
    holds: bool | None = None
