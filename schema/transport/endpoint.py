"""GraphQL over HTTP, server-sent events and WebSocket, and GraphiQL for browsers, as routes of an application."""

from contextlib import suppress
from pathlib import Path
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from schema.api import build
from schema.execution.operations import Execution
from schema.graphiql.ide import Ide
from schema.lanes import Lanes
from schema.limits import LIMITS, Limits
from schema.reads.context import Context
from schema.reads.plans import Plans
from schema.transport import graphql_http
from schema.transport.timing import Timing
from schema.transport.websocket import Conversation
from server.assembly import Services
from server.domain.caller import LOCAL

PATH: Final = "/graphql"
OPERATIONS: Final = Path(__file__).parents[2] / "examples" / "operations.graphql"
TIMING: Final = Timing()


class Endpoint:
    """What stands at /graphql."""

    def __init__(self, services: Services, ide: Ide, timing: Timing, limits: Limits) -> None:
        lanes = Lanes()
        self._execution = Execution(build(), lanes, limits)
        self._services = services
        self._plans = Plans(lanes, limits.result_bytes)
        self._ide = ide
        self._timing = timing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or converse over one socket."""
        if scope["type"] == "websocket":
            socket = WebSocket(scope, receive, send)
            await Conversation(socket, self._execution, self._context(), self._timing).run()
            return
        with suppress(ClientDisconnect):
            response = await self._respond(scope, receive)
            await response(scope, receive, send)

    async def _respond(self, scope: Scope, receive: Receive) -> ASGIApp:
        if scope["method"] in {"GET", "HEAD"} and graphql_http.accepts_html(scope):
            return await self._ide.page()
        return await graphql_http.respond(scope, receive, self._execution, self._context(), self._timing)

    def _context(self) -> Context:
        """Who asks is decided here; without an identity mode the server listens on loopback only."""
        return Context(LOCAL, self._services, self._plans)


def routes(services: Services, timing: Timing = TIMING, limits: Limits = LIMITS) -> list[BaseRoute]:
    """What serves /graphql and all below it."""
    ide = Ide(endpoint=PATH, assets_path=f"{PATH}/assets", operations=OPERATIONS.read_text(encoding="utf-8"))
    endpoint = Endpoint(services, ide, timing, limits)
    return [Route(PATH, endpoint), WebSocketRoute(PATH, endpoint), Mount(f"{PATH}/assets", ide.assets)]
