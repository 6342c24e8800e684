"""How many connections are open at once, and how long each may take to send a request."""

import asyncio
import ipaddress
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol

import structlog

SWEEP_SECONDS: Final = 0.5

log: structlog.typing.FilteringBoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What one client may take. `most_of_address` does not hold for loopback, where proxies are."""

    most: int = 10_000
    most_of_address: int = 1_000
    request_line_bytes: int = 32 * 1024
    head_bytes: int = 64 * 1024  # the request line and all headers
    head_seconds: float = 10.0  # from the connection, or the first byte of a later request, to the last header
    body_seconds: float = 60.0
    silence_seconds: float = 10.0  # without a byte of a body that is not complete
    linger_seconds: float = 5.0  # for a client to read why it was refused while it still sends


class Expiring(Protocol):
    """A connection that owes something."""

    def expire(self) -> None:
        """End the connection, or set another deadline: its time is up."""


class Connections:
    """Counts open connections, and expires those that keep the server waiting; for one event loop.

    Deadlines are swept together every `SWEEP_SECONDS`: a request that arrives in one piece never has one.
    """

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self._open = 0
        self._by_address: Counter[str] = Counter()
        self._full = False
        self._deadlines: dict[Expiring, float] = {}
        self._sweep: asyncio.TimerHandle | None = None

    def admit(self, address: str) -> bool:
        """Count a connection; False when there are too many, and then `release` is not to be called."""
        full = self._open >= self.limits.most
        if full and not self._full:
            log.warning("too many connections", most=self.limits.most)
        self._full = full
        if full or (self._by_address[address] >= self.limits.most_of_address and not _is_loopback(address)):
            return False
        self._open += 1
        self._by_address[address] += 1
        return True

    def release(self, address: str) -> None:
        """A counted connection has ended."""
        self._open -= 1
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]

    def expire_in(self, connection: Expiring, seconds: float) -> None:
        """Expire a connection after so many seconds, instead of any deadline that it had."""
        loop = asyncio.get_running_loop()
        self._deadlines[connection] = loop.time() + seconds
        if self._sweep is None:
            self._sweep = loop.call_later(SWEEP_SECONDS, self._expire_due)

    def is_expiring(self, connection: Expiring) -> bool:
        """Whether a connection has a deadline."""
        return connection in self._deadlines

    def keep(self, connection: Expiring) -> None:
        """Take a connection's deadline away."""
        self._deadlines.pop(connection, None)

    def _expire_due(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in [each for each, deadline in self._deadlines.items() if deadline <= now]:
            del self._deadlines[connection]
            connection.expire()
        self._sweep = loop.call_later(SWEEP_SECONDS, self._expire_due) if self._deadlines else None


@lru_cache(maxsize=256)
def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:  # a Unix socket
        return True
