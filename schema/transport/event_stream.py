"""Answers as server-sent events, each stream in a response of its own.

The protocol is GraphQL over SSE's "distinct connections mode"
(https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md): events `next`, …, then `complete`.
"""

import asyncio
from http import HTTPStatus
from typing import Final

from graphql import OperationType
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from schema.execution.operations import Execution, refused
from schema.execution.preparation import Prepared
from schema.execution.subscribers import Payload, Subscriber
from schema.reads.context import Context
from schema.transport.disconnect import unless_gone
from schema.transport.heartbeat import Heartbeat

COMMENT: Final = b":\n\n"
COMPLETE: Final = b"event: complete\ndata:\n\n"
HEADERS: Final = {"Cache-Control": "no-cache", "Vary": "Accept", "X-Accel-Buffering": "no"}  # nginx would hold it back


class EventStream(Response):
    """The answers of an operation as they come. Its subscriber is closed when it ends, or the client goes away."""

    media_type = "text/event-stream"

    def __init__(self, execution: Execution, prepared: Prepared, context: Context, heartbeat: Heartbeat) -> None:
        super().__init__(headers=HEADERS)
        del self.headers["Content-Length"]
        self._execution = execution
        self._prepared = prepared
        self._context = context
        self._heartbeat = heartbeat
        self._woken = asyncio.Event()
        self._comment = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  (ASGI's signature)
        """Stream. Raises ClientDisconnect."""
        self._heartbeat.add(self)
        try:
            await unless_gone(receive, self._tell(send))
        finally:
            self._heartbeat.remove(self)

    def beat(self) -> None:
        """See `Heartbeat`."""
        self._comment = True
        self._woken.set()

    async def _tell(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": HTTPStatus.OK, "headers": self.raw_headers})
        if self._prepared.operation.type is OperationType.SUBSCRIPTION:
            subscriber = await self._execution.subscribe(self._prepared, self._context, self._woken.set)
            try:
                await self._follow(subscriber, send)
            finally:
                subscriber.close()
        else:
            response = await self._execution.execute_masked(self._prepared, self._context)
            await _send_event(send, Payload(response.json))
        await send({"type": "http.response.body", "body": COMPLETE, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _follow(self, subscriber: Subscriber, send: Send) -> None:
        while True:
            item = subscriber.take()
            if isinstance(item, Payload):
                await _send_event(send, item)
            elif item is not None:
                if item.errors:
                    await _send_event(send, Payload(refused(item.errors).json))
                return
            elif self._comment:
                self._comment = False
                await send({"type": "http.response.body", "body": COMMENT, "more_body": True})
            else:
                self._woken.clear()
                await self._woken.wait()


async def _send_event(send: Send, payload: Payload) -> None:
    event = b"event: next\ndata: %b\n\n" % payload.unbroken()
    await send({"type": "http.response.body", "body": event, "more_body": True})
