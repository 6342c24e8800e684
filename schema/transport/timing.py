"""How long the endpoint waits."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """In seconds."""

    init_within: float = 10.0  # a new WebSocket has to say connection_init
    ping_every: float = 20.0  # a client asks for an answer over a WebSocket that seems dead, and proxies see traffic
    comment_every: float = 15.0  # proxies drop a stream of server-sent events on which nothing happens
