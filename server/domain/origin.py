"""Where a page of a browser comes from, and where a server is reached.

An origin is a scheme, a host and a port (RFC 6454): a page on another port of this machine is a foreign one.
"""

import re
from dataclasses import dataclass
from typing import Final, Self

HOST: Final = re.compile(r"(?P<host>[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?", re.ASCII)
ORIGIN: Final = re.compile(r"(?P<scheme>https?)://(?P<authority>.+)", re.ASCII)
DEFAULT_PORTS: Final = {"http": 80, "https": 443}
LARGEST_PORT: Final = 65535


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port, in lower case; an IPv6 address has its brackets."""

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """An origin as browsers write it. Raises ValueError: a path, a user, another scheme, or no such form."""
        written = ORIGIN.fullmatch(text.lower())
        if written is None:
            raise ValueError(f"{text!r} is not scheme://host[:port]")
        return cls.from_authority(written["scheme"], written["authority"])

    @classmethod
    def from_authority(cls, scheme: str, authority: str) -> Self:
        """The origin of a server that is reached under `authority`, the value of a Host header. Raises ValueError."""
        written = HOST.fullmatch(authority.lower())
        if written is None:
            raise ValueError(f"{authority!r} is not host[:port]")
        port = DEFAULT_PORTS[scheme] if written["port"] is None else int(written["port"])
        if not 0 < port <= LARGEST_PORT:
            raise ValueError(f"{authority!r} has no such port")
        return cls(scheme, written["host"], port)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}" + ("" if self.port == DEFAULT_PORTS[self.scheme] else f":{self.port}")
