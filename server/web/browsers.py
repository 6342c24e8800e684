"""The response headers that keep a browser from handing what it gets here to the pages of other sites."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

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
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = dict(message.get("headers", ()))
                is_data = own.get(b"content-type", b"").startswith(b"application/")
                added = OF_PAGES if not is_data else OF_ANSWERS if scope.get("method") == "POST" else OF_DATA
                message["headers"] = [*message.get("headers", ()), *(each for each in added if each[0] not in own)]
            await send(message)

        await self.app(scope, receive, sending)
