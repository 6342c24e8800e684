"""MLflow's own client: opened on first use, and called in threads, each call with an end."""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from threading import Lock
from typing import TYPE_CHECKING, Final, TypeVar, TypeVarTuple

from server.domain.errors import Unavailable
from server.registry import description
from server.threads import Threads, heavy_import

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")

NAME: Final = "MLflow"
OPENING_SECONDS: Final = 45.0  # importing MLflow and creating its tables take three on an idle machine


class Client:
    """The client that `opening` makes, once. `request_seconds` bounds a call that names no timeout of its own."""

    def __init__(self, opening: "Callable[[], MlflowClient]", threads: Threads, request_seconds: float) -> None:
        self._opening = opening
        self._threads = threads
        self._request_seconds = request_seconds
        self._lock = Lock()
        self._opened: MlflowClient | None = None

    async def call(
        self,
        action: "Callable[[MlflowClient, *Arguments], Result]",
        *arguments: *Arguments,
        timeout_seconds: float | None = None,
        hidden: AbstractSet[str] = frozenset(),
    ) -> Result:
        """The result of `action`, which is called with the client in a thread.

        Raises `Unavailable` for every failure, also when the time runs out; what is `hidden` is not in its text.
        `timeout_seconds` is by default the client's `request_seconds`.
        """
        try:
            client = self._opened
            if client is None:
                client = await self._threads.run(self._client, timeout_seconds=OPENING_SECONDS, name=NAME)
            return await self._threads.run(
                action, client, *arguments, timeout_seconds=timeout_seconds or self._request_seconds, name=NAME
            )
        except Unavailable:
            raise
        except Exception as error:  # MLflow lets errors of requests, SQLAlchemy and the file system through
            # that Databricks' SDK has run out of time says nothing; the cause says why it could not be quicker
            telling = error.__cause__ if isinstance(error, TimeoutError) and error.__cause__ else error
            raise Unavailable(f"{NAME}: {description.reason(telling, hidden)}") from error

    def _client(self) -> "MlflowClient":
        with self._lock:
            if self._opened is None:
                with heavy_import():
                    self._opened = self._opening()
            return self._opened
