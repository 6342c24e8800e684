"""What keeps a browser from being used against the server by the pages of others."""

from collections.abc import Collection
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.web.refusal import refusal

OF_ANSWERS = ((b"x-content-type-options", b"nosniff"),)
OF_DATA = (*OF_ANSWERS, (b"cross-origin-resource-policy", b"same-origin"))
OF_PAGES = (
    *OF_DATA,
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
)


class SecurityHeaders:
    """Adds the headers that a browser needs to keep other sites out; what the application has set itself stays.

    Data, which no browser shows as a page, does without those that are about pages, and what only a POST gets without
    the one about pages that embed it: each costs time in each answer.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = dict(message.get("headers", ()))
                is_data = own.get(b"content-type", b"").startswith(b"application/")
                wanted = OF_PAGES if not is_data else OF_ANSWERS if scope.get("method") == "POST" else OF_DATA
                message["headers"] = [*message.get("headers", ()), *(each for each in wanted if each[0] not in own)]
            await send(message)

        await self.app(scope, receive, sending)


class KnownHosts:
    """Refuses requests that a foreign web page makes a browser send here.

    A page may rebind its own name to this address (the Host header tells), and may open WebSockets to anywhere (the
    Origin header tells). A server that asks nobody who they are must refuse both.
    """

    def __init__(self, app: ASGIApp, *, hosts: Collection[str]) -> None:
        """Wrap an application; `hosts` are names without ports, as browsers write them ("[::1]")."""
        self.app = app
        self.hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        host, origin = b"", None
        for name, value in scope["headers"]:
            if name == b"host":
                host = value
            elif name == b"origin":
                origin = value
        if not self._known(b"//" + host):
            await refusal(421, "This server does not answer to that Host.", "MISDIRECTED_REQUEST")(scope, receive, send)
        elif origin is not None and not self._known(origin):
            await refusal(403, "Pages of that Origin may not use this server.", "FORBIDDEN")(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _known(self, address: bytes) -> bool:
        return _host(address) in self.hosts


@lru_cache(maxsize=64)
def _host(address: bytes) -> str | None:
    """The name in an address, as browsers write it."""
    try:
        name = urlsplit(address.decode("latin-1")).hostname
    except ValueError:
        return None
    return f"[{name}]" if name is not None and ":" in name else name
