"""The broadcast to compare with, as somebody would write it who wants nothing but speed.

One Starlette WebSocket endpoint under uvicorn as `serve` configures it. A notification of Postgres names a job; every
socket that subscribed to this job is sent the same ready-made frame, one after another. Nothing is read, checked,
queued or resumed, and a client that reads slowly holds up the others.
"""

import argparse
import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg
import orjson
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

CHANNEL: Final = "tunegraph"
BACKLOG: Final = 2048
TYPENAME: Final = b'{"data":{"__typename":"Query"}}'
LARGEST_MESSAGE_BYTES: Final = 1024 * 1024


class Broadcast:
    """The sockets by the job that they subscribed to."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._sockets: defaultdict[str, dict[int, WebSocket]] = defaultdict(dict)
        self._changed: asyncio.Queue[str] = asyncio.Queue()

    def notice(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        """Hear of a job that changed: a listener of asyncpg."""
        self._changed.put_nowait(str(payload))

    async def send_forever(self) -> None:
        """Send the frame for each notification."""
        while True:
            job_id = await self._changed.get()
            for socket in list(self._sockets[job_id].values()):
                await socket.send_text(self._text)

    async def converse(self, socket: WebSocket) -> None:
        """Take one subscription of a socket, and keep it until the client leaves."""
        job_id = ""
        await socket.accept("graphql-transport-ws")
        try:
            while True:
                message: dict[str, Any] = orjson.loads(await socket.receive_text())
                match message["type"]:
                    case "connection_init":
                        await socket.send_text('{"type":"connection_ack"}')
                    case "subscribe":
                        job_id = message["payload"]["variables"]["id"]
                        self._sockets[job_id][id(socket)] = socket
                    case "ping":
                        await socket.send_text('{"type":"pong"}')
        except WebSocketDisconnect:
            self._sockets[job_id].pop(id(socket), None)


def application(broadcast: Broadcast) -> Starlette:
    """The endpoint, and a path that says that it is there."""

    async def typename(_request: Request) -> Response:
        return Response(TYPENAME, media_type="application/json")

    return Starlette(
        routes=[
            WebSocketRoute("/graphql", broadcast.converse),
            Route("/read/typename", typename, methods=["POST"]),
        ]
    )


def configuration(app: Starlette, port: int) -> uvicorn.Config:
    """Uvicorn's, as `serve` has it."""
    return uvicorn.Config(
        app,
        port=port,
        backlog=BACKLOG,
        loop="none",
        http="httptools",
        ws="websockets-sansio",
        ws_max_size=LARGEST_MESSAGE_BYTES,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
    )


@asynccontextmanager
async def listening(url: str, text: str) -> AsyncIterator[Broadcast]:
    """A broadcast that hears what the database at `url` notifies of."""
    broadcast = Broadcast(text)
    connection = await asyncpg.connect(url)
    await connection.add_listener(CHANNEL, broadcast.notice)
    sending = asyncio.create_task(broadcast.send_forever(), name="broadcast")
    try:
        yield broadcast
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        await connection.close()


async def _serve(url: str, port: int, text: str) -> None:
    async with listening(url, text) as broadcast:
        await uvicorn.Server(configuration(application(broadcast), port)).serve()


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.broadcast", description=__doc__)
    parser.add_argument("--database", required=True, metavar="URL")
    parser.add_argument("--port", required=True, type=int)
    parser.add_argument("--text", required=True, help="what every socket is sent")
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(options.database, options.port, options.text))


if __name__ == "__main__":
    main()
