"""What each operation is given: who asks, and what answers."""

from dataclasses import dataclass
from typing import TypeAlias

import strawberry

from schema.reads.plans import Plans
from server.assembly import Services
from server.domain.caller import Caller


@dataclass(frozen=True, slots=True)
class Context:
    """Holds nothing of one operation: a WebSocket shares it among all of its own, for hours."""

    caller: Caller
    services: Services
    plans: Plans


Info: TypeAlias = strawberry.Info[Context, None]
