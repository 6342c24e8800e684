"""How much of large bodies is held in memory at once, over all requests."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from starlette.types import Message, Receive, Scope

from schema.offload import Overloaded

SMALL_BYTES: Final = 64 * 1024  # of a body; they are not counted
MOST_BYTES: Final = 48 * 1024 * 1024  # a body takes up to three times its size until it is decoded


class Incoming:
    """The bytes of the bodies that are being read and answered."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._held_bytes = 0

    @contextmanager
    def counted(self, scope: Scope, receive: Receive) -> Iterator[Receive]:
        """`receive` for one request, whose body counts until the context ends.

        It raises `Overloaded` where a large body finds no room.
        """
        if _is_small(scope):
            yield receive
            return
        received = held = 0

        async def receiving() -> Message:
            nonlocal received, held
            message = await receive()
            received += len(message.get("body", b""))
            more = max(received - SMALL_BYTES, 0) - held
            if more and self._held_bytes + more > self._most_bytes:
                raise Overloaded
            held += more
            self._held_bytes += more
            return message

        try:
            yield receiving
        finally:
            self._held_bytes -= held


def _is_small(scope: Scope) -> bool:
    """Whether a body is said to be small; the server holds it to that."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) <= SMALL_BYTES
    return bool(scope["method"] == "GET")
