"""The protocol graphql-transport-ws (https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md), server side."""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import aclosing, suppress
from typing import Any, Final

from graphql import GraphQLFormattedError
from starlette.websockets import WebSocket, WebSocketDisconnect

from schema.execution.documents import Refusal
from schema.execution.json_text import NotJson, decode, encode
from schema.execution.operations import Execution, failed
from schema.reads.context import Context
from schema.transport.timing import Timing

PROTOCOL: Final = "graphql-transport-ws"
MOST_STREAMS: Final = 100
LONGEST_ID: Final = 128
LONGEST_REASON: Final = 123  # bytes, of a close frame


class Closing(Exception):
    """The client broke the protocol; the socket is closed with a code that clients know."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason.encode(errors="replace")[:LONGEST_REASON].decode(errors="ignore")


class Conversation:
    """One socket, from its handshake to its end."""

    def __init__(self, socket: WebSocket, execution: Execution, context: Context, timing: Timing) -> None:
        self._socket = socket
        self._execution = execution
        self._context = context
        self._timing = timing
        self._streams: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._acknowledged = False

    async def run(self) -> None:
        """Converse until one side ends it. What is under way then ends too."""
        with suppress(OSError, WebSocketDisconnect):  # the client was quicker
            if PROTOCOL in self._socket.scope["subprotocols"]:
                await self._socket.accept(PROTOCOL)
                await self._converse()
            else:
                await self._socket.accept()
                await self._close(Closing(4406, "Subprotocol not acceptable"))

    async def _converse(self) -> None:
        self._start(self._ping(), "websocket ping")
        closing = None
        try:
            async with asyncio.timeout(self._timing.init_within) as patience:
                while True:
                    await self._receive()
                    if self._acknowledged:
                        patience.reschedule(None)
        except Closing as broken:
            closing = broken
        except TimeoutError:
            closing = Closing(4408, "Connection initialisation timeout")
        finally:
            await self._end_tasks()
        if closing is not None:
            await self._close(closing)

    async def _receive(self) -> None:
        message = await self._message()
        match message.get("type"):
            case "connection_init":
                await self._acknowledge()
            case "ping":
                await self._send({"type": "pong"})
            case "pong":
                pass
            case "subscribe":
                await self._subscribe(message)
            case "complete":
                self._complete(message)
            case str(kind):
                raise Closing(4400, f"Unknown message type {kind[:40]!a}")
            case _:
                raise Closing(4400, "The type of a message must be a string")

    async def _acknowledge(self) -> None:
        if self._acknowledged:
            raise Closing(4429, "Too many initialisation requests")
        self._acknowledged = True
        await self._send({"type": "connection_ack"})

    def _complete(self, message: dict[str, Any]) -> None:
        """Stop an operation. One that the server has just completed itself is no longer there, and that is fine."""
        if (task := self._streams.pop(_id(message), None)) is not None:
            task.cancel()

    async def _subscribe(self, message: dict[str, Any]) -> None:
        if not self._acknowledged:
            raise Closing(4401, "Unauthorized")
        stream = _id(message)
        if stream in self._streams:
            raise Closing(4409, f"Subscriber for {stream} already exists")
        if not isinstance(message.get("payload"), dict):
            raise Closing(4400, "The payload of subscribe must be an object")
        if len(self._streams) >= MOST_STREAMS:
            error = {
                "message": f"more than {MOST_STREAMS} operations on one socket",
                "extensions": {"code": "TOO_MANY_OPERATIONS"},
            }
            await self._send({"id": stream, "type": "error", "payload": [error]})
            return
        self._streams[stream] = self._start(self._stream(stream, message["payload"]), f"stream {stream}")

    async def _stream(self, stream: str, payload: dict[str, Any]) -> None:
        """Tell the answers of an operation and how it ended. Its id is free again before the client hears that."""
        try:
            errors = await self._tell(stream, payload)
        except WebSocketDisconnect:
            return
        except Exception as error:  # noqa: BLE001  (it is logged and masked, and ends this operation alone)
            errors = failed(error).unexecuted
        if self._streams.get(stream) is not asyncio.current_task():
            return
        del self._streams[stream]
        with suppress(WebSocketDisconnect):
            ending = {"type": "error", "payload": errors} if errors else {"type": "complete"}
            await self._send({"id": stream, **ending})

    async def _tell(self, stream: str, payload: dict[str, Any]) -> Sequence[GraphQLFormattedError]:
        """Tell the answers, and return the errors that ended them."""
        try:
            prepared = await self._execution.prepare(payload)
        except Refusal as refusal:
            return refusal.errors
        async with aclosing(self._execution.answers(prepared, self._context)) as answers:
            async for answer in answers:
                if answer.unexecuted:
                    return answer.unexecuted
                await self._send_text(b'{"id":%b,"type":"next","payload":%b}' % (encode(stream), answer.json))
        return ()

    async def _message(self) -> dict[str, Any]:
        frame = await self._socket.receive()
        if frame["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(frame.get("code", 1005))
        text = frame.get("text")
        try:
            message = None if text is None else decode(text)
        except NotJson:
            message = None
        if not isinstance(message, dict):
            raise Closing(4400, "A message must be a JSON object in a text frame")
        if not isinstance(message.get("payload"), dict | None):
            raise Closing(4400, "The payload of a message must be an object")
        return message

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(self._timing.ping_every)
            await self._send({"type": "ping"})

    async def _send(self, message: dict[str, Any]) -> None:
        """Send a message. Raises WebSocketDisconnect, also where the socket has just been closed from our side."""
        await self._send_text(encode(message))

    async def _send_text(self, message: bytes) -> None:
        try:
            await self._socket.send_text(message.decode())
        except RuntimeError:
            raise WebSocketDisconnect(1006) from None

    async def _close(self, closing: Closing) -> None:
        with suppress(RuntimeError, WebSocketDisconnect):  # the client was quicker
            await self._socket.close(closing.code, closing.reason)

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _end_tasks(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _id(message: dict[str, Any]) -> str:
    found = message.get("id")
    if not isinstance(found, str) or not 1 <= len(found) <= LONGEST_ID:
        raise Closing(4400, f"An id must be a string of 1 to {LONGEST_ID} characters")
    return found
