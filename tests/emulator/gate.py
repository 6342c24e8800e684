"""What every call passes: it is recorded, may go wrong, and needs a caller who is known."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.emulator.auth import caller
from tests.emulator.errors import ApiError
from tests.emulator.faults import Fault, Kind, spoiled
from tests.emulator.requests import Recorded, readable
from tests.emulator.world import WORKSPACE_ID, World

OPERATION = re.compile(r"\b(?:query|mutation)\s+(\w+)")


class Gate:
    """The application in front of the endpoints; what steers the emulator itself goes past it."""

    def __init__(self, app: ASGIApp, world: World) -> None:
        self._app = app
        self._world = world

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/emulator/"):
            await self._app(scope, receive, send)
            return
        body = await _read(receive)
        call = _recorded(scope, body)
        call.at = self._world.clock.now()
        self._world.requests.add(call)
        fault = self._world.faults.take(call.method, call.path, call.operation)
        true = None
        if fault is None or fault.after or fault.kind is Kind.UNKNOWN_STATUS:
            true = await self._answer(scope, body)
        if fault is None:
            response = true
        else:
            call.fault = fault.kind.value
            response = await self._strike(fault, call, true, _Connection(scope, receive, send))
        if response is not None:
            call.status = response.status_code
            response.headers["X-Databricks-Org-Id"] = str(WORKSPACE_ID)
            await response(scope, receive, send)

    async def _answer(self, scope: Scope, body: bytes) -> Response:
        """What the endpoint answers, whole."""
        headers = Headers(scope=scope)
        try:
            scope["emulator.caller"] = caller(self._world, scope["path"], headers)
        except ApiError as error:
            return error.response()
        self._world.agenda.catch_up()
        sent: list[Message] = []

        async def collect(message: Message) -> None:
            sent.append(message)

        await self._app(scope, _replay(body), collect)
        content = b"".join(message.get("body", b"") for message in sent[1:])
        response = Response(content, sent[0]["status"])
        response.raw_headers = list(sent[0]["headers"])
        return response

    async def _strike(
        self, fault: Fault, call: Recorded, true: Response | None, connection: "_Connection"
    ) -> Response | None:
        """What to answer instead, or None when the connection is all that the client sees."""
        match fault.kind:
            case Kind.TIMEOUT:
                await self._world.faults.hang(connection.gone)
                await connection.reset()
            case Kind.RESET:
                await connection.reset()
            case Kind.CUT:
                await connection.begin(true or Response(b'{"run_id": 1}', media_type="application/json"))
                await connection.reset()
            case _:
                return spoiled(fault, call.method, call.path, true)
        return None


@dataclass(frozen=True, slots=True)
class _Connection:
    """What a fault does to the connection itself."""

    scope: Scope
    receive: Receive
    send: Send

    async def gone(self) -> None:
        """Return once the client has given up."""
        while (await self.receive())["type"] != "http.disconnect":
            pass

    async def begin(self, response: Response) -> None:
        """Send the head and the first half of the body."""
        await self.send({"type": "http.response.start", "status": 200, "headers": response.raw_headers})
        half = bytes(response.body)[: len(response.body) // 2]
        await self.send({"type": "http.response.body", "body": half, "more_body": True})

    async def reset(self) -> None:
        reset: Callable[[], None] = self.scope["extensions"]["emulator.reset"]
        reset()
        await self.gone()


def _recorded(scope: Scope, body: bytes) -> Recorded:
    headers = {name: value for name, value in Headers(scope=scope).items() if name != "authorization"}
    readable_body: Any = readable(body, headers.get("content-type", ""))
    operation = None
    if isinstance(readable_body, dict) and isinstance(readable_body.get("query"), str):
        found = OPERATION.search(readable_body["query"])
        operation = found[1] if found else None
    query = parse_qsl(scope["query_string"].decode(), keep_blank_values=True)
    return Recorded(scope["method"], scope["path"], query, headers, readable_body, operation)


async def _read(receive: Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b"".join(parts)
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _replay(body: bytes) -> Callable[[], Awaitable[Message]]:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
