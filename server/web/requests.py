"""Each request has a name and a line in the log."""

import re
import secrets
import time
from http import HTTPStatus

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.web.refusal import refusal

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
ANSWERS = frozenset({"http.response.start", "websocket.http.response.start", "websocket.accept"})
SLOW_SECONDS = 1.0
QUIET_PATHS = frozenset({"/healthz", "/readyz"})

log = structlog.get_logger(__name__)


class RequestLog:
    """Names each request and WebSocket (`X-Request-Id`, kept when the client sent a sane one), and logs how it went.

    The name is bound to the logging context: every line that the request causes carries it. A line has the path
    without its query, since a query may hold what the client asked. Requests that went well and quickly have a line
    when `every` is set: dashboards ask the same again and again, and a line costs as much as a small answer. Each
    WebSocket has one, once it has ended.
    """

    def __init__(self, app: ASGIApp, *, every: bool) -> None:
        """Wrap an application."""
        self.app = app
        self.every = every

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, _name(scope))
        bound = structlog.contextvars.bind_contextvars(request_id=exchange.request_id)
        try:
            await self.app(scope, receive if scope["type"] == "http" else exchange.receive, exchange.send)
        except Exception:
            # here, where the line still carries the request's name
            log.exception("request failed", path=scope["path"])
            if scope["type"] != "http" or exchange.response_started:
                raise
            await refusal(500, "Internal error.", "INTERNAL_ERROR")(scope, receive, exchange.send)
        finally:
            exchange.log(every=self.every)
            structlog.contextvars.reset_contextvars(**bound)


def _name(scope: Scope) -> str:
    """What a client calls its request, or what we call it."""
    for header, value in scope["headers"]:
        if header == b"x-request-id":
            offered = value.decode("latin-1")
            return offered if REQUEST_ID.fullmatch(offered) else secrets.token_hex(16)
    return secrets.token_hex(16)


class _Exchange:
    """One request or WebSocket on its way through, and what became of it.

    `status` is HTTP's, or the code that closed a WebSocket. Until there is one it is what a lost connection would mean.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        self.request_id = request_id
        self.status = 500 if scope["type"] == "http" else 1006
        self.response_started = False
        self._scope = scope
        self._receive = receive
        self._send = send
        self._began = time.perf_counter()

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            self.status = message.get("code", 1005)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] in ANSWERS:
            self.status = message.get("status", 101)
            self.response_started = True
            message["headers"] = [*message.get("headers", ()), (b"x-request-id", self.request_id.encode())]
        elif message["type"] == "websocket.close":
            self.status = message.get("code", 1000)
        await self._send(message)

    def log(self, *, every: bool) -> None:
        seconds = time.perf_counter() - self._began
        if every or seconds > SLOW_SECONDS or self.status >= HTTPStatus.BAD_REQUEST:
            write = log.debug if self._scope["path"] in QUIET_PATHS else log.info
            write(
                "request",
                method=self._scope.get("method", "WEBSOCKET"),
                path=self._scope["path"],
                status=int(self.status),
                ms=round(seconds * 1000, 1),
            )
