"""How large a request may be."""

import asyncio
from contextlib import suppress
from http import HTTPStatus
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.web.refusal import refusal

DRAIN_SECONDS: Final = 10.0


class BodyLimit:
    """Answers 413 to a body of more than `limit` bytes, before the application sees any of it."""

    def __init__(self, app: ASGIApp, *, limit: int) -> None:
        """Wrap an application."""
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        if b"content-length" in headers:
            # The HTTP parser of the server holds the body to what was announced.
            too_large = int(headers[b"content-length"]) > self.limit
        elif b"transfer-encoding" in headers:
            first = await self._read(receive)
            too_large = first is None
            receive = _replay(first, receive) if first is not None else receive
        else:
            too_large = False
        if too_large:
            await self._refuse(receive, send)
        else:
            await self.app(scope, receive, send)

    async def _refuse(self, receive: Receive, send: Send) -> None:
        """Answer at once, and go on reading for a while: many clients read only once they have sent everything."""
        message = f"The request body is larger than {self.limit} bytes."
        response = refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message, "BODY_TOO_LARGE", close=True)
        await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
        await send({"type": "http.response.body", "body": response.body, "more_body": True})
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                while (await receive()).get("more_body", False):
                    pass
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _read(self, receive: Receive) -> Message | None:
        """The whole body as one message, or the disconnection that came instead; None when there is too much of it."""
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return message
            body += message.get("body", b"")
            if len(body) > self.limit:
                return None
            if not message.get("more_body", False):
                return {"type": "http.request", "body": bytes(body), "more_body": False}


def _replay(first: Message, receive: Receive) -> Receive:
    waiting = [first]

    async def receiving() -> Message:
        return waiting.pop() if waiting else await receive()

    return receiving
