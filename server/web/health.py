"""The pages that say whether the process lives, and whether it can answer."""

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

Ready = Callable[[], Awaitable[Mapping[str, str]]]


async def healthz(_request: Request) -> Response:
    """The process is alive: it says nothing of what it needs."""
    return JSONResponse({"status": "alive"}, headers={"Cache-Control": "no-store"})


def readyz(ready: Ready) -> Callable[[Request], Awaitable[Response]]:
    """The page that says whether requests can be answered; `ready` gives the parts that are not at work, and why."""

    async def page(_request: Request) -> Response:
        wrong = await ready()
        content: dict[str, object] = {"status": "ready"}
        if wrong:
            content = {"status": "not ready", "reason": "; ".join(wrong.values()), "parts": dict(wrong)}
        return JSONResponse(content, 503 if wrong else 200, headers={"Cache-Control": "no-store"})

    return page
