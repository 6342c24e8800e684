"""uvicorn's protocols for HTTP and WebSocket with the limits that they lack: of heads, of time, and of connections."""

import asyncio
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final, cast

import structlog
import uvicorn
from starlette.types import ASGIApp, Message
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.protocol import OPEN

from server.web.connections import Connections
from server.web.frames import WRITE_TEXT, TextFrames
from server.web.refusal import refusal

log: structlog.typing.FilteringBoundLogger = structlog.get_logger(__name__)


class LimitedConfig(uvicorn.Config):
    """A configuration of uvicorn whose protocols keep to limits."""

    def __init__(self, app: ASGIApp, connections: Connections, **options: Any) -> None:  # noqa: ANN401  (uvicorn's)
        super().__init__(app, http=HttpProtocol, ws=WebSocketProtocol, **options)
        self.connections = connections
        self.frames = TextFrames()


# the part of a request that comes next; plain numbers, because they are compared several times in each request
HEAD: Final = 0
BODY: Final = 1
NOTHING: Final = 2


class _HeadTooLarge(Exception):
    """Raised through the parser, which uvicorn answers with `send_400_response`."""


class HttpProtocol(HttpToolsProtocol):
    """One connection. A request that is too large or too slow is answered 414, 431 or 408, and ends it."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limited = _limited(config)
        self._limits = self._limited.limits
        self._address = ""
        self._is_counted = False
        self._is_refused = False
        self._part: int = HEAD
        self._has_begun = False
        self._idle_bytes = 0  # in chunks since the message began, or its head or a piece of its body was complete
        self._body_until = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected: one too many is refused at once."""
        super().connection_made(transport)
        self._address = _address(transport)
        self._is_counted = self._limited.admit(self._address)
        if self._is_counted:
            self._limited.expire_in(self, self._limits.head_seconds)
        else:
            self._is_refused = True
            self._write(HTTPStatus.SERVICE_UNAVAILABLE, "Too many connections are open; try again later.")
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        self._limited.keep(self)
        if self._is_counted:
            self._is_counted = False
            self._limited.release(self._address)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, within the limits; after a refusal it is dropped."""
        if self._is_refused:
            return
        self._idle_bytes += len(data)
        super().data_received(data)
        if self._is_refused or self._part is NOTHING:
            self._wait_for_another()
        elif self._line_is_too_large() or self._idle_bytes > self._limits.head_bytes:
            self._refuse_head()
        elif self._part is BODY:
            now = self.loop.time()
            self._limited.expire_in(self, min(self._body_until - now, self._limits.silence_seconds))
        elif not self._limited.is_expiring(self):
            self._limited.expire_in(self, self._limits.head_seconds)

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._part, self._has_begun = HEAD, True
        self._idle_bytes = 0
        self._limited.keep(self)

    def on_headers_complete(self) -> None:
        """The end of the head. Raises `_HeadTooLarge`."""
        if self._head_is_too_large():
            raise _HeadTooLarge
        super().on_headers_complete()
        self._part = BODY
        self._idle_bytes = 0
        self._body_until = self.loop.time() + self._limits.body_seconds

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._idle_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The end of a request."""
        self._part, self._has_begun = NOTHING, False
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """From here on the connection is a WebSocket's, which releases it."""
        self._limited.keep(self)
        self._is_counted = False
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        """What uvicorn does about a request that can't be parsed."""
        if self._head_is_too_large():
            self._refuse_head()
        else:
            self._refuse(HTTPStatus.BAD_REQUEST, msg)

    def expire(self) -> None:
        """The client has kept the server waiting for too long; unless it is the server that does not read."""
        if self._is_refused:
            self.transport.abort()
        elif self.flow.read_paused:
            self._limited.expire_in(self, self._limits.silence_seconds)
        elif self._part is HEAD and self._has_begun:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "The headers of the request took too long.")
        elif self._part is BODY:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "The body of the request took too long.")
        else:
            self.transport.close()

    def _wait_for_another(self) -> None:
        """A connection on which nothing is asked has to ask something: stray bytes do not keep it open."""
        if self._is_refused or not self._is_counted or self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self._limited.keep(self)
        elif self.timeout_keep_alive_task is None:
            self._limited.expire_in(self, self._limits.head_seconds)

    def _line_is_too_large(self) -> bool:
        return self._has_begun and len(self.url) > self._limits.request_line_bytes

    def _head_is_too_large(self) -> bool:
        if not self._has_begun:
            return False
        head_bytes = len(self.url) + sum([len(name) + len(value) for name, value in self.headers])
        return head_bytes > self._limits.head_bytes or self._line_is_too_large()

    def _refuse_head(self) -> None:
        if self._line_is_too_large():
            message = f"The address of the request is larger than {self._limits.request_line_bytes} bytes."
            self._refuse(HTTPStatus.REQUEST_URI_TOO_LONG, message)
        else:
            message = f"The headers of the request are larger than {self._limits.head_bytes} bytes."
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, message)

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        """Say why, and end the connection once the client has read that: to close it at once would lose the words."""
        self._is_refused = True
        if self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        log.info("request refused", status=int(status), reason=message)
        if self._is_answering():
            self.transport.abort()
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._write(status, message)
        self.flow.resume_reading()
        self.transport.write_eof()
        self._limited.expire_in(self, self._limits.linger_seconds)

    def _is_answering(self) -> bool:
        """Whether a client would take a refusal for a part of another response, or for the next one."""
        if self.pipeline or self.cycle is None or not self.cycle.response_started:
            return bool(self.pipeline)
        return self._part is BODY or not self.cycle.response_complete

    def _write(self, status: HTTPStatus, message: str) -> None:
        self.transport.write(_response(status, message, self.server_state.default_headers))


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """One WebSocket, whose connection `HttpProtocol` has counted."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._frames = cast("LimitedConfig", config).frames

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        _limited(self.config).release(_address(self.transport))
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came. A handshake that websockets can't read has no request, and uvicorn leaves it alone."""
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self.transport.write(_response(HTTPStatus.BAD_REQUEST, "The handshake can't be read.", ()))
            self.transport.close()

    async def run_asgi(self) -> None:
        """Let the application write without waiting, too."""
        extensions = cast("dict[str, dict[str, object]]", self.scope["extensions"])
        extensions[WRITE_TEXT] = {"write": self.write_text}
        await super().run_asgi()

    def write_text(self, text: str) -> bool:
        """See `WRITE_TEXT`."""
        if (
            not self.writable.is_set()
            or self.conn.state is not OPEN
            or self.conn.extensions
            or self.transport.is_closing()
        ):
            return False
        self.transport.write(self._frames.frame(text))
        return True

    async def send(self, message: Message) -> None:  # type: ignore[override]
        """Send; a response in place of a handshake completes it, which uvicorn 0.54 takes for an error."""
        await super().send(cast("Any", message))
        if self.close_sent:
            self.handshake_complete = True


def _response(status: HTTPStatus, message: str, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    response = refusal(status, message, status.name, close=True)
    own = [*headers, *response.raw_headers, (b"x-content-type-options", b"nosniff")]
    lines = [b"%b: %b\r\n" % header for header in own]
    return b"".join([STATUS_LINE[status], *lines, b"\r\n", bytes(response.body)])


def _limited(config: uvicorn.Config) -> Connections:
    return cast("LimitedConfig", config).connections


def _address(transport: asyncio.Transport) -> str:
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) else ""
