"""What keeps a browser from being used against the server by the pages of others."""

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.web.refusal import refusal

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class SecurityHeaders:
    """Adds the headers that a browser needs to keep other sites out; what the application has set itself stays."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
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
        headers = Headers(scope=scope)
        if not self._known("//" + headers.get("host", "")):
            await refusal(421, "This server does not answer to that Host.", "MISDIRECTED_REQUEST")(scope, receive, send)
        elif "origin" in headers and not self._known(headers["origin"]):
            await refusal(403, "Pages of that Origin may not use this server.", "FORBIDDEN")(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _known(self, address: str) -> bool:
        try:
            name = urlsplit(address).hostname
        except ValueError:
            return False
        return name is not None and (f"[{name}]" if ":" in name else name) in self.hosts
