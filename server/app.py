"""The HTTP application: GraphQL, which it is given, the health pages, and what every request passes on its way."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from server.web import browsers, health, limits, requests, streams


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """Makes a route hand everything on: Starlette takes a plain function for one that answers a parsed request."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


def create_app(
    graphql: ASGIApp, *, ready: health.Ready, hosts: Collection[str], max_body: int, stopping: asyncio.Event
) -> Starlette:
    """Put the application together.

    `graphql` serves /graphql and all below it, over HTTP, and /graphql over WebSocket. `ready` is asked by /readyz.
    `hosts` are the names under which clients may reach the server, without ports. `max_body` is in bytes. Once
    `stopping` is set, streams over HTTP end.
    """
    endpoint = _Endpoint(graphql)
    return Starlette(
        routes=[
            Route("/", _to_graphql, methods=["GET"]),
            Route("/healthz", health.healthz, methods=["GET"]),
            Route("/readyz", health.readyz(ready), methods=["GET"]),
            Route("/graphql", endpoint),
            Route("/graphql/{rest:path}", endpoint),
            WebSocketRoute("/graphql", endpoint),
        ],
        middleware=[
            Middleware(requests.RequestLog),
            Middleware(browsers.SecurityHeaders),
            Middleware(browsers.KnownHosts, hosts=hosts),
            Middleware(limits.BodyLimit, limit=max_body),
            Middleware(streams.EndStreams, stopping=stopping),
        ],
    )


async def _to_graphql(_request: Request) -> Response:
    return RedirectResponse("/graphql")
