"""What stands between a feed and one client: a bounded queue of payloads that many queues share."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

from graphql import GraphQLFormattedError

MOST_PAYLOADS: Final = 64
MOST_BYTES: Final = 256 * 1024


class Payload:
    """The result of one event as JSON; `framed` and `unbroken` are made once for all who send it."""

    __slots__ = ("_frame", "_head", "_text", "_unbroken", "json")

    def __init__(self, json: bytes) -> None:
        self.json = json
        self._text = ""
        self._head = self._frame = ""
        self._unbroken = b""

    def framed(self, head: str, tail: str) -> str:
        """The JSON between a head and a tail; kept for the next who asks with this head, so a head has one tail."""
        if self._head != head:
            self._text = self._text or self.json.decode()
            self._frame = f"{head}{self._text}{tail}"
            self._head = head
        return self._frame

    def unbroken(self) -> bytes:
        """The JSON on one line. Postgres breaks lines between the items of a list; breaks in a string are escaped."""
        if not self._unbroken:
            self._unbroken = self.json.translate(None, b"\r\n")
        return self._unbroken


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a subscription; `errors` in the form that clients get, none where it has told all there is."""

    errors: Sequence[GraphQLFormattedError] = ()


Write: TypeAlias = Callable[[Payload], bool]


def queued(_payload: Payload) -> bool:
    """The `write` of a client that takes all from its queue."""
    return False


class Source(Protocol):
    """What a subscriber belongs to."""

    def resume(self, subscriber: "Subscriber") -> None:
        """A subscriber that had no room has taken all that it had."""

    def leave(self, subscriber: "Subscriber") -> None:
        """A subscriber wants no more."""


class Subscriber:
    """The queue of one client. `wake` is called when there is something to take where there was nothing.

    `write` sends a payload to the client at once, and returns False where it cannot: then the payload is queued.
    `after` is the feed's: up to where this subscriber was told. `starved` says that the feed could not give it all.
    """

    __slots__ = ("_ending", "_pending", "_size", "_source", "_wake", "_write", "after", "closed", "starved")

    def __init__(
        self,
        wake: Callable[[], None],
        source: Source | None = None,
        after: Any = None,  # noqa: ANN401
        write: Write = queued,
    ) -> None:
        self.after = after
        self.closed = self.starved = False
        self._wake = wake
        self._write = write
        self._source = source
        self._pending: deque[Payload] = deque()
        self._size = 0
        self._ending: Ending | None = None

    @property
    def has_room(self) -> bool:
        """Whether another payload may be pushed."""
        return len(self._pending) < MOST_PAYLOADS and self._size < MOST_BYTES

    @property
    def waiting(self) -> bool:
        """Whether there is something to take."""
        return bool(self._pending) or self._ending is not None

    def push(self, payload: Payload) -> None:
        """Send a payload, or add it to the queue."""
        if self.closed or (not self._pending and self._write(payload)):
            return
        self._pending.append(payload)
        self._size += len(payload.json)
        if len(self._pending) == 1:
            self._wake()

    def replace(self, payload: Payload) -> None:
        """Put a payload in the place of those that were not taken yet."""
        waits = bool(self._pending)
        self._pending.clear()
        self._size = 0
        if waits and not self.closed:
            self._pending.append(payload)
            self._size = len(payload.json)
        else:
            self.push(payload)

    def end(self, errors: Sequence[GraphQLFormattedError] = ()) -> None:
        """Add nothing more; the subscriber has left its feed."""
        if not self.closed:
            self.closed = True
            self._ending = Ending(errors)
            if not self._pending:
                self._wake()

    def take(self) -> Payload | Ending | None:
        """The next payload; when all are taken the ending, once, or None."""
        if self._pending:
            payload = self._pending.popleft()
            self._size -= len(payload.json)
            if self.starved and not self._pending and self._source is not None:
                self.starved = False
                self._source.resume(self)
            return payload
        ending, self._ending = self._ending, None
        return ending

    def close(self) -> None:
        """The client wants no more, or is gone."""
        self._pending.clear()
        self._size = 0
        self._ending = None
        if not self.closed:
            self.closed = True
            if self._source is not None:
                self._source.leave(self)
