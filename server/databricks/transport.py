"""How the SDK's services send requests here: each with a time limit, repeated only where that was asked for.

The SDK's own transport repeats a POST whose response was lost, waits for as long as the other side asks, and drops the
status of errors. So its public `ApiClient.do`, through which all its services send, is replaced.
"""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final

import requests
from databricks.sdk.core import ApiClient, Config

from server.databricks import responses

TOO_BUSY: Final = frozenset({429, 503})
LONGEST_BACKOFF_SECONDS: Final = 10.0
BACKOFF_SECONDS: Final = 1.0  # times the number of the attempt


@dataclass(frozen=True, slots=True)
class Limits:
    """`request_seconds`: from byte to byte. Repetitions: for how long in all, and with pauses shorter than which.

    Only what got no response, and HTTP 429 and 503, is repeated; with `longest_pause_seconds` of 0 nothing is.
    """

    request_seconds: float
    repeat_seconds: float
    longest_pause_seconds: float


class Transport(ApiClient):
    """The SDK's `ApiClient` over a session of our own. For threads.

    `do` raises `ApiError` and `Unavailable` for error responses, with no secret in their texts, and what `requests`
    raises when there is no response.
    """

    def __init__(self, config: Config, limits: Limits, secrets: AbstractSet[str]) -> None:
        super().__init__(config)
        self._host = config.host
        self._user_agent = config.user_agent
        self._authenticate = config.authenticate
        self._limits = limits
        self._secrets = secrets
        self._session = requests.Session()
        self._session.auth = self._authorized

    def do(  # noqa: PLR0913, PLR0917  (the SDK's signature)
        self,
        method: str,
        path: str | None = None,
        url: str | None = None,
        query: dict[str, Any] | None = None,
        headers: dict[str, Any] | None = None,
        body: dict[str, Any] | None = None,
        raw: bool = False,  # noqa: FBT001, FBT002  (the SDK's signature)
        files: Any = None,  # noqa: ANN401  (the SDK's signature)
        data: Any = None,  # noqa: ANN401  (the SDK's signature)
        auth: Callable[[requests.PreparedRequest], requests.PreparedRequest] | None = None,
        response_headers: list[str] | None = None,
    ) -> Any:  # noqa: ANN401  (JSON has no type)
        """Send a request. The JSON of its response, with those of its headers; for `raw`, `contents` is a stream."""
        response = self._sent(
            data,
            repeatable=files is None,
            method=method,
            url=url or f"{self._host}{path}",
            params=list(_flat(query or {})),
            headers={**(headers or {}), "User-Agent": self._user_agent},
            json=body,
            files=files,
            auth=auth,
            stream=raw,
        )
        kept = {name: response.headers.get(name) for name in response_headers or ()}
        if raw:
            response.raw.decode_content = True
            return kept | {"contents": response.raw}
        if not response.content:
            return kept
        value = response.json()
        return value if isinstance(value, list) else kept | (value or {})

    def _sent(self, data: Any, *, repeatable: bool, **request: Any) -> requests.Response:  # noqa: ANN401  (of requests)
        """The response of a request once it is no error. `data` is read from where it stands at each attempt."""
        start = data.tell() if hasattr(data, "seek") else None
        deadline = time.monotonic() + self._limits.repeat_seconds
        attempt = 0
        while True:
            attempt += 1
            if start is not None:
                data.seek(start)
            pause = min(attempt * BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS)
            failure: Exception
            try:
                response = self._session.request(data=data, timeout=self._limits.request_seconds, **request)
            except (requests.ConnectionError, requests.Timeout) as error:
                failure = error
            else:
                if response.ok:
                    return response
                error_body = responses.error_body(response)
                failure = responses.to_exception(error_body, self._secrets)
                if response.status_code not in TOO_BUSY:
                    raise failure
                pause = BACKOFF_SECONDS if error_body.retry_after_seconds is None else error_body.retry_after_seconds
            pause += random.random()  # noqa: S311  (so that replicas do not repeat together)
            too_long = pause >= self._limits.longest_pause_seconds or time.monotonic() + pause > deadline
            if too_long or not repeatable:
                raise failure
            time.sleep(pause)

    def _authorized(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.update(self._authenticate())
        return request


def _flat(query: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """A query as Databricks reads it: `true` and `false`, and dots in the names of nested values."""
    for name, value in query.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", str(value).lower() if isinstance(value, bool) else value
