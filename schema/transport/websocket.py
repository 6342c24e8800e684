"""The protocol graphql-transport-ws (https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md), server side.

It speaks ASGI itself: what Starlette's WebSocket adds is paid for each message of each socket.
"""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from graphql import GraphQLFormattedError, OperationType
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from schema.execution.documents import Refusal
from schema.execution.json_text import NotJson, encode
from schema.execution.operations import Execution, failed
from schema.execution.preparation import Prepared
from schema.offload import Overloaded
from schema.reads.context import Context
from schema.transport import decoding
from schema.transport.heartbeat import Heartbeat
from schema.transport.timing import Timing
from schema.transport.writer import Stream, Writer

PROTOCOL: Final = "graphql-transport-ws"
MOST_STREAMS: Final = 100
LONGEST_ID: Final = 128
LONGEST_REASON_BYTES: Final = 123  # of a close frame
OBJECTS: Final = ("variables", "extensions")


class Closing(Exception):
    """The client broke the protocol; the socket is closed with a code that clients know."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason.encode(errors="replace")[:LONGEST_REASON_BYTES].decode(errors="ignore")


class Conversation:
    """One socket, from its handshake to its end."""

    def __init__(  # noqa: PLR0913  (ASGI's three, and what they are served with)
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        execution: Execution,
        context: Context,
        timing: Timing,
        pings: Heartbeat,
    ) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._execution = execution
        self._context = context
        self._init_within = timing.init_within
        self._pings = pings
        self._streams: dict[str, Stream] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._writer = Writer(scope, send, self.start, self.complete)
        self._acknowledged = False

    async def run(self) -> None:
        """Converse until one side ends it. What is under way then ends too."""
        with suppress(OSError, WebSocketDisconnect):  # the client was quicker
            await self._receive()  # websocket.connect
            if PROTOCOL in self._scope["subprotocols"]:
                await self._send({"type": "websocket.accept", "subprotocol": PROTOCOL, "headers": []})
                await self._converse()
            else:
                await self._send({"type": "websocket.accept", "subprotocol": None, "headers": []})
                await self._close(Closing(4406, "Subprotocol not acceptable"))

    async def _converse(self) -> None:
        self._pings.add(self)
        closing = None
        try:
            async with asyncio.timeout(self._init_within) as patience:
                while True:
                    await self._handle(await self._message())
                    if self._acknowledged:
                        patience.reschedule(None)
        except Closing as broken:
            closing = broken
        except TimeoutError:
            closing = Closing(4408, "Connection initialisation timeout")
        finally:
            self._pings.remove(self)
            await self._end_all()
        if closing is not None:
            await self._close(closing)

    def beat(self) -> None:
        """See `Heartbeat`."""
        self._writer.ping()

    async def _handle(self, message: dict[str, Any]) -> None:
        match message.get("type"):
            case "connection_init":
                await self._acknowledge()
            case "ping":
                await self.send({"type": "pong"})
            case "pong":
                pass
            case "subscribe":
                await self._handle_subscribe(message)
            case "complete":
                self._handle_complete(message)
            case str(kind):
                raise Closing(4400, f"Unknown message type {kind[:40]!a}")
            case _:
                raise Closing(4400, "The type of a message must be a string")

    async def _acknowledge(self) -> None:
        if self._acknowledged:
            raise Closing(4429, "Too many initialisation requests")
        self._acknowledged = True
        await self.send({"type": "connection_ack"})

    def _handle_complete(self, message: dict[str, Any]) -> None:
        """Stop an operation. One that the server has just completed itself is no longer there, and that is fine."""
        if (stream := self._streams.pop(_id(message), None)) is not None:
            stream.end()

    async def _handle_subscribe(self, message: dict[str, Any]) -> None:
        if not self._acknowledged:
            raise Closing(4401, "Unauthorized")
        id_ = _id(message)
        payload = _payload(message)
        if id_ in self._streams:
            raise Closing(4409, f"Subscriber for {id_} already exists")
        if len(self._streams) >= MOST_STREAMS:
            error: GraphQLFormattedError = {
                "message": f"more than {MOST_STREAMS} operations on one socket",
                "extensions": {"code": "TOO_MANY_OPERATIONS"},
            }
            await self.send({"id": id_, "type": "error", "payload": [error]})
            return
        stream = self._streams[id_] = Stream(id_, self._writer)
        stream.task = self.start(self._begin(stream, payload), f"stream {id_}")

    async def _begin(self, stream: Stream, payload: Mapping[str, Any]) -> None:
        """Execute an operation; a subscription goes on in its subscriber's queue, and needs no task."""
        errors: Sequence[GraphQLFormattedError] = ()
        try:
            prepared = await self._execution.prepare(payload)
            if prepared.operation.type is OperationType.SUBSCRIPTION:
                stream.subscriber = await self._execution.subscribe(prepared, self._context, stream.wake, stream.write)
                stream.task = None
                return
            errors = await self._execute(stream, prepared)
        except Refusal as refusal:
            errors = refusal.errors
        except (OSError, WebSocketDisconnect):
            return
        except Exception as error:  # noqa: BLE001  (it is logged and masked, and ends this operation alone)
            errors = failed(error).unexecuted
        await self.complete(stream, errors)

    async def _execute(self, stream: Stream, prepared: Prepared) -> Sequence[GraphQLFormattedError]:
        response = await self._execution.execute_masked(prepared, self._context)
        if not response.unexecuted:
            await self.send_text(f"{stream.head}{response.json.decode()}}}")
        return response.unexecuted

    async def complete(self, stream: Stream, errors: Sequence[GraphQLFormattedError] = ()) -> None:
        """Tell how an operation ended. Its id is free again before the client hears that."""
        if self._streams.get(stream.id) is stream:
            del self._streams[stream.id]
            with suppress(OSError, WebSocketDisconnect):
                ending = {"type": "error", "payload": errors} if errors else {"type": "complete"}
                await self.send({"id": stream.id, **ending})

    async def _message(self) -> dict[str, Any]:
        frame = await self._receive()
        if frame["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(frame.get("code", 1005))
        text = frame.get("text")
        try:
            message = None if text is None else await decoding.decoded(text, self._execution.offload)
        except NotJson:
            message = None
        except Overloaded:
            raise Closing(1013, "The server is busy with other large requests; try again later") from None
        if not isinstance(message, dict):
            raise Closing(4400, "A message must be a JSON object in a text frame")
        if not isinstance(message.get("payload"), dict | None):
            raise Closing(4400, "The payload of a message must be an object")
        return message

    async def send(self, message: Mapping[str, Any]) -> None:
        """Send a message. Raises what `send_text` does."""
        await self.send_text(encode(message).decode())

    async def send_text(self, text: str) -> None:
        """Send a frame. Raises OSError when the client has gone, and WebSocketDisconnect when this side has closed."""
        try:
            await self._send({"type": "websocket.send", "text": text})
        except RuntimeError:
            raise WebSocketDisconnect(1006) from None

    async def _close(self, closing: Closing) -> None:
        with suppress(OSError, RuntimeError):  # the client was quicker
            await self._send({"type": "websocket.close", "code": closing.code, "reason": closing.reason})

    def start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """A task that ends with the conversation, at the latest."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _end_all(self) -> None:
        for stream in self._streams.values():
            stream.end()
        self._streams.clear()
        self._writer.end()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _id(message: dict[str, Any]) -> str:
    given = message.get("id")
    if not isinstance(given, str) or not 1 <= len(given) <= LONGEST_ID:
        raise Closing(4400, f"An id must be a string of 1 to {LONGEST_ID} characters")
    return given


def _payload(message: dict[str, Any]) -> dict[str, Any]:
    """What to execute, of the form that the protocol gives it."""
    payload = message.get("payload")
    if not isinstance(payload, dict):
        raise Closing(4400, "The payload of subscribe must be an object")
    if not isinstance(payload.get("query"), str):
        raise Closing(4400, "The query of a payload must be a string")
    if not isinstance(payload.get("operationName"), str | None):
        raise Closing(4400, "The operationName of a payload must be a string")
    for name in OBJECTS:
        if not isinstance(payload.get(name), dict | None):
            raise Closing(4400, f"The {name} of a payload must be an object")
    return payload
