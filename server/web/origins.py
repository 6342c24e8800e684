"""Which pages of a browser may use the server: its own, and those of the origins in the settings."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from server.domain.origin import Origin
from server.web.refusal import refusal

SCHEMES: Final = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
READ: Final = (b"host", b"origin", b"sec-fetch-site", b"sec-fetch-mode", b"sec-fetch-dest")
OWN_SITES: Final = (b"same-origin", b"none")  # "none": typed into the address bar, or a bookmark


class KnownOrigins:
    """Refuses requests that a foreign web page makes a browser send here, before anything is executed.

    A page may rebind its own name to this address (the Host header shows it), may open WebSockets to anywhere (the
    Origin header shows it), and may send a GET from an element such as <img>, which has no Origin (Sec-Fetch-Site shows
    it, https://www.w3.org/TR/fetch-metadata/). A server that asks nobody who they are must refuse all three. What only
    follows a link to a page here, without a query string, is let through.

    Responses: 400 for several Host or Origin headers or no Host, 421 for an unknown Host, 403 for a foreign page.
    """

    def __init__(self, app: ASGIApp, *, hosts: Collection[str], allowed: Collection[Origin]) -> None:
        """Wrap an application.

        `hosts` are the names of the server, as a Host header has them without the port ("[::1]"). Pages of an `allowed`
        origin may use the server, over CORS too, and a proxy may forward requests under its name.
        """
        self._app = app
        self._allowed_app = app if not allowed else _with_cors(app, allowed)
        self._hosts = frozenset({*hosts, *(origin.host for origin in allowed)})
        self._allowed = frozenset(allowed)
        self._judge = lru_cache(maxsize=64)(self._judged)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers = _read(scope)
        verdict = self._verdict(scope, headers)
        if verdict is not None:
            await refusal(*verdict)(scope, receive, send)
        elif b"origin" in headers and scope["type"] == "http":
            await self._allowed_app(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _verdict(self, scope: Scope, headers: Mapping[bytes, Sequence[bytes]]) -> tuple[int, str, str] | None:
        hosts, origins = headers.get(b"host", ()), headers.get(b"origin", ())
        if len(hosts) != 1 or len(origins) > 1:
            return HTTPStatus.BAD_REQUEST, "A request has one Host header and at most one Origin.", "BAD_REQUEST"
        verdict = self._judge(SCHEMES[scope.get("scheme", "http")], hosts[0], origins[0] if origins else None)
        if verdict is None and not origins and b"sec-fetch-site" in headers and not _is_own(scope, headers):
            return HTTPStatus.FORBIDDEN, "Pages of another site may not use this server.", "FORBIDDEN"
        return verdict

    def _judged(self, scheme: str, host: bytes, origin: bytes | None) -> tuple[int, str, str] | None:
        """Why a request with these headers is refused; None when it is not."""
        own = _parsed(lambda: Origin.from_authority(scheme, host.decode("latin-1")))
        if own is None or own.host not in self._hosts:
            return HTTPStatus.MISDIRECTED_REQUEST, "This server does not answer to that Host.", "MISDIRECTED_REQUEST"
        if origin is None:
            return None
        page = _parsed(lambda: Origin.parse(origin.decode("latin-1")))
        if page == own or page in self._allowed:
            return None
        return HTTPStatus.FORBIDDEN, "Pages of that Origin may not use this server.", "FORBIDDEN"


def _with_cors(app: ASGIApp, allowed: Collection[Origin]) -> ASGIApp:
    return CORSMiddleware(
        app,
        allow_origins=[str(origin) for origin in allowed],
        allow_methods=["GET", "POST"],
        allow_headers=["Accept", "Content-Type", "X-Request-Id"],
        expose_headers=["X-Request-Id"],
    )


def _read(scope: Scope) -> Mapping[bytes, Sequence[bytes]]:
    """The headers that matter here, each with all its values."""
    headers: defaultdict[bytes, list[bytes]] = defaultdict(list)
    for name, value in scope["headers"]:
        if name in READ:
            headers[name].append(value)
    return headers


def _is_own(scope: Scope, headers: Mapping[bytes, Sequence[bytes]]) -> bool:
    """Whether a request without an Origin comes from our own pages, or opens a page and cannot execute anything."""
    if all(site in OWN_SITES for site in headers[b"sec-fetch-site"]):
        return True
    return (
        scope.get("method") == "GET"
        and scope["query_string"] == b""
        and headers.get(b"sec-fetch-mode") == [b"navigate"]
        and headers.get(b"sec-fetch-dest") == [b"document"]
    )


def _parsed(parse: Callable[[], Origin]) -> Origin | None:
    try:
        return parse()
    except ValueError:
        return None
