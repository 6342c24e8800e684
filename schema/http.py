"""GraphQL over HTTP (https://graphql.github.io/graphql-over-http/), and over server-sent events.

Status codes follow the specification's `application/graphql-response+json`: 400 when nothing was executed. A client
that takes only `application/json` gets 200 for a well-formed request, whatever the document.
"""

from email.message import Message
from http import HTTPStatus
from typing import Any, Final

from graphql import OperationType
from starlette.requests import Request
from starlette.responses import Response

from schema import negotiation
from schema.context import Context
from schema.disconnect import unless_gone
from schema.documents import Refusal
from schema.event_stream import EventStream
from schema.execution import Execution, Prepared, refused
from schema.negotiation import EVENT_STREAM, GRAPHQL_JSON, JSON, Accepted
from schema.timing import Timing
from schema.wire import NotJson, decode, encode

METHODS: Final = "GET, POST"


class HttpError(Exception):
    """A request that is no GraphQL request."""

    def __init__(self, status: HTTPStatus, message: str, allow: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"errors": [{"message": message, "extensions": {"code": status.name}}]}
        self.headers = {"Allow": allow} if allow else {}


def accepts_html(request: Request) -> bool:
    """Whether a browser wants a page."""
    return "text/html" in request.headers.get("accept", "") and "query" not in request.query_params


async def respond(request: Request, execution: Execution, context: Context, timing: Timing) -> Response:
    """The response to a GraphQL request over HTTP. Raises ClientDisconnect, after it has given up the work."""
    accepted = negotiation.accepted(request.headers.getlist("accept"))
    try:
        _refuse_unacceptable(accepted)
        prepared = execution.prepare(await _payload(request))
        _refuse_unsafe(request, prepared, accepted)
    except HttpError as error:
        return _response(encode(error.body), error.status, accepted.refusal, error.headers)
    except Refusal as refusal:
        well_formed = all(error.get("extensions", {}).get("code") != "BAD_REQUEST" for error in refusal.errors)
        lenient = well_formed and accepted.refusal == JSON
        status = HTTPStatus.OK if lenient else HTTPStatus.BAD_REQUEST
        return _response(refused(refusal.errors).json, status, accepted.refusal)
    if accepted.single is None or prepared.operation.type is OperationType.SUBSCRIPTION:
        return EventStream(execution.answers(prepared, context), timing.comment_every)
    answer = await unless_gone(request.receive, execution.answer(prepared, context))
    failed = answer.unexecuted and accepted.single == GRAPHQL_JSON
    return _response(answer.json, HTTPStatus.BAD_REQUEST if failed else HTTPStatus.OK, accepted.single)


def _response(body: bytes, status: HTTPStatus, media_type: str, headers: dict[str, str] | None = None) -> Response:
    return Response(body, status, {"Vary": "Accept", **(headers or {})}, f"{media_type}; charset=utf-8")


async def _payload(request: Request) -> Any:  # noqa: ANN401  (whatever a client sent)
    if request.method == "GET":
        return _from_query(request)
    if request.method != "POST":
        raise HttpError(HTTPStatus.METHOD_NOT_ALLOWED, "GraphQL is asked by GET or POST", METHODS)
    described = Message()
    described["Content-Type"] = request.headers.get("content-type", "")
    if described.get_content_type() != JSON or described.get_content_charset("utf-8") not in {"utf-8", "utf8"}:
        message = f"the request's Content-Type must be {JSON} in UTF-8"
        raise HttpError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, message)
    return _decoded(await request.body(), "the request's body")


def _from_query(request: Request) -> dict[str, Any]:
    """The parameters in the address; one that is empty is as good as left out."""
    found: dict[str, Any] = {name: value for name, value in request.query_params.items() if value}
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


def _refuse_unsafe(request: Request, prepared: Prepared, accepted: Accepted) -> None:
    kind = prepared.operation.type
    if request.method == "GET" and kind is OperationType.MUTATION:
        raise HttpError(HTTPStatus.METHOD_NOT_ALLOWED, "a mutation can't be asked by GET", "POST")
    if kind is OperationType.SUBSCRIPTION and not accepted.stream:
        message = f"a subscription needs a WebSocket, or Accept: {EVENT_STREAM}"
        raise HttpError(HTTPStatus.BAD_REQUEST, message)
