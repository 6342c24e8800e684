"""GraphQL over HTTP, server-sent events and WebSocket, and GraphiQL for browsers, as routes of an application."""

from contextlib import suppress
from pathlib import Path
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from schema.api import build
from schema.execution.operations import Execution
from schema.execution.subscriptions import Subscriptions
from schema.graphiql.ide import Ide
from schema.limits import LIMITS, Limits
from schema.offload import Offload
from schema.reads.context import Context
from schema.reads.plans import Plans
from schema.transport import graphql_http
from schema.transport.graphql_http import JsonResponse
from schema.transport.heartbeat import Heartbeat
from schema.transport.incoming import Incoming
from schema.transport.timing import Timing
from schema.transport.websocket import Conversation
from server.assembly import Services
from server.domain.caller import LOCAL

PATH: Final = "/graphql"
OPERATIONS: Final = Path(__file__).parents[2] / "examples" / "operations.graphql"
TIMING: Final = Timing()
SMALL_BYTES: Final = 1024 * 1024
MOST_OUTGOING_BYTES: Final = 96 * 1024 * 1024  # of answers that are not small


class Endpoint:
    """What stands at /graphql."""

    def __init__(self, services: Services, ide: Ide, timing: Timing, limits: Limits) -> None:
        offload = Offload()
        self._execution = Execution(build(), offload, limits)
        self._services = services
        self._plans = Plans(offload, limits.result_bytes)
        self._ide = ide
        self._timing = timing
        self._incoming = Incoming()
        self._outgoing_bytes = 0
        self._pings = Heartbeat(timing.ping_every)
        self._comments = Heartbeat(timing.comment_every)

    @property
    def subscriptions(self) -> Subscriptions:
        """Who follows what now."""
        return self._execution.subscriptions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or converse over one socket."""
        if scope["type"] == "websocket":
            await Conversation(
                scope,
                receive,
                send,
                execution=self._execution,
                context=self._context(),
                timing=self._timing,
                pings=self._pings,
            ).run()
            return
        with suppress(ClientDisconnect), self._incoming.counted(scope, receive) as counted:
            response = await self._respond(scope, counted)
            if isinstance(response, JsonResponse) and len(response.body) > SMALL_BYTES:
                await self._send_large(response, scope, receive, send)
            else:
                await response(scope, receive, send)

    async def _send_large(self, response: JsonResponse, scope: Scope, receive: Receive, send: Send) -> None:
        """Send an answer whose bytes stay until the client has taken them; refuse it where that adds up."""
        size = len(response.body)
        if self._outgoing_bytes + size > MOST_OUTGOING_BYTES:
            await graphql_http.overloaded(response.media_type)(scope, receive, send)
            return
        self._outgoing_bytes += size
        try:
            await response(scope, receive, send)
        finally:
            self._outgoing_bytes -= size

    async def _respond(self, scope: Scope, receive: Receive) -> ASGIApp:
        if scope["method"] in {"GET", "HEAD"} and graphql_http.accepts_html(scope):
            return await self._ide.page()
        return await graphql_http.respond(scope, receive, self._execution, self._context(), self._comments)

    def _context(self) -> Context:
        """Who asks is decided here; without an identity mode the server listens on loopback only."""
        return Context(LOCAL, self._services, self._plans)


def routes(services: Services, timing: Timing = TIMING, limits: Limits = LIMITS) -> list[BaseRoute]:
    """What serves /graphql and all below it."""
    ide = Ide(endpoint=PATH, assets_path=f"{PATH}/assets", operations=OPERATIONS.read_text(encoding="utf-8"))
    endpoint = Endpoint(services, ide, timing, limits)
    return [Route(PATH, endpoint), WebSocketRoute(PATH, endpoint), Mount(f"{PATH}/assets", ide.assets)]
