"""The endpoint to compare with, as somebody would write it by hand who wants nothing but speed.

One Starlette route; a statement for each question in which Postgres assembles the whole answer; asyncpg, uvloop and
httptools. It reads the request's JSON and answers with the same JSON as the API does.
"""

import argparse
import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import asyncpg
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

SQL: Final = Path(__file__).parent / "sql"
TYPENAME: Final = b'{"data":{"__typename":"Query"}}'
SESSIONS = 10  # as many as Tunegraph has for reads


def statements() -> Mapping[str, str]:
    """The statement of each question that the database answers."""
    return {file.stem: file.read_text(encoding="utf-8") for file in SQL.glob("*.sql")}


def application(pool: "asyncpg.Pool[asyncpg.Record]") -> Starlette:
    """The endpoint over a database."""
    known = statements()

    async def read(request: Request) -> Response:
        asked = json.loads(await request.body())
        sql = known.get(request.path_params["name"])
        answer = TYPENAME if sql is None else await pool.fetchval(sql, *asked.values())
        return Response(answer, media_type="application/json")

    return Starlette(routes=[Route("/read/{name}", read, methods=["POST"])])


async def _keep_session(_connection: object) -> None:
    """No read changes its session's state."""


@asynccontextmanager
async def sessions(url: str) -> AsyncIterator["asyncpg.Pool[asyncpg.Record]"]:
    """A pool that keeps every statement prepared, and resets nothing."""
    async with asyncpg.create_pool(
        url, min_size=1, max_size=SESSIONS, reset=_keep_session, max_cacheable_statement_size=0
    ) as pool:
        yield pool


async def _serve(url: str, port: int) -> None:
    async with sessions(url) as pool:
        configuration = uvicorn.Config(
            application(pool),
            port=port,
            loop="none",
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
        )
        await uvicorn.Server(configuration).serve()


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.handwritten", description=__doc__)
    parser.add_argument("--database", required=True, metavar="URL")
    parser.add_argument("--port", required=True, type=int)
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(options.database, options.port))


if __name__ == "__main__":
    main()
