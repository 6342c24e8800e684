"""What stands around the application in its tests."""

import asyncio
from collections.abc import AsyncIterator

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from server.app import create_app
from server.domain.origin import Origin

HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
ALLOWED = Origin.parse("https://desk.example")
LIMIT = 2048


class Graphql:
    """Stands for the endpoint: it says what reached it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = await request.body()
        structlog.get_logger("endpoint").info("asked")
        if body == b"fail":
            raise ZeroDivisionError
        if body == b"stream":
            await StreamingResponse(events(), media_type="text/event-stream")(scope, receive, send)
            return
        answer = {"method": request.method, "path": request.url.path, "bytes": len(body)}
        await JSONResponse(answer, headers={"Referrer-Policy": "origin"})(scope, receive, send)


async def graphql_socket(websocket: WebSocket) -> None:
    """Stands for the endpoint's conversations."""
    await websocket.accept(subprotocol="graphql-transport-ws")
    await websocket.send_json(structlog.contextvars.get_contextvars())
    await websocket.close(4400)


async def events() -> AsyncIterator[bytes]:
    """A stream that never ends by itself."""
    yield b"event: next\n\n"
    await asyncio.Event().wait()


class Around:
    """What the program gives the application."""

    def __init__(self) -> None:
        self.wrong: dict[str, str] = {}
        self.stopping = asyncio.Event()

    async def ready(self) -> dict[str, str]:
        return self.wrong

    def app(self, *, log_requests: bool = True) -> ASGIApp:
        return create_app(
            [Route("/graphql", Graphql()), WebSocketRoute("/graphql", graphql_socket)],
            ready=self.ready,
            hosts=HOSTS,
            allowed_origins=[ALLOWED],
            max_body=LIMIT,
            log_requests=log_requests,
            stopping=self.stopping,
        )


class Connection:
    """What an application sends to one client that says `incoming` and then nothing more."""

    def __init__(self, kind: str, *incoming: Message, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        self.sent: asyncio.Queue[Message] = asyncio.Queue()
        self.scope: Scope = {
            "type": kind,
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "method": "POST",
            "path": "/graphql",
            "headers": [(b"host", b"localhost"), *headers],
            "subprotocols": ["graphql-transport-ws"],
            "extensions": {"websocket.http.response": {}},
            "query_string": b"",
        }
        if kind == "websocket":
            del self.scope["method"]
        self._incoming = list(incoming)

    async def serve(self, app: ASGIApp) -> list[Message]:
        await app(self.scope, self._receive, self.sent.put)
        return [self.sent.get_nowait() for _ in range(self.sent.qsize())]

    async def _receive(self) -> Message:
        if not self._incoming:
            await asyncio.Event().wait()
        return self._incoming.pop(0)
