"""GraphQL over HTTP (https://graphql.github.io/graphql-over-http/), and over server-sent events.

Status codes follow the specification's `application/graphql-response+json`: 400 when nothing was executed. A client
that accepts only `application/json` gets 200 for a well-formed request, whatever the document.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any, Final

from graphql import GraphQLError, OperationType
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from schema.context import Context
from schema.documents import Refusal
from schema.execution import Answer, Execution, Prepared, refused

JSON: Final = "application/json"
GRAPHQL_JSON: Final = "application/graphql-response+json"
EVENT_STREAM: Final = "text/event-stream"
KEEP_ALIVE: Final = 15.0  # seconds between comments on a silent stream: proxies drop idle connections


@dataclass(frozen=True, slots=True)
class HttpError(Exception):
    """A request that is no GraphQL request."""

    status: int
    message: str
    allow: str | None = None


def encode(data: object) -> bytes:
    """JSON in UTF-8."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def accepts_html(request: Request) -> bool:
    """Whether a browser wants a page."""
    return "text/html" in request.headers.get("accept", "") and "query" not in request.query_params


async def respond(request: Request, execution: Execution, context: Context) -> Response:
    """The response to a GraphQL request over HTTP."""
    media_type = JSON
    try:
        media_type = _negotiated(request)
        payload = await _payload(request)
        prepared = execution.prepare(payload)
        _refuse_unsafe(request, prepared, media_type)
    except HttpError as error:
        headers = {"Allow": error.allow} if error.allow else None
        body = {"errors": [{"message": error.message}]}
        return Response(encode(body), error.status, headers, _plain(media_type))
    except Refusal as refusal:
        malformed = any((error.extensions or {}).get("code") == "BAD_REQUEST" for error in refusal.errors)
        status = 200 if media_type == JSON and not malformed else 400
        return Response(encode(refused(refusal)), status, None, _plain(media_type))
    if media_type == EVENT_STREAM:
        events = _events(execution.answers(prepared, context))
        return StreamingResponse(events, media_type=EVENT_STREAM, headers={"Cache-Control": "no-cache"})
    answer = await _unless_gone(request, execution.answer(prepared, context))
    status = 400 if "data" not in answer and media_type == GRAPHQL_JSON else 200
    return Response(encode(answer), status, None, media_type)


def _plain(media_type: str) -> str:
    """What an answer comes in that was to be a stream and is none."""
    return GRAPHQL_JSON if media_type == EVENT_STREAM else media_type


def _negotiated(request: Request) -> str:
    """The media type to answer in; what a client refuses with q=0 is not looked at."""
    wanted = request.headers.get("accept") or "*/*"
    ranges = [part.partition(";")[0].strip().lower() for part in wanted.split(",")]
    if EVENT_STREAM in ranges:
        return EVENT_STREAM
    if GRAPHQL_JSON in ranges:
        return GRAPHQL_JSON
    if {JSON, "application/*", "*/*"} & set(ranges):
        return JSON
    raise HttpError(406, f"answers come as {GRAPHQL_JSON}, {JSON} or {EVENT_STREAM}")


async def _payload(request: Request) -> Any:  # noqa: ANN401  (whatever a client sent)
    if request.method == "GET":
        return _from_query(request)
    if request.method != "POST":
        raise HttpError(405, "GraphQL is asked by GET or POST", "GET, POST")
    kind, _, parameters = request.headers.get("content-type", "").partition(";")
    charset = parameters.partition("charset=")[2].strip(' "').lower()
    if kind.strip().lower() != JSON or charset not in {"", "utf-8"}:
        raise HttpError(415, f"the request's Content-Type must be {JSON} in UTF-8")
    try:
        return _decode(await request.body())
    except ClientDisconnect:
        raise HttpError(400, "the client went away") from None


def _from_query(request: Request) -> dict[str, Any]:
    found: dict[str, Any] = dict(request.query_params)
    for name in ("variables", "extensions"):
        if found.get(name):
            found[name] = _decode(found[name].encode(errors="surrogatepass"))
        else:
            found.pop(name, None)
    return found


def _decode(body: bytes) -> Any:  # noqa: ANN401
    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        return json.loads(body.decode(), parse_constant=refuse)
    except (ValueError, RecursionError):
        raise HttpError(400, "the request's body is not valid JSON in UTF-8") from None


def _refuse_unsafe(request: Request, prepared: Prepared, media_type: str) -> None:
    kind = prepared.operation.type
    if request.method == "GET" and kind is not OperationType.QUERY:
        raise HttpError(405, f"a {kind.value} can't be asked by GET", "POST")
    if kind is OperationType.SUBSCRIPTION and media_type != EVENT_STREAM:
        message = f"a subscription needs a WebSocket, or Accept: {EVENT_STREAM}"
        raise Refusal([GraphQLError(message, prepared.operation.definition, extensions={"code": "BAD_REQUEST"})])


async def _unless_gone(request: Request, answer: Coroutine[Any, Any, Answer]) -> Answer:
    """The answer; a client that goes away takes the work on it along."""
    work = asyncio.ensure_future(answer)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise ClientDisconnect
        return work.result()
    finally:
        work.cancel()
        gone.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _events(answers: AsyncGenerator[Answer]) -> AsyncIterator[bytes]:
    """Server-sent events in "distinct connections" mode: next …, complete; and a comment now and then on the way."""
    async with aclosing(answers):
        following = asyncio.ensure_future(anext(answers, None))
        try:
            while True:
                done, _ = await asyncio.wait({following}, timeout=KEEP_ALIVE)
                if not done:
                    yield b":\n\n"
                    continue
                answer = following.result()
                if answer is None:
                    break
                yield b"event: next\ndata: " + encode(answer) + b"\n\n"
                following = asyncio.ensure_future(anext(answers, None))
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await following
    yield b"event: complete\ndata:\n\n"
