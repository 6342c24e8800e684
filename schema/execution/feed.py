"""What all feeds have in common: one task that reads when something changed, for all who ask the same."""

import asyncio
import contextvars
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import inf
from random import Random
from typing import Any, Final

import structlog
from graphql import GraphQLError, GraphQLFormattedError

from schema.execution.errors import masked
from schema.execution.json_text import encode
from schema.execution.subscribers import Payload, Subscriber, Write
from schema.reads.arguments import Request
from schema.reads.declare import Start
from schema.reads.plans import Plan
from server.domain import backoff
from server.services.following import Following
from server.storage.sessions import LOST

PORTION: Final = 32  # pushes, each a write to a socket of some 20 µs, before the loop serves others
# Between looks at different jobs, so that changes that come one by one, and fast, are read together. Those of one job
# that come while it is told are read together anyway.
REST_SECONDS: Final = 0.02
FIRST_RETRY_SECONDS: Final = 0.2
LONGEST_RETRY_SECONDS: Final = 5.0
DATABASE_IS_AWAY: Final = (*LOST, OSError)

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Reading:
    """How a feed reads: a plan with the values of those who share it.

    `key` is the response key of a payload. `complete` makes the result of what Python has a part in; None where the
    statement has all.
    """

    plan: Plan
    request: Request
    following: Following
    key: str
    complete: Callable[[bytes], Awaitable[bytes]] | None

    async def rows(self, *key: object) -> list[Any]:
        """The rows of the statement for a key: see `schema.reads.streams`."""
        self.request.key = key
        values = [fill(self.request) for fill in self.plan.fills]
        return await self.following.reads.rows(self.plan.sql, values)

    async def payload(self, json: bytes) -> Payload:
        """What is told of one row."""
        if self.complete is not None:
            return Payload(await self.complete(json))
        return Payload(b'{"data":{"%b":%b}}' % (self.key.encode(), json))

    def failure(self, error: Exception) -> Payload:
        """What is told in the place of a payload that could not be read."""
        located = GraphQLError(str(error), path=[self.key], original_error=error)
        return Payload(encode({"errors": [masked(located).formatted], "data": None}))


class Feed(ABC):
    """Reads for all subscribers of one statement with equal values, and queues each payload for all of them."""

    def __init__(self, reading: Reading, on_empty: Callable[[], None]) -> None:
        self.reading = reading
        self.subscribers: set[Subscriber] = set()
        self._on_empty = on_empty
        self._due = asyncio.Event()
        self._pushes = 0
        self._task: asyncio.Task[None] | None = None

    def join(self, wake: Callable[[], None], write: Write, start: Start) -> Subscriber:
        """A new subscriber."""
        subscriber = Subscriber(wake, self, start.after, write)
        self.subscribers.add(subscriber)
        self._admit(subscriber, start)
        if self._task is None:  # in a context of its own: a line in the log is about no single request
            loop = asyncio.get_running_loop()
            self._task = loop.create_task(self._follow(), name="feed", context=contextvars.Context())
        return subscriber

    def leave(self, subscriber: Subscriber) -> None:
        """Forget a subscriber; the feed ends with its last one."""
        if subscriber in self.subscribers:
            self.subscribers.discard(subscriber)
            self._dismiss(subscriber)
            if not self.subscribers:
                self._on_empty()
                if self._task is not None and self._task is not asyncio.current_task():
                    self._task.cancel()
                self._task = None

    def resume(self, subscriber: Subscriber) -> None:
        """See `Source`."""
        if subscriber in self.subscribers:
            self._again(subscriber)
            self._due.set()

    @abstractmethod
    def notice(self, job_id: str, at: datetime | None = None) -> None:
        """See `Follower`."""

    @abstractmethod
    def _admit(self, subscriber: Subscriber, start: Start) -> None: ...

    @abstractmethod
    def _dismiss(self, subscriber: Subscriber) -> None: ...

    @abstractmethod
    def _again(self, subscriber: Subscriber) -> None:
        """A subscriber has room again."""

    @abstractmethod
    async def _look(self) -> None:
        """Read what is due, and tell it. What could not be read is due again when this raises."""

    def _end(self, subscriber: Subscriber, errors: Sequence[GraphQLFormattedError] = ()) -> None:
        subscriber.end(errors)
        self.leave(subscriber)

    def _rest_seconds(self) -> float:
        """How long after the last look the next one may be, about what has changed by now."""
        return REST_SECONDS

    async def _breathe(self, pushes: int = 1) -> None:
        """Let the loop write what was pushed, and serve others, every `PORTION` pushes."""
        self._pushes += pushes
        if self._pushes >= PORTION:
            self._pushes = 0
            await asyncio.sleep(0)

    async def _follow(self) -> None:
        draw, failures = Random(), 0  # noqa: S311  (spreads retries)
        loop = asyncio.get_running_loop()
        looked = -inf
        while self.subscribers:
            await self._due.wait()
            if (rest := looked + self._rest_seconds() - loop.time()) > 0:
                await asyncio.sleep(rest)
            self._due.clear()
            try:
                await self._look()
                failures, looked = 0, loop.time()
            except DATABASE_IS_AWAY as error:
                failures += 1
                log.warning("a subscription could not be read", failures=failures, error=str(error))
                delay = backoff.delay(failures, first=FIRST_RETRY_SECONDS, longest=LONGEST_RETRY_SECONDS, draw=draw)
                await asyncio.sleep(delay)
                self._due.set()
            except Exception as error:  # noqa: BLE001  (it is logged and masked, and ends these subscriptions alone)
                self._fail(error, tuple(self.subscribers))

    def _fail(self, error: Exception, subscribers: Iterable[Subscriber]) -> None:
        formatted = masked(GraphQLError(str(error), original_error=error)).formatted
        for subscriber in subscribers:
            self._end(subscriber, [formatted])
