"""What is measured in a training, from the trainer that tells it to the registry that keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class MetricPoint:
    """The metrics of one step, by their names; one that is missing here was not measured there.

    A trainer may report a value that is not finite; what is stored and logged is finite.
    """

    step: int
    at: datetime
    values: Mapping[str, float]
