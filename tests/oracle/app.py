"""The oracle over HTTP, as a baseline to measure against: POST /graphql and nothing else."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.oracle.oracle import Oracle

SDL = Path(__file__).parents[2] / "schema" / "schema.graphql"
CONNECTIONS = 5
JSON = "application/json"


def create(database_url: str) -> Starlette:
    """An ASGI application that opens its connections when it starts."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[Mapping[str, Any]]:
        async with asyncpg.create_pool(
            database_url,
            min_size=1,
            max_size=CONNECTIONS,
            reset=_keep_session,
            max_cacheable_statement_size=0,
            server_settings={"timezone": "UTC", "default_transaction_read_only": "on"},
        ) as pool:
            yield {"oracle": Oracle(SDL.read_text(), pool)}

    return Starlette(routes=[Route("/graphql", _answer, methods=["POST"])], lifespan=lifespan)


async def _keep_session(_connection: object) -> None:
    """No query changes its session's state."""


async def _answer(request: Request) -> Response:
    oracle: Oracle = request.state.oracle
    try:
        asked = orjson.loads(await request.body())
        text, variables, name = asked["query"], asked.get("variables"), asked.get("operationName")
    except (ValueError, KeyError, TypeError, AttributeError):
        return Response(b'{"errors":[{"message":"the request must be a JSON object with a query"}]}', 400, None, JSON)
    return Response(await oracle.body(text, variables, name), media_type=JSON)
