"""Who asks: decided once, at the door, and handed down to everything that answers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """`name` stands in createdBy, reviewedBy and as the actor of events."""

    name: str


LOCAL = Caller("local")
