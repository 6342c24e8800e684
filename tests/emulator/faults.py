"""What goes wrong, and when."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

from starlette.responses import HTMLResponse, JSONResponse, Response


class Kind(StrEnum):
    """How a call goes wrong."""

    TIMEOUT = "timeout"  # never answered, until the client gives up
    RESET = "reset"  # the connection is reset
    CUT = "cut"  # the connection is reset in the middle of the answer's body
    TOO_MANY = "429"  # with Retry-After
    ERROR = "error"  # `status` with `error_code` and `message`; 500 INTERNAL_ERROR unless told
    HTML = "html"  # `status` with a proxy's page; 502 unless told
    TRUNCATED = "truncated"  # a 200 whose JSON ends too early
    UNKNOWN_STATUS = "unknown_status"  # the true answer, with `word` as every status in it
    FEATURE_DISABLED = "feature_disabled"  # a 403 that says so
    GRAPHQL_ERROR = "graphql_error"  # a 200 with errors[], whose extensions.code is `status`


TOO_MANY = 429
STATUS = {Kind.TOO_MANY: TOO_MANY, Kind.FEATURE_DISABLED: 403}
WORDS: dict[int, tuple[str | int, str]] = {
    400: ("INVALID_PARAMETER_VALUE", "The request is not valid."),
    401: (401, "Credential was not sent or was of an unsupported type for this API."),
    403: ("PERMISSION_DENIED", "User does not have permission to do this."),
    404: ("ENDPOINT_NOT_FOUND", "No API found for '{method} {path}'"),
    410: ("GONE", "This API has been retired."),
    429: ("RESOURCE_EXHAUSTED", "Too many requests."),
    500: ("INTERNAL_ERROR", "An internal error occurred."),
    503: ("TEMPORARILY_UNAVAILABLE", "The service at {path} is temporarily unavailable."),
}
PAGE = "<html><head><title>{status} Bad Gateway</title></head><body><center>nginx</center></body></html>"
STATUSES = frozenset({"status", "life_cycle_state", "state"})


@dataclass(slots=True, kw_only=True)
class Fault:
    """Something that happens to calls of `method` to `path` (patterns with *), and to one GraphQL `operation` if named.

    `after` lets the call have its effect and spoils the answer only. `times` None is for ever; it counts down.
    """

    kind: Kind
    method: str = "*"
    path: str = "*"
    operation: str | None = None
    after: bool = False
    times: int | None = 1
    status: int | None = None
    error_code: str | int | None = None
    message: str | None = None
    retry_after: float = 1.0
    word: str = "HIBERNATING"

    def strikes(self, method: str, path: str, operation: str | None) -> bool:
        return (
            self.times != 0
            and fnmatchcase(method, self.method)
            and fnmatchcase(path, self.path)
            and self.operation in (None, operation)
        )


@dataclass(slots=True)
class Faults:
    """The faults to come, the first that fits first."""

    scripted: list[Fault] = field(default_factory=list)
    hanging: set[Callable[[], object]] = field(default_factory=set)

    def add(self, fault: Fault) -> Fault:
        self.scripted.append(fault)
        return fault

    def script(self, kind: str, path: str = "*", **rest: Any) -> Fault:  # noqa: ANN401  (the fields of Fault)
        """Let calls to `path` go wrong; the rest is what `Fault` says."""
        return self.add(Fault(kind=Kind(kind), path=path, **rest))

    def clear(self) -> None:
        """Everything works again, and calls that hang are reset."""
        self.scripted.clear()
        for release in list(self.hanging):
            release()

    def take(self, method: str, path: str, operation: str | None) -> Fault | None:
        for fault in list(self.scripted):
            if fault.strikes(method, path, operation):
                if fault.times is not None:
                    fault.times -= 1
                return fault
        return None

    async def hang(self, gone: Callable[[], Any]) -> None:
        """Wait until the client is gone, or the faults are cleared (from whichever thread)."""
        loop, cleared = asyncio.get_running_loop(), asyncio.Event()

        def release() -> None:
            loop.call_soon_threadsafe(cleared.set)

        self.hanging.add(release)
        waits = [asyncio.ensure_future(gone()), asyncio.ensure_future(cleared.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.hanging.discard(release)
            for wait in waits:
                wait.cancel()


def spoiled(fault: Fault, method: str, path: str, true: Response | None) -> Response:
    """What is answered instead of `true`, which is None when the call had no effect."""
    match fault.kind:
        case Kind.HTML:
            status = fault.status or 502
            return HTMLResponse(PAGE.format(status=status), status)
        case Kind.TRUNCATED:
            whole = bytes(true.body) if true is not None else b'{"status": "RUNN"}'
            return Response(whole[: max(1, len(whole) // 2)], 200, media_type="application/json")
        case Kind.UNKNOWN_STATUS if true is not None:
            return JSONResponse(_with_word(json.loads(bytes(true.body)), fault.word), true.status_code)
        case Kind.GRAPHQL_ERROR:
            error = {"message": fault.message or "Internal error", "extensions": {"code": fault.status or 500}}
            return JSONResponse({"data": None, "errors": [error]})
        case _:
            return _refusal(fault, method, path)


def _refusal(fault: Fault, method: str, path: str) -> JSONResponse:
    status = fault.status or STATUS.get(fault.kind, 500)
    code, message = WORDS.get(status, WORDS[500])
    if fault.kind is Kind.FEATURE_DISABLED:
        code, message = "FEATURE_DISABLED", "Foundation Model Fine-tuning is not enabled for this workspace."
    body = {
        "error_code": fault.error_code or code,
        "message": fault.message or message.format(method=method, path=path),
    }
    return JSONResponse(body, status, {"Retry-After": f"{fault.retry_after:g}"} if status == TOO_MANY else None)


def _with_word(value: Any, word: str) -> Any:  # noqa: ANN401  (JSON has no type)
    if isinstance(value, dict):
        return {
            key: word if key in STATUSES and isinstance(inner, str) else _with_word(inner, word)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_with_word(inner, word) for inner in value]
    return value
