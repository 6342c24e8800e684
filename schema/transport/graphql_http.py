"""GraphQL over HTTP (https://graphql.github.io/graphql-over-http/), and over server-sent events.

Status codes follow the specification's `application/graphql-response+json`: 400 when nothing was executed. A client
that takes only `application/json` gets 200 for a well-formed request, whatever the document.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from email.message import Message
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final

from graphql import GraphQLFormattedError, OperationType
from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from schema.execution.documents import Refusal
from schema.execution.json_text import NotJson, TooManyEntries, encode
from schema.execution.operations import Execution, refused
from schema.execution.preparation import Prepared
from schema.offload import Offload, Overloaded
from schema.reads.context import Context
from schema.transport import decoding, negotiation
from schema.transport.disconnect import unless_gone
from schema.transport.event_stream import EventStream
from schema.transport.heartbeat import Heartbeat
from schema.transport.negotiation import EVENT_STREAM, GRAPHQL_JSON, JSON, Accepted

METHODS: Final = b"GET, POST"
COST: Final = b"x-graphql-cost"  # with the value 1 it asks for `extensions.cost`
SLICE_BYTES: Final = 256 * 1024
RETRY: Final = ((b"retry-after", b"1"),)


class HttpError(Exception):
    """A request that is no GraphQL request."""

    def __init__(
        self, status: HTTPStatus, message: str, *, code: str | None = None, headers: Sequence[tuple[bytes, bytes]] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"errors": [{"message": message, "extensions": {"code": code or status.name}}]}
        self.headers = headers


def accepts_html(scope: Scope) -> bool:
    """Whether a browser wants a page."""
    return "text/html" in _header(scope, b"accept") and "query" not in _parameters(scope)


async def respond(
    scope: Scope, receive: Receive, execution: Execution, context: Context, comments: Heartbeat
) -> ASGIApp:
    """The response to a GraphQL request over HTTP. Raises ClientDisconnect, after it has given up the work."""
    accepted = negotiation.accepted(_header(scope, b"accept"))
    try:
        _refuse_unacceptable(accepted)
        prepared = await execution.prepare(await _payload(scope, receive, execution.offload))
        _refuse_unsafe(scope["method"], prepared, accepted)
    except HttpError as error:
        return JsonResponse(encode(error.body), error.status, accepted.refusal, error.headers)
    except Overloaded:
        return overloaded(accepted.refusal)
    except Refusal as refusal:
        return _refused(refusal.errors, accepted)
    if accepted.single is None or prepared.operation.type is OperationType.SUBSCRIPTION:
        return EventStream(execution, prepared, context, comments)
    response = await unless_gone(receive, execution.execute(prepared, context))
    if response.unexecuted:
        return _refused(response.unexecuted, accepted)
    body = execution.with_cost(response, prepared) if _header(scope, COST) == "1" else response.json
    return JsonResponse(body, HTTPStatus.OK, accepted.single)


def _refused(errors: Sequence[GraphQLFormattedError], accepted: Accepted) -> "JsonResponse":
    """The answer to a request that was not executed."""
    codes = {error.get("extensions", {}).get("code") for error in errors}
    body = refused(errors).json
    if "OVERLOADED" in codes:
        return JsonResponse(body, HTTPStatus.SERVICE_UNAVAILABLE, accepted.refusal, RETRY)
    lenient = "BAD_REQUEST" not in codes and accepted.refusal == JSON
    return JsonResponse(body, HTTPStatus.OK if lenient else HTTPStatus.BAD_REQUEST, accepted.refusal)


@dataclass(frozen=True, slots=True)
class JsonResponse:
    """A response of JSON."""

    body: bytes
    status: HTTPStatus
    media_type: str
    headers: Sequence[tuple[bytes, bytes]] = ()

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Send it; a large body slice by slice, so that it is known what the client has not taken yet."""
        headers = [
            (b"content-length", b"%d" % len(self.body)),
            (b"content-type", f"{self.media_type}; charset=utf-8".encode()),
            (b"vary", b"Accept"),
            *self.headers,
        ]
        await send({"type": "http.response.start", "status": int(self.status), "headers": headers})
        last = _last_slice(len(self.body))
        for start in range(0, last, SLICE_BYTES):
            part = self.body[start : start + SLICE_BYTES]
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": self.body[last:]})


def overloaded(media_type: str) -> JsonResponse:
    """What stands in place of an answer that there is no room to send."""
    return JsonResponse(refused([Overloaded().formatted]).json, HTTPStatus.SERVICE_UNAVAILABLE, media_type, RETRY)


def _last_slice(length: int) -> int:
    """Where the last slice of a body begins."""
    return max(length - 1, 0) // SLICE_BYTES * SLICE_BYTES


async def _payload(scope: Scope, receive: Receive, offload: Offload) -> Any:  # noqa: ANN401  (whatever a client sent)
    if scope["method"] == "GET":
        return await _from_query(_parameters(scope), offload)
    if scope["method"] != "POST":
        raise HttpError(HTTPStatus.METHOD_NOT_ALLOWED, "GraphQL is asked by GET or POST", headers=[(b"allow", METHODS)])
    if not _is_json(_header(scope, b"content-type")):
        message = f"the request's Content-Type must be {JSON} in UTF-8"
        raise HttpError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, message)
    return await _decoded(await _body(receive), "the request's body", offload)


async def _body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


@lru_cache(maxsize=64)
def _is_json(content_type: str) -> bool:
    described = Message()
    described["Content-Type"] = content_type
    return described.get_content_type() == JSON and described.get_content_charset("utf-8") in {"utf-8", "utf8"}


def _header(scope: Scope, name: bytes) -> str:
    """The values of a header, joined as they might have been sent."""
    return b",".join([value for header, value in scope["headers"] if header == name]).decode("latin-1")


def _parameters(scope: Scope) -> QueryParams:
    return QueryParams(scope["query_string"])


async def _from_query(parameters: QueryParams, offload: Offload) -> dict[str, Any]:
    """The parameters in the address; one that is empty is as good as left out."""
    found: dict[str, Any] = {name: value for name, value in parameters.items() if value}
    for name in ("variables", "extensions"):
        if name in found:
            found[name] = await _decoded(found[name], name, offload)
    return found


async def _decoded(text: str | bytes, what: str, offload: Offload) -> Any:  # noqa: ANN401
    """The value of a JSON text; of a large one beside the event loop."""
    try:
        return await decoding.decoded(text, offload)
    except TooManyEntries as error:
        status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        raise HttpError(status, f"{what} {error}", code="TOO_LARGE") from None
    except NotJson:
        raise HttpError(HTTPStatus.BAD_REQUEST, f"{what} is not valid JSON in UTF-8") from None


def _refuse_unacceptable(accepted: Accepted) -> None:
    if accepted.single is None and not accepted.stream:
        raise HttpError(HTTPStatus.NOT_ACCEPTABLE, f"answers come as {GRAPHQL_JSON}, {JSON} or {EVENT_STREAM}")


def _refuse_unsafe(method: str, prepared: Prepared, accepted: Accepted) -> None:
    kind = prepared.operation.type
    if method == "GET" and kind is OperationType.MUTATION:
        raise HttpError(
            HTTPStatus.METHOD_NOT_ALLOWED, "a mutation can't be asked by GET", headers=[(b"allow", b"POST")]
        )
    if kind is OperationType.SUBSCRIPTION and not accepted.stream:
        message = f"a subscription needs a WebSocket, or Accept: {EVENT_STREAM}"
        raise HttpError(HTTPStatus.BAD_REQUEST, message)
