"""One GraphQL request to FMAPI. Its errors come with HTTP 200 as well."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from server.databricks.errors import ApiError
from server.databricks.workspace import Workspace
from server.domain.errors import Unavailable
from server.trainers.databricks.fmapi.operations import ENDPOINT, Operation

if TYPE_CHECKING:
    from server.databricks.client import WorkspaceClient

# `extensions.code` is an HTTP status; the words are those of common GraphQL servers, should one stand in between
STATUSES: Final[Mapping[str, int]] = {
    "BAD_REQUEST": 400,
    "BAD_USER_INPUT": 400,
    "GRAPHQL_PARSE_FAILED": 400,
    "GRAPHQL_VALIDATION_FAILED": 400,
    "INVALID_PARAMETER_VALUE": 400,
    "UNAUTHENTICATED": 401,
    "FORBIDDEN": 403,
    "PERMISSION_DENIED": 403,
    "FEATURE_DISABLED": 403,
    "NOT_FOUND": 404,
    "GONE": 410,
}
UNKNOWN: Final = 500
BAD_REQUEST: Final = 400


async def ask(workspace: Workspace, operation: Operation) -> Any:  # noqa: ANN401  (JSON has no type)
    """The value of the operation's field. Raises `ApiError` and `Unavailable`, also when the value is null."""
    return await workspace.call(lambda client: send(client, operation))


def send(client: "WorkspaceClient", operation: Operation) -> Any:  # noqa: ANN401  (JSON has no type)
    """The same, from a thread."""
    request = {"query": operation.query, "variables": dict(operation.variables)}
    body = client.api_client.do("POST", ENDPOINT, body=request)
    if not isinstance(body, dict):
        raise Unavailable("FMAPI's answer is no object")
    if errors := body.get("errors"):
        raise _refusal(errors if isinstance(errors, list) else [errors])
    data: object = body.get("data")
    value = data.get(operation.field) if isinstance(data, dict) else None
    if value is None:
        raise Unavailable(f"FMAPI's answer has no {operation.field}")
    return value


def _refusal(errors: list[Any]) -> ApiError:
    """All errors as one: its status is the highest, its code the first that is no number, its message all of theirs."""
    failures: list[dict[str, Any]] = [error if isinstance(error, dict) else {"message": str(error)} for error in errors]
    codes = [(error.get("extensions") or {}).get("code") for error in failures]
    message = "; ".join(str(error.get("message") or "no reason given") for error in failures)
    words = [code for code in codes if isinstance(code, str) and not code.isdecimal()]
    code = "FEATURE_DISABLED" if "FEATURE_DISABLED" in words else next(iter(words), "")
    status = BAD_REQUEST if "Bad run request" in message else max(map(_status, codes))
    return ApiError(STATUSES["FEATURE_DISABLED"] if code == "FEATURE_DISABLED" else status, code, message)


def _status(code: object) -> int:
    if isinstance(code, str):
        return int(code) if code.isdecimal() else STATUSES.get(code, UNKNOWN)
    return code if isinstance(code, int) else UNKNOWN
