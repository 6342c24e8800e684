"""What a failed call to Databricks means: an `ApiError` that says something of the request, or `Unavailable`."""

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

import requests
from databricks.sdk.core import DatabricksError
from urllib3.exceptions import HTTPError

from server.databricks.errors import ApiError
from server.domain.errors import Unavailable

LONGEST_MESSAGE_CHARACTERS: Final = 2_000
LONGEST_CODE_CHARACTERS: Final = 100
MASK: Final = "***"
# tokens of people, and those that OAuth gives out: https://docs.databricks.com/dev-tools/auth
SECRET: Final = re.compile(r"\bdapi[0-9a-f-]{8,}|\beyJ[\w-]+\.[\w-]+\.[\w-]*|(?<=Bearer )\S+")
OUTAGE_STATUSES: Final = frozenset({401, 408, 429})
REFUSAL_CODES: Final = frozenset({"FEATURE_DISABLED"})  # a refusal, whatever the status that comes with it


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """The status, code and message of an error response. `code` is as in `ApiError`; `message` may hold secrets."""

    status: int
    code: str | None
    message: str
    retry_after_seconds: float | None = None


def error_body(response: requests.Response) -> ErrorBody:
    """Read an error response in any of its forms: an API's, an old API's, SCIM's, GraphQL's, or no JSON at all."""
    try:
        body = response.json()
    except ValueError:
        body = None
    code: str | None = None
    message: object = None
    if isinstance(body, dict):
        first = _first_graphql_error(body.get("errors"))
        word = body.get("error_code") or first.get("code")
        # an intermediary's JSON has numbers for codes
        code = word[:LONGEST_CODE_CHARACTERS] if isinstance(word, str) else ""
        message = body.get("message") or body.get("error") or body.get("detail") or first.get("message")
    text = str(message or response.reason or "no reason given")
    return ErrorBody(response.status_code, code, text, _seconds(response.headers.get("Retry-After")))


def to_exception(body: ErrorBody, secrets: AbstractSet[str]) -> ApiError | Unavailable:
    """The exception for an error response, without `secrets` in its text."""
    message = redacted(body.message, secrets)
    about_the_request = 400 <= body.status < 500 and body.status not in OUTAGE_STATUSES  # noqa: PLR2004  (HTTP's kinds)
    if about_the_request or body.code in REFUSAL_CODES:
        return ApiError(body.status, body.code, message)
    code = f" {body.code}" if body.code else ""
    return Unavailable(f"Databricks answered HTTP {body.status}{code}: {message}", body.retry_after_seconds)


def translated(error: Exception, secrets: AbstractSet[str]) -> Exception:
    """The `ApiError` or `Unavailable` that an exception of a call stands for; any other is returned as it is.

    An `ApiError` is judged by its status once more: FMAPI's client raises those that came with HTTP 200.
    """
    if isinstance(error, ApiError):
        return to_exception(ErrorBody(error.status, error.code, error.message), secrets)
    reason = _outage(error)
    return error if reason is None else Unavailable(reason)


def redacted(text: str, secrets: AbstractSet[str]) -> str:
    """A text in one line without the secrets that it may repeat."""
    for value in secrets:
        text = text.replace(value, MASK)
    return " ".join(SECRET.sub(MASK, text).split())[:LONGEST_MESSAGE_CHARACTERS]


def _outage(error: Exception) -> str | None:
    match error:
        case requests.exceptions.JSONDecodeError():
            return "Databricks answered something that is not JSON"
        case requests.Timeout():
            return "Databricks did not answer in time"
        case requests.RequestException() | HTTPError():  # their texts have addresses in them, which may be signed
            return f"Databricks can't be reached ({type(error).__name__})"
        case DatabricksError():  # of the requests that authenticate; its text has some of the configuration in it
            return f"Databricks: authentication failed ({type(error).__name__})"
        case ValueError() | TypeError() | KeyError() | AttributeError():
            return f"Databricks' answer could not be understood ({type(error).__name__})"
        case _:
            return None


def _first_graphql_error(errors: object) -> Mapping[str, object]:
    first = errors[0] if isinstance(errors, list) and errors else None
    if not isinstance(first, dict):
        return {}
    extensions = first.get("extensions")
    return {"message": first.get("message"), "code": extensions.get("code") if isinstance(extensions, dict) else None}


def _seconds(header: str | None) -> float | None:
    return float(header) if header is not None and header.isdecimal() else None
