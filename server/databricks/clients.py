"""The SDK's clients, set up to wait little, to repeat nothing unasked, and to keep what the other side answered.

Importing this imports `databricks.sdk`, which takes seconds: `workspace` does so on first use, in a thread.
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import requests
from databricks.sdk import WorkspaceClient
from databricks.sdk.clock import Clock
from databricks.sdk.core import Config, DatabricksError

from server.databricks.errors import ApiError
from server.domain.errors import Unavailable

PRODUCT: Final = "tunegraph"
LONGEST_MESSAGE: Final = 2_000
LONGEST_CODE: Final = 100
HIDDEN: Final = "***"
# tokens of people, and those that OAuth gives out: https://docs.databricks.com/dev-tools/auth
SECRET: Final = re.compile(r"\bdapi[0-9a-f-]{8,}|\beyJ[\w-]+\.[\w-]+\.[\w-]*|(?<=Bearer )\S+")
OUTAGES: Final = frozenset({401, 408, 429})
FINAL: Final = frozenset({"FEATURE_DISABLED"})  # a refusal, whatever the status that comes with it


@dataclass(frozen=True, slots=True)
class Told:
    """What an error's answer said."""

    status: int
    code: str | None
    message: str
    retry_after: float | None


class _TooLong(Exception):
    """The SDK would wait longer than it may before it repeats a request. Its context is why."""


class Patience(Clock):
    """A clock that lets the SDK wait for less than `longest` seconds before it repeats a request; 0: not at all.

    The SDK repeats a POST as well when its answer was lost, however small its budget of time is; and it waits for as
    long as the other side asks. That it does neither is up to the clock it waits by.
    """

    def __init__(self, longest: float) -> None:
        self._longest = longest

    def time(self) -> float:
        """Now."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait before a repetition."""
        if seconds >= self._longest:
            raise _TooLong
        time.sleep(seconds)


class _Parser(Protocol):
    def get_api_error(self, response: requests.Response) -> DatabricksError | None: ...


class _KeepingAnswers:
    """Adds to the SDK's errors what the answer said: they drop the status, and take some of the configuration in."""

    def __init__(self, parser: _Parser) -> None:
        self._parser = parser

    def get_api_error(self, response: requests.Response) -> DatabricksError | None:
        """The SDK's own error."""
        error = self._parser.get_api_error(response)
        if error is not None:
            error.kwargs["told"] = _told(response)
        return error


def connect(given: Mapping[str, Any], *, answer_within: float, repeat_within: int, longest: float) -> WorkspaceClient:
    """A client; what is not `given` (arguments of the SDK's Config) comes from where the SDK looks for it.

    Raises `Unavailable` when there are no credentials that could be used.
    """
    try:
        config = Config(
            product=PRODUCT,
            http_timeout_seconds=answer_within,
            retry_timeout_seconds=repeat_within,
            clock=Patience(longest),
            # files go through the workspace itself: signed addresses of a storage account are often out of reach
            disable_experimental_files_api_client=True,
            **given,
        )
        client = WorkspaceClient(config=config)
    except ValueError as error:
        reason = re.split(r"\. (?:Config|Env): ", str(error))[0]
        raise Unavailable(f"Databricks: the SDK could not set up its authentication: {_safe(reason, ())}") from None
    inner = client.api_client._api_client  # noqa: SLF001  (the SDK has no other place where answers pass)
    inner._error_parser = _KeepingAnswers(inner._error_parser)  # type: ignore[assignment]  # noqa: SLF001  (the same)
    return client


def secrets(client: WorkspaceClient) -> frozenset[str]:
    """What must not be told to anybody."""
    config = client.config
    values = (getattr(config, attribute.name) for attribute in Config.attributes() if attribute.sensitive)
    return frozenset(str(value) for value in values if value)


def translated(error: Exception, hidden: frozenset[str]) -> Exception:
    """What an error of a call means: an `ApiError`, or `Unavailable`; an error of the program itself stays."""
    if isinstance(error, _TooLong) and isinstance(error.__context__, Exception):
        return translated(error.__context__, hidden)
    if isinstance(error, TimeoutError) and isinstance(error.__cause__, Exception):  # repeated until there was no time
        return translated(error.__cause__, hidden)
    if isinstance(error, DatabricksError):
        told = error.kwargs.get("told")
        return _meaning(told, hidden) if isinstance(told, Told) else Unavailable(f"Databricks: {type(error).__name__}")
    if isinstance(error, ApiError):
        return _meaning(Told(error.status, error.code, error.message, None), hidden)
    reason = _outage(error)
    return error if reason is None else Unavailable(reason)


def _outage(error: Exception) -> str | None:
    match error:
        case requests.exceptions.JSONDecodeError():
            return "Databricks answered something that is not JSON"
        case requests.Timeout():
            return "Databricks did not answer in time"
        case requests.RequestException():  # its text has addresses in it, which may be signed
            return f"Databricks can't be reached ({type(error).__name__})"
        case ValueError() | TypeError() | KeyError() | AttributeError():
            return f"Databricks' answer could not be understood ({type(error).__name__})"
        case _:
            return None


def _meaning(told: Told, hidden: frozenset[str]) -> Exception:
    message = _safe(told.message, hidden)
    about_the_request = 400 <= told.status < 500 and told.status not in OUTAGES  # noqa: PLR2004  (HTTP's kinds)
    if not about_the_request and told.code not in FINAL:
        said = f"{f' {told.code}' if told.code else ''}: {message}"
        return Unavailable(f"Databricks answered HTTP {told.status}{said}", told.retry_after)
    return ApiError(told.status, told.code, message)


def _told(response: requests.Response) -> Told:
    """What the answer of an error says, in any of its forms: an API's, an old API's, SCIM's, GraphQL's."""
    try:
        said = response.json()
    except ValueError:
        said = None
    code: str | None = None
    message: object = None
    if isinstance(said, dict):
        first = _first(said.get("errors"))
        word = said.get("error_code") or first.get("code")
        code = word[:LONGEST_CODE] if isinstance(word, str) else ""  # what stands before a workspace says a number
        message = said.get("message") or said.get("error") or said.get("detail") or first.get("message")
    reason = str(message or response.reason or "no reason given")
    return Told(response.status_code, code, reason, _seconds(response.headers.get("Retry-After")))


def _first(errors: object) -> Mapping[str, object]:
    """The message and code of the first of GraphQL's errors."""
    first = errors[0] if isinstance(errors, list) and errors else None
    if not isinstance(first, dict):
        return {}
    extensions = first.get("extensions")
    return {"message": first.get("message"), "code": extensions.get("code") if isinstance(extensions, dict) else None}


def _seconds(header: str | None) -> float | None:
    return float(header) if header is not None and header.isdecimal() else None


def _safe(text: str, hidden: frozenset[str] | tuple[()]) -> str:
    """A text in one line without the secrets that it may repeat."""
    for value in hidden:
        text = text.replace(value, HIDDEN)
    return " ".join(SECRET.sub(HIDDEN, text).split())[:LONGEST_MESSAGE]
