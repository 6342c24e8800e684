"""A client of the API, as anyone may write one: queries over HTTP, streams over graphql-transport-ws."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self
from uuid import uuid4

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

# https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
PROTOCOL = Subprotocol("graphql-transport-ws")
TIMEOUT_SECONDS = 30.0  # creating a job may take 10
MOST_MESSAGE_BYTES = 16 * 1024 * 1024

Data = dict[str, Any]


class RequestFailed(Exception):
    """There was no response, or one with errors; the message says which."""


class StreamLost(RequestFailed):
    """The connection of a stream ended before the stream did; it can be followed again."""


@dataclass(frozen=True, slots=True)
class Client:
    """Speaks to the server at `authority` ("127.0.0.1:8000")."""

    authority: str
    http: httpx.AsyncClient

    @classmethod
    @asynccontextmanager
    async def open(cls, authority: str) -> AsyncIterator[Self]:
        """A client for the length of the context. Proxies of the environment are not for loopback, and are ignored."""
        async with httpx.AsyncClient(base_url=f"http://{authority}", timeout=TIMEOUT_SECONDS, trust_env=False) as http:
            yield cls(authority, http)

    async def ask(self, document: str, **variables: object) -> Data:
        """The `data` of a query's or a mutation's result. Raises `RequestFailed`."""
        try:
            response = await self.http.post("/graphql", json={"query": document, "variables": variables})
            result: Data = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise RequestFailed(f"The server did not answer: {str(error) or type(error).__name__}") from error
        return _data(result)

    async def follow(self, document: str, **variables: object) -> AsyncGenerator[Data, None]:
        """The `data` of each result of a subscription, until it completes. Raises `StreamLost`, `RequestFailed`."""
        try:
            async with connect(
                f"ws://{self.authority}/graphql", subprotocols=[PROTOCOL], max_size=MOST_MESSAGE_BYTES, proxy=None
            ) as socket:
                await _greet(socket)
                stream = str(uuid4())
                subscription = {"query": document, "variables": variables}
                await _send(socket, {"type": "subscribe", "id": stream, "payload": subscription})
                async for payload in _payloads(socket, stream):
                    yield _data(payload)
        except (OSError, ConnectionClosed, InvalidHandshake, TimeoutError) as error:
            raise StreamLost(f"The stream was lost: {error}") from error


async def _greet(socket: ClientConnection) -> None:
    await _send(socket, {"type": "connection_init"})
    while (message := await _receive(socket))["type"] != "connection_ack":
        await _pong(socket, message)


async def _payloads(socket: ClientConnection, stream: str) -> AsyncIterator[Data]:
    while True:
        message = await _receive(socket)
        match message["type"]:
            case "next" if message["id"] == stream:
                yield message["payload"]
            case "error" if message["id"] == stream:
                yield {"errors": message["payload"]}
            case "complete" if message["id"] == stream:
                return
            case _:
                await _pong(socket, message)


async def _pong(socket: ClientConnection, message: Data) -> None:
    if message["type"] == "ping":
        await _send(socket, {"type": "pong"})


async def _send(socket: ClientConnection, message: Data) -> None:
    await socket.send(json.dumps(message))


async def _receive(socket: ClientConnection) -> Data:
    message: Data = json.loads(await socket.recv())
    return message


def _data(result: Data) -> Data:
    if result.get("errors"):
        raise RequestFailed("; ".join(str(error.get("message")) for error in result["errors"]))
    data: Data = result["data"]
    return data
