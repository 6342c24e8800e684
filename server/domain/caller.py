"""Who makes a request: taken from it once, and handed to every service that it calls."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """`name` stands in createdBy, reviewedBy and as the actor of events."""

    name: str


LOCAL = Caller("local")
