"""Large bodies share a bound; small ones are not counted."""

import json
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from starlette.types import Message, Receive, Scope

from schema.graphiql.ide import Ide
from schema.limits import LIMITS
from schema.offload import Overloaded
from schema.transport.endpoint import Endpoint
from schema.transport.incoming import SMALL_BYTES, Incoming
from schema.transport.timing import Timing
from server.assembly import Services

MOST = 1_000


def post(length: int | None = None) -> Scope:
    headers = [] if length is None else [(b"content-length", b"%d" % length)]
    return {"type": "http", "method": "POST", "headers": headers}


def body(pieces: Iterable[int]) -> Receive:
    waiting = [{"type": "http.request", "body": b"x" * size, "more_body": True} for size in pieces]

    async def receive() -> Message:
        return waiting.pop(0)

    return receive


@pytest.mark.asyncio
@pytest.mark.parametrize("length", [None, SMALL_BYTES + MOST])
async def test_bodies_find_room_until_it_is_taken(length: int | None) -> None:
    incoming = Incoming(MOST)
    with incoming.counted(post(length), body([SMALL_BYTES, MOST])) as first:
        await first()
        await first()
        with incoming.counted(post(length), body([SMALL_BYTES, 1])) as second:
            await second()
            with pytest.raises(Overloaded):
                await second()
    with incoming.counted(post(length), body([SMALL_BYTES + MOST])) as third:
        await third()
    assert incoming._held_bytes == 0


@pytest.mark.asyncio
async def test_what_is_refused_leaves_room() -> None:
    incoming = Incoming(MOST)
    for _ in range(3):
        with incoming.counted(post(), body([SMALL_BYTES, MOST, 1])) as receive:
            await receive()
            await receive()
            with pytest.raises(Overloaded):
                await receive()
    assert incoming._held_bytes == 0


def test_small_bodies_are_passed_on_as_they_are() -> None:
    receive = body([])
    for scope in (post(SMALL_BYTES), {"type": "http", "method": "GET", "headers": []}):
        with Incoming().counted(scope, receive) as passed:
            assert passed is receive


@pytest.mark.asyncio
async def test_who_finds_no_room_is_told_to_try_again() -> None:
    endpoint = Endpoint(cast("Services", SimpleNamespace()), cast("Ide", None), Timing(), LIMITS)
    endpoint._incoming = Incoming(MOST)
    scope: Scope = {
        **post(),
        "path": "/graphql",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json"), (b"accept", b"application/json")],
    }
    sent: list[Any] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await endpoint(scope, body([SMALL_BYTES, MOST + 1]), send)
    assert sent[0]["status"] == 503
    assert dict(sent[0]["headers"])[b"retry-after"] == b"1"
    assert json.loads(sent[1]["body"])["errors"][0]["extensions"] == {"code": "OVERLOADED"}
    assert endpoint._incoming._held_bytes == 0
