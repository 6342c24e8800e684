"""How a stop reaches the responses that have no end of their own: server-sent events."""

import asyncio
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

EVENT_STREAM: Final = b"text/event-stream"  # without it among the headers, no stream is wanted


class EndStreams:
    """Tells a response that listens for it that its client has gone, once `stopping` is set, and ends it properly.

    Its client then knows that nothing was cut off in the middle, and the server need not wait for what never ends.
    """

    def __init__(self, app: ASGIApp, *, stopping: asyncio.Event) -> None:
        """Wrap an application."""
        self.app = app
        self.stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or not any(EVENT_STREAM in value for _, value in scope["headers"]):
            await self.app(scope, receive, send)
            return
        response = _Response(receive, send, self.stopping)
        await self.app(scope, response.receive, response.send)
        await response.finish()


class _Response:
    def __init__(self, receive: Receive, send: Send, stopping: asyncio.Event) -> None:
        self._receive = receive
        self._send = send
        self._stopping = stopping
        self._request_received = False
        self._began = asyncio.Event()
        self._open = False

    async def receive(self) -> Message:
        if self._request_received:
            return await self._rest()
        message = await self._receive()
        self._request_received = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._began.set()
        self._open = message["type"] == "http.response.start" or message.get("more_body", False)
        await self._send(message)

    async def finish(self) -> None:
        """Send the end of a response that the stop has cut off."""
        if self._open and self._stopping.is_set():
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _rest(self) -> Message:
        """What comes after the request: that its client has gone, or that the server stops."""
        gone = asyncio.ensure_future(self._receive())
        stop = asyncio.ensure_future(self._cut_off())
        try:
            await asyncio.wait((gone, stop), return_when=asyncio.FIRST_COMPLETED)
            return gone.result() if gone.done() else {"type": "http.disconnect"}
        finally:
            gone.cancel()
            stop.cancel()

    async def _cut_off(self) -> None:
        """Return once the server stops and the response has begun: an answer that is still worked on is waited for."""
        await self._began.wait()
        await self._stopping.wait()
