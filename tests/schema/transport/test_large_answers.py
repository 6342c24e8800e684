"""Large answers: sent in slices, and no more of them at once than there is memory for."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any, cast

import pytest
from starlette.types import Message, Scope

from schema.execution import operations
from schema.execution.cost import Cost
from schema.execution.operations import Execution, Response
from schema.execution.preparation import Prepared
from schema.graphiql.ide import Ide
from schema.limits import LIMITS
from schema.reads.context import Context
from schema.transport import endpoint
from schema.transport.endpoint import Endpoint
from schema.transport.graphql_http import SLICE_BYTES, JsonResponse
from schema.transport.timing import Timing
from server.assembly import Services

SCOPE: Scope = {"type": "http"}


async def nothing() -> Message:
    raise AssertionError


@pytest.mark.parametrize("length", [0, 1, SLICE_BYTES, SLICE_BYTES + 1, 3 * SLICE_BYTES, 3 * SLICE_BYTES + 7])
async def test_a_body_arrives_whole_in_slices(length: int) -> None:
    body = bytes(number % 251 for number in range(length))
    sent: list[Any] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await JsonResponse(body, 200, "application/json")(SCOPE, nothing, send)  # type: ignore[arg-type]
    assert dict(sent[0]["headers"])[b"content-length"] == b"%d" % length
    assert b"".join(part["body"] for part in sent[1:]) == body
    assert max(len(part["body"]) for part in sent[1:]) <= SLICE_BYTES
    assert [part.get("more_body", False) for part in sent[1:]] == [True] * (len(sent) - 2) + [False]


async def test_answers_that_nobody_takes_are_bounded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "MOST_OUTGOING_BYTES", 5_000)
    at = Endpoint(cast("Services", SimpleNamespace()), cast("Ide", None), Timing(), LIMITS)
    reading = asyncio.Event()

    async def slow(_message: Message) -> None:
        await reading.wait()

    large = JsonResponse(b"x" * 2_000, 200, "application/json")  # type: ignore[arg-type]
    held = [asyncio.ensure_future(at._send_large(large, SCOPE, nothing, slow)) for _ in range(2)]
    await asyncio.sleep(0)  # both begin to send
    assert at._outgoing_bytes == 4_000
    sent: list[Any] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await at._send_large(large, SCOPE, nothing, send)
    assert sent[0]["status"] == 503
    assert dict(sent[0]["headers"])[b"retry-after"] == b"1"
    assert json.loads(sent[1]["body"])["errors"][0]["extensions"] == {"code": "OVERLOADED"}
    reading.set()
    await asyncio.gather(*held)
    assert at._outgoing_bytes == 0
    sent.clear()
    await at._send_large(large, SCOPE, nothing, send)
    assert [sent[0]["status"], sent[1]["body"]] == [200, large.body]


async def test_operations_that_may_come_to_much_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = most = 0

    async def answered(*_: object) -> Response:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0)
        at_once -= 1
        return Response(b"{}")

    monkeypatch.setattr(Execution, "_execute", answered)
    execution = Execution(cast("Any", None), cast("Any", None))

    async def execute(values: int) -> Response:
        prepared = Prepared(cast("Any", None), {}, cast("Any", None), Cost(values))
        return await execution.execute(prepared, cast("Context", None))

    await asyncio.gather(*(execute(operations.HEAVY_VALUES + 1) for _ in range(10)))
    assert most == operations.HEAVY_AT_ONCE
    await asyncio.gather(*(execute(operations.HEAVY_VALUES) for _ in range(10)))
    assert most == 10

    monkeypatch.setattr(operations, "LONGEST_SECONDS", 0.01)
    for _ in range(operations.HEAVY_AT_ONCE):
        await execution._heavy.acquire()
    [error] = (await execute(operations.HEAVY_VALUES + 1)).unexecuted
    assert error["extensions"] == {"code": "OVERLOADED"}
