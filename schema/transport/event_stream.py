"""Answers as server-sent events, each stream in a response of its own.

The protocol is GraphQL over SSE's "distinct connections mode"
(https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md): events `next`, …, then `complete`.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from http import HTTPStatus
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from schema.execution.operations import Answer
from schema.transport.disconnect import unless_gone

COMMENT: Final = b":\n\n"
LINE_BREAKS: Final = b"\r\n"  # Postgres writes them between the items of a list; in a string of JSON they are escaped
COMPLETE: Final = b"event: complete\ndata:\n\n"
HEADERS: Final = {"Cache-Control": "no-cache", "Vary": "Accept", "X-Accel-Buffering": "no"}  # nginx would hold it back


class EventStream(Response):
    """Tells answers as they come, and closes their iterator when it ends, or when the client goes away.

    Starlette's StreamingResponse would cancel the iterator again and again while it still cleans up.
    """

    media_type = "text/event-stream"

    def __init__(self, answers: AsyncGenerator[Answer], comment_every: float) -> None:
        super().__init__(headers=HEADERS)
        del self.headers["Content-Length"]
        self._answers = answers
        self._comment_every = comment_every

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  (ASGI's signature)
        """Stream. Raises ClientDisconnect."""
        await unless_gone(receive, self._tell(send))

    async def _tell(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": HTTPStatus.OK, "headers": self.raw_headers})
        async with aclosing(self._events()) as events:
            async for event in events:
                await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _events(self) -> AsyncGenerator[bytes]:
        async with aclosing(self._answers):
            following = asyncio.ensure_future(anext(self._answers, None))
            try:
                while True:
                    done, _ = await asyncio.wait({following}, timeout=self._comment_every)
                    if not done:
                        yield COMMENT
                        continue
                    answer = following.result()
                    if answer is None:
                        break
                    yield b"event: next\ndata: " + answer.json.translate(None, LINE_BREAKS) + b"\n\n"
                    following = asyncio.ensure_future(anext(self._answers, None))
            finally:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
        yield COMPLETE
