"""How much one request may ask for."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Limits:
    """The most values that an operation may ask for (`schema.execution.cost`), and the most bytes of its result.

    `cost_in_python` is for operations whose values graphql-core completes on the event loop, at some 10 µs each.
    """

    cost: int = 500_000
    cost_in_python: int = 20_000
    result_bytes: int = 16 * 1024 * 1024


LIMITS: Final = Limits()
