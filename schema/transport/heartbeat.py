"""One timer for all connections that are to show signs of life; a task for each costs as much as all else of it."""

import asyncio
from itertools import islice
from typing import Final, Protocol

PORTION: Final = 16  # connections whose turn it is, before the loop serves others


class Beating(Protocol):
    """A connection; `beat` must return at once."""

    def beat(self) -> None:
        """Show a sign of life."""


class Heartbeat:
    """Lets each connection beat every `every` seconds, from when it was added until it is removed."""

    def __init__(self, every: float) -> None:
        self._every = every
        self._due: dict[Beating, float] = {}  # the next first, since all beat at the same interval
        self._timer: asyncio.TimerHandle | None = None

    def add(self, connection: Beating) -> None:
        """Begin with a connection."""
        self._due[connection] = asyncio.get_running_loop().time() + self._every
        if self._timer is None:
            self._schedule()

    def remove(self, connection: Beating) -> None:
        """End with it."""
        self._due.pop(connection, None)
        if not self._due and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self) -> None:
        self._timer = asyncio.get_running_loop().call_at(next(iter(self._due.values())), self._beat)

    def _beat(self) -> None:
        now = asyncio.get_running_loop().time()
        for connection, due in tuple(islice(self._due.items(), PORTION)):
            if due > now:
                break
            del self._due[connection]
            self._due[connection] = now + self._every
            connection.beat()
        self._timer = None
        if self._due:
            self._schedule()
