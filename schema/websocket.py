"""The protocol graphql-transport-ws (https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md), server side."""

import asyncio
import json
from contextlib import aclosing, suppress
from typing import Any, Final

from starlette.websockets import WebSocket, WebSocketDisconnect

from schema.context import Context
from schema.documents import Refusal
from schema.execution import Execution, refused

PROTOCOL: Final = "graphql-transport-ws"
INIT_WITHIN: Final = 10.0  # seconds
PING_EVERY: Final = 20.0
MOST_STREAMS: Final = 100
LONGEST_ID: Final = 128
LONGEST_REASON: Final = 123  # bytes, of a close frame


class Closing(Exception):
    """The client broke the protocol; the socket is closed with a code that clients know."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason.encode()[:LONGEST_REASON].decode(errors="ignore")


class Conversation:
    """One socket, from its handshake to its end."""

    def __init__(self, socket: WebSocket, execution: Execution, context: Context) -> None:
        self._socket = socket
        self._execution = execution
        self._context = context
        self._streams: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._acknowledged = False

    async def run(self) -> None:
        """Converse until one side ends it. What is under way then ends too."""
        if PROTOCOL not in self._socket.scope["subprotocols"]:
            await self._socket.accept()
            await self._socket.close(4406, "Subprotocol not acceptable")
            return
        await self._socket.accept(PROTOCOL)
        pinging = asyncio.create_task(self._ping(), name="websocket ping")
        try:
            async with asyncio.timeout(INIT_WITHIN) as patience:
                while True:
                    await self._receive()
                    if self._acknowledged:
                        patience.reschedule(None)
        except Closing as closing:
            await self._close(closing)
        except TimeoutError:
            await self._close(Closing(4408, "Connection initialisation timeout"))
        except WebSocketDisconnect:
            pass
        finally:
            tasks = [pinging, *self._tasks]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _receive(self) -> None:
        message = await self._message()
        match message.get("type"):
            case "connection_init":
                if self._acknowledged:
                    raise Closing(4429, "Too many initialisation requests")
                self._acknowledged = True
                await self._send({"type": "connection_ack"})
            case "ping":
                await self._send({"type": "pong"})
            case "pong":
                pass
            case "subscribe":
                self._subscribe(message)
            case "complete":
                if (task := self._streams.pop(_id(message), None)) is not None:
                    task.cancel()
            case kind:
                raise Closing(4400, f"Unknown message type {str(kind)[:40]!a}")

    def _subscribe(self, message: dict[str, Any]) -> None:
        if not self._acknowledged:
            raise Closing(4401, "Unauthorized")
        stream = _id(message)
        if stream in self._streams:
            raise Closing(4409, f"Subscriber for {stream} already exists")
        if not isinstance(message.get("payload"), dict):
            raise Closing(4400, "The payload of subscribe must be an object")
        if len(self._tasks) >= MOST_STREAMS:
            raise Closing(4400, f"More than {MOST_STREAMS} operations on one socket")
        task = asyncio.create_task(self._stream(stream, message["payload"]), name=f"stream {stream}")
        self._streams[stream] = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _stream(self, stream: str, payload: dict[str, Any]) -> None:
        try:
            prepared = self._execution.prepare(payload)
            async with aclosing(self._execution.answers(prepared, self._context)) as answers:
                async for answer in answers:
                    if "data" not in answer:
                        await self._send({"id": stream, "type": "error", "payload": answer["errors"]})
                        return
                    await self._send({"id": stream, "type": "next", "payload": answer})
            await self._send({"id": stream, "type": "complete"})
        except Refusal as refusal:
            await self._send({"id": stream, "type": "error", "payload": refused(refusal)["errors"]})
        except WebSocketDisconnect:
            pass
        finally:
            if self._streams.get(stream) is asyncio.current_task():
                del self._streams[stream]

    async def _message(self) -> dict[str, Any]:
        frame = await self._socket.receive()
        if frame["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(frame.get("code", 1005))
        try:
            message = json.loads(frame["text"])
        except (KeyError, TypeError, ValueError, RecursionError):
            raise Closing(4400, "Frames must be text and hold JSON") from None
        if not isinstance(message, dict):
            raise Closing(4400, "A message must be a JSON object")
        return message

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(PING_EVERY)
            await self._send({"type": "ping"})

    async def _send(self, message: dict[str, Any]) -> None:
        await self._socket.send_text(json.dumps(message, ensure_ascii=False, separators=(",", ":"), allow_nan=False))

    async def _close(self, closing: Closing) -> None:
        with suppress(RuntimeError, WebSocketDisconnect):  # the client was quicker
            await self._socket.close(closing.code, closing.reason)


def _id(message: dict[str, Any]) -> str:
    found = message.get("id")
    if not isinstance(found, str) or not 1 <= len(found) <= LONGEST_ID:
        raise Closing(4400, f"An id must be a string of 1 to {LONGEST_ID} characters")
    return found
