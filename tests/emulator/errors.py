"""Refusals in the words of Databricks."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse


class ApiError(Exception):
    """A request is refused: `error_code` is a word, or the HTTP status itself where the proxy in front answers."""

    def __init__(self, status: int, error_code: str | int, message: str, reason: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.error_code = error_code
        self.message = message
        self.reason = reason

    def response(self) -> JSONResponse:
        body: dict[str, Any] = {"error_code": self.error_code, "message": self.message}
        if self.reason is not None:
            info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": self.reason, "domain": ""}
            body["details"] = [info]
        return JSONResponse(body, self.status)


def invalid(message: str) -> ApiError:
    return ApiError(400, "INVALID_PARAMETER_VALUE", message)


def missing(message: str) -> ApiError:
    return ApiError(404, "RESOURCE_DOES_NOT_EXIST", message)


def exists(message: str) -> ApiError:
    return ApiError(400, "RESOURCE_ALREADY_EXISTS", message)


def text(of: Mapping[str, Any], name: str) -> str:
    """A parameter that has to be there, as text."""
    value = of.get(name)
    if value is None or value == "":
        raise invalid(f"Missing value for required parameter '{name}'")
    if isinstance(value, dict | list):
        raise invalid(f"Parameter '{name}' must be a string")
    return str(value)


def whole(of: Mapping[str, Any], name: str, default: int | None = None) -> int:
    """A parameter as a whole number: MLflow and the SDK send some of them as text."""
    value = of.get(name)
    if value is None or value == "":
        if default is None:
            raise invalid(f"Missing value for required parameter '{name}'")
        return default
    try:
        return int(value)
    except (TypeError, ValueError):
        raise invalid(f"Parameter '{name}' must be a number, and is {value!r}") from None
