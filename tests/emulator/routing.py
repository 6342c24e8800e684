"""How a call reaches the function that answers it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers, QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.emulator.errors import ApiError, invalid
from tests.emulator.world import World


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked, and of which world."""

    world: World
    caller: str
    base_url: str
    parts: Mapping[str, str]
    query: QueryParams
    headers: Headers
    body: bytes

    def json(self) -> dict[str, Any]:
        """The body as an object; without a body an empty one."""
        if not self.body:
            return {}
        try:
            value = json.loads(self.body)
        except ValueError as error:
            raise ApiError(400, "MALFORMED_REQUEST", f"Could not parse request object: {error}") from None
        if not isinstance(value, dict):
            raise invalid("Could not parse request object: Expected an object")
        return value


Answer = dict[str, Any] | Response
Handler = Callable[[Call], Answer]
Routes = tuple[tuple[str, str, Handler], ...]


def routes(world: World, table: Routes) -> list[Route]:
    """HEAD goes before GET: Starlette answers it with what answers GET."""
    ordered = sorted(table, key=lambda entry: entry[0] != "HEAD")
    return [Route(path, _endpoint(world, handler), methods=[method]) for method, path, handler in ordered]


def _endpoint(world: World, handler: Handler) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        call = Call(
            world,
            request.scope.get("emulator.caller", ""),
            str(request.base_url).rstrip("/"),
            request.path_params,
            request.query_params,
            request.headers,
            await request.body(),
        )
        try:
            answer = handler(call)
        except ApiError as error:
            return error.response()
        return answer if isinstance(answer, Response) else JSONResponse(answer)

    return endpoint
