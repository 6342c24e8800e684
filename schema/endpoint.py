"""GraphQL over HTTP, server-sent events and WebSocket, and GraphiQL for browsers, as one ASGI application."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route, Router, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.subscriptions import GRAPHQL_SSE_PROTOCOL, GRAPHQL_TRANSPORT_WS_PROTOCOL

from schema.api import Schema, build
from schema.context import Context
from schema.ide import Ide
from schema.reads.plans import Plans
from server.domain.caller import LOCAL
from server.services.assembly import Services

PATH: Final = "/graphql"
OPERATIONS: Final = Path(__file__).parents[1] / "examples" / "operations.graphql"


class Endpoint(GraphQL[Context, None]):
    """Strawberry's view with our context, GraphiQL from our own files, and no protocol of the past."""

    def __init__(self, schema: Schema, services: Services, ide: Ide) -> None:
        super().__init__(
            schema,
            subscription_protocols=(GRAPHQL_TRANSPORT_WS_PROTOCOL, GRAPHQL_SSE_PROTOCOL),
            connection_init_wait_timeout=timedelta(seconds=10),
        )
        self._services = services
        self._plans = Plans()
        self._ide = ide

    async def get_context(self, request: Request | WebSocket, response: Response | WebSocket) -> Context:
        """Who asks is decided here; without an identity mode the server listens on loopback only."""
        return Context(LOCAL, self._services, self._plans)

    async def render_graphql_ide(self, request: Request) -> Response:
        """GraphiQL, or how to install it."""
        return await self._ide.page()

    def encode_json(self, data: object) -> str:
        """JSON that is never ASCII-escaped: answers and labels are in many languages."""
        return json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def create_endpoint(services: Services) -> ASGIApp:
    """The application that serves /graphql and all below it."""
    ide = Ide(endpoint=PATH, assets_path=f"{PATH}/assets", operations=OPERATIONS.read_text(encoding="utf-8"))
    endpoint = Endpoint(build(), services, ide)
    return Router([
        Mount(f"{PATH}/assets", ide.assets),
        Route(PATH, endpoint),
        WebSocketRoute(PATH, endpoint),
    ])
