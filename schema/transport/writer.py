"""What one WebSocket sends: frames of its operations, in turn, and pings."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, TypeAlias

from graphql import GraphQLFormattedError
from starlette.types import Scope, Send
from starlette.websockets import WebSocketDisconnect

from schema.execution.json_text import encode
from schema.execution.subscribers import Payload, Subscriber
from server.web.frames import WRITE_TEXT

PING: Final = '{"type":"ping"}'

Start: TypeAlias = Callable[[Coroutine[Any, Any, None], str], "asyncio.Task[None]"]
Complete: TypeAlias = Callable[["Stream", Sequence[GraphQLFormattedError]], Awaitable[None]]


class Stream:
    """An operation under its id. A subscription has a subscriber, once it has begun; the rest has a task."""

    __slots__ = ("head", "id", "ready", "subscriber", "task", "writer")

    def __init__(self, id_: str, writer: "Writer") -> None:
        self.id = id_
        self.head = f'{{"id":{encode(id_).decode()},"type":"next","payload":'
        self.writer = writer
        self.ready = False
        self.subscriber: Subscriber | None = None
        self.task: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """There is something to send."""
        self.writer.add(self)

    def write(self, payload: Payload) -> bool:
        """Send a payload at once; False where it has to wait."""
        return self.writer.write(payload.framed(self.head, "}"))

    def end(self) -> None:
        """Send nothing more."""
        if self.task is not None:
            self.task.cancel()
        if self.subscriber is not None:
            self.subscriber.close()


class Writer:
    """Sends what the subscriptions of one socket have to tell, and pings: at once as long as the client keeps up.

    For a client that does not there is a task, which sends one frame of each subscription in turn. It holds one frame;
    the rest waits in the queues of the subscribers. `start` makes that task, `complete` tells how a subscription ended.
    """

    def __init__(self, scope: Scope, send: Send, start: Start, complete: Complete) -> None:
        self._send = send
        self._start = start
        self._complete = complete
        extension = scope.get("extensions", {}).get(WRITE_TEXT)
        self._write: Callable[[str], bool] | None = extension and extension["write"]
        self._ready: deque[Stream] = deque()
        self._pinging = False
        self._task: asyncio.Task[None] | None = None
        self._ended = False

    def write(self, text: str) -> bool:
        """Send a frame at once; False where it has to wait, or others wait already."""
        return self._task is None and self._write is not None and self._write(text)

    def add(self, stream: Stream) -> None:
        """Send what a stream has in its queue."""
        if not stream.ready:
            stream.ready = True
            self._ready.append(stream)
            self._begin()

    def ping(self) -> None:
        """Send a ping, unless one still waits to be sent."""
        if not self.write(PING):
            self._pinging = True
            self._begin()

    def end(self) -> None:
        """Start no more."""
        self._ended = True

    def _begin(self) -> None:
        if self._task is None and not self._ended:
            self._task = self._start(self._run(), "websocket writer")

    async def _run(self) -> None:
        try:
            while self._ready or self._pinging:
                while self._ready:
                    await self._send_next(self._ready.popleft())
                if self._pinging:
                    await self._send({"type": "websocket.send", "text": PING})
                    self._pinging = False
        except (OSError, RuntimeError, WebSocketDisconnect):  # RuntimeError: this side has closed
            self._ended = True
        finally:
            self._task = None

    async def _send_next(self, stream: Stream) -> None:
        stream.ready = False
        subscriber = stream.subscriber
        item = subscriber.take() if subscriber is not None else None
        if isinstance(item, Payload):
            if subscriber is not None and subscriber.waiting:
                self.add(stream)
            await self._send({"type": "websocket.send", "text": item.framed(stream.head, "}")})
        elif item is not None:
            await self._complete(stream, item.errors)
