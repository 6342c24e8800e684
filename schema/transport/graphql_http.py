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

from graphql import OperationType
from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from schema.execution.documents import Refusal
from schema.execution.json_text import NotJson, decode, encode
from schema.execution.operations import Execution, Prepared, refused
from schema.reads.context import Context
from schema.transport import negotiation
from schema.transport.disconnect import unless_gone
from schema.transport.event_stream import EventStream
from schema.transport.heartbeat import Heartbeat
from schema.transport.negotiation import EVENT_STREAM, GRAPHQL_JSON, JSON, Accepted

METHODS: Final = "GET, POST"


class HttpError(Exception):
    """A request that is no GraphQL request."""

    def __init__(self, status: HTTPStatus, message: str, allow: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"errors": [{"message": message, "extensions": {"code": status.name}}]}
        self.headers = [(b"allow", allow.encode())] if allow else []


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
        prepared = await execution.prepare(await _payload(scope, receive))
        _refuse_unsafe(scope["method"], prepared, accepted)
    except HttpError as error:
        return Answered(encode(error.body), error.status, accepted.refusal, error.headers)
    except Refusal as refusal:
        well_formed = all(error.get("extensions", {}).get("code") != "BAD_REQUEST" for error in refusal.errors)
        lenient = well_formed and accepted.refusal == JSON
        status = HTTPStatus.OK if lenient else HTTPStatus.BAD_REQUEST
        return Answered(refused(refusal.errors).json, status, accepted.refusal)
    if accepted.single is None or prepared.operation.type is OperationType.SUBSCRIPTION:
        return EventStream(execution, prepared, context, comments)
    answer = await unless_gone(receive, execution.answer(prepared, context))
    failed = answer.unexecuted and accepted.single == GRAPHQL_JSON
    return Answered(answer.json, HTTPStatus.BAD_REQUEST if failed else HTTPStatus.OK, accepted.single)


@dataclass(frozen=True, slots=True)
class Answered:
    """A response of JSON."""

    body: bytes
    status: HTTPStatus
    media_type: str
    headers: Sequence[tuple[bytes, bytes]] = ()

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Send it."""
        headers = [
            (b"content-length", b"%d" % len(self.body)),
            (b"content-type", f"{self.media_type}; charset=utf-8".encode()),
            (b"vary", b"Accept"),
            *self.headers,
        ]
        await send({"type": "http.response.start", "status": int(self.status), "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


async def _payload(scope: Scope, receive: Receive) -> Any:  # noqa: ANN401  (whatever a client sent)
    if scope["method"] == "GET":
        return _from_query(_parameters(scope))
    if scope["method"] != "POST":
        raise HttpError(HTTPStatus.METHOD_NOT_ALLOWED, "GraphQL is asked by GET or POST", METHODS)
    if not _is_json(_header(scope, b"content-type")):
        message = f"the request's Content-Type must be {JSON} in UTF-8"
        raise HttpError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, message)
    return _decoded(await _body(receive), "the request's body")


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


def _from_query(parameters: QueryParams) -> dict[str, Any]:
    """The parameters in the address; one that is empty is as good as left out."""
    found: dict[str, Any] = {name: value for name, value in parameters.items() if value}
    for name in ("variables", "extensions"):
        if name in found:
            found[name] = _decoded(found[name], name)
    return found


def _decoded(text: str | bytes, what: str) -> Any:  # noqa: ANN401
    try:
        return decode(text)
    except NotJson:
        raise HttpError(HTTPStatus.BAD_REQUEST, f"{what} is not valid JSON in UTF-8") from None


def _refuse_unacceptable(accepted: Accepted) -> None:
    if accepted.single is None and not accepted.stream:
        raise HttpError(HTTPStatus.NOT_ACCEPTABLE, f"answers come as {GRAPHQL_JSON}, {JSON} or {EVENT_STREAM}")


def _refuse_unsafe(method: str, prepared: Prepared, accepted: Accepted) -> None:
    kind = prepared.operation.type
    if method == "GET" and kind is OperationType.MUTATION:
        raise HttpError(HTTPStatus.METHOD_NOT_ALLOWED, "a mutation can't be asked by GET", "POST")
    if kind is OperationType.SUBSCRIPTION and not accepted.stream:
        message = f"a subscription needs a WebSocket, or Accept: {EVENT_STREAM}"
        raise HttpError(HTTPStatus.BAD_REQUEST, message)
