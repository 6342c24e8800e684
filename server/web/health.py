"""The pages that say whether the process lives, and whether it can answer."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

Ready = Callable[[], Awaitable[str | None]]


async def healthz(_request: Request) -> Response:
    """The process is alive: it says nothing of what it needs."""
    return JSONResponse({"status": "alive"}, headers={"Cache-Control": "no-store"})


def readyz(ready: Ready) -> Callable[[Request], Awaitable[Response]]:
    """The page that says whether requests can be answered; `ready` gives the reason why not, or None."""

    async def page(_request: Request) -> Response:
        reason = await ready()
        content = {"status": "ready"} if reason is None else {"status": "not ready", "reason": reason}
        return JSONResponse(content, 200 if reason is None else 503, headers={"Cache-Control": "no-store"})

    return page
