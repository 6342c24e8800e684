"""The HTTP application: GraphQL, which it is given, the health pages, and what every request passes on its way."""

import asyncio
from collections.abc import Collection, Sequence

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route, Router
from starlette.types import ASGIApp

from server.domain.origin import Origin
from server.web import browsers, health, limits, origins, requests, streams


def create_app(  # noqa: PLR0913
    graphql: Sequence[BaseRoute],
    *,
    ready: health.Ready,
    hosts: Collection[str],
    allowed_origins: Collection[Origin],
    max_body: int,
    log_requests: bool,
    stopping: asyncio.Event,
) -> ASGIApp:
    """Put the application together: what a request passes, from the log inwards.

    Not as Starlette's own application: what that adds, to turn errors into responses, the log does already.
    `graphql` are the routes of the API. `ready` is asked by /readyz. `hosts` are the names under which clients may
    reach the server, without ports; pages of `allowed_origins` may use it besides its own. `max_body` is in bytes.
    `log_requests` asks for a line of each request, not only of slow and failed ones. Once `stopping` is
    set, streams over HTTP end.
    """
    app: ASGIApp = Router(
        [
            *graphql,
            Route("/", _to_graphql, methods=["GET"]),
            Route("/healthz", health.healthz, methods=["GET"]),
            Route("/readyz", health.readyz(ready), methods=["GET"]),
        ]
    )
    app = streams.EndStreams(app, stopping=stopping)
    app = limits.BodyLimit(app, limit=max_body)
    app = origins.KnownOrigins(app, hosts=hosts, allowed=allowed_origins)
    app = browsers.SecurityHeaders(app)
    return requests.RequestLog(app, every=log_requests)


async def _to_graphql(_request: Request) -> Response:
    return RedirectResponse("/graphql")
