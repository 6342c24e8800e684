"""How much one request may ask for."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Limits:
    """The most values that an operation may ask for (`schema.execution.cost`), and the most bytes of its result."""

    cost: int = 500_000
    result_bytes: int = 32 * 1024 * 1024


LIMITS: Final = Limits()
