"""Clients that say whatever they are told to, and patience for what tells nobody."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

PROTOCOL = Subprotocol("graphql-transport-ws")
DEADLINE = 10.0


@dataclass(frozen=True)
class Socket:
    """A client of graphql-transport-ws that says whatever it is told to."""

    connection: ClientConnection

    async def send(self, **message: object) -> None:
        await self.connection.send(json.dumps(message))

    async def subscribe(self, stream: str, query: str, **variables: object) -> None:
        await self.send(type="subscribe", id=stream, payload={"query": query, "variables": variables})

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(DEADLINE):
            message: dict[str, Any] = json.loads(await self.connection.recv())
        return message

    async def next(self, stream: str) -> Any:  # noqa: ANN401  (the data of an answer without errors)
        message = await self.receive()
        assert (message["type"], message["id"]) == ("next", stream), message
        assert message["payload"].keys() == {"data"}, message
        return message["payload"]["data"]

    async def closed(self) -> tuple[int, str]:
        """The code and the reason with which the server closes; whatever it says before is passed over."""
        with suppress(ConnectionClosed):
            async with asyncio.timeout(DEADLINE):
                while True:
                    await self.connection.recv()
        frame = self.connection.protocol.close_rcvd
        assert frame is not None, "no close frame came"
        return frame.code, frame.reason


@dataclass(frozen=True)
class Events:
    """A response that streams."""

    response: httpx.Response
    lines: AsyncIterator[str]

    async def receive(self) -> tuple[str, Any]:
        """The name of the next event with its data; ("", None) for a comment."""
        event, data = "", None
        async with asyncio.timeout(DEADLINE):
            while line := await anext(self.lines):
                name, _, value = line.partition(":")
                if name == "event":
                    event = value.strip()
                elif name == "data":
                    data = json.loads(value) if value else None
        return event, data

    async def ended(self) -> bool:
        async with asyncio.timeout(DEADLINE):
            return [line async for line in self.lines] == []


async def eventually(condition: Callable[[], bool]) -> None:
    """Return once something that tells nobody is so."""
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
