"""One Databricks workspace: calls of the SDK, off the event loop, each with an end, and with errors that say enough."""

# ruff: noqa: PLC0415  (the SDK takes seconds to import: on first use, in a thread)

from collections.abc import Callable, Mapping
from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeVar, TypeVarTuple

from server.threads import Threads, heavy_import

if TYPE_CHECKING:
    from server.databricks.client import WorkspaceClient

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")

NAME: Final = "Databricks"
CALLS_AT_ONCE: Final = 8
OWN_AT_ONCE: Final = 2
OPENING_SECONDS: Final = 45.0  # importing the SDK, and asking the workspace how to authenticate
FROM_THE_ENVIRONMENT: Final[Mapping[str, Any]] = MappingProxyType({})


class Workspace:
    """The workspace that the SDK finds in its environment (DATABRICKS_HOST, DATABRICKS_TOKEN, a profile, …).

    `given` are arguments of the SDK's `Config` that go before those. `request_seconds` bounds one request (from byte to
    byte), and `repeat_seconds` how long one that was throttled or lost is repeated; a pause that the other side asks
    for is only made when it is shorter than `longest_pause_seconds`. What is imported, authenticated and sent is so in
    threads, at most `CALLS_AT_ONCE`.
    """

    def __init__(
        self,
        given: Mapping[str, Any] = FROM_THE_ENVIRONMENT,
        *,
        request_seconds: float = 10.0,
        repeat_seconds: int = 20,
        longest_pause_seconds: float = 5.0,
    ) -> None:
        self._given = given
        self._request_seconds = request_seconds
        self._repeat_seconds = repeat_seconds
        self._longest_pause_seconds = longest_pause_seconds
        self._threads = Threads(CALLS_AT_ONCE)
        self._own_threads = Threads(OWN_AT_ONCE, NAME)
        self._opening = Lock()
        self._clients: dict[bool, WorkspaceClient] = {}

    async def call(self, function: "Callable[[WorkspaceClient], Result]", *, within: float = 30.0) -> Result:
        """Run `function` with the client in a thread, and return its result. Requests may be repeated, POST too.

        Raises `ApiError` for a request that was refused, and `Unavailable` for anything that says nothing about it:
        no response within so many seconds, none that makes sense, HTTP 401, 408, 429 and from 500 on. An `ApiError`
        that `function` itself raises, for a refusal told in another way, is judged by its status in the same manner.
        """
        return await self._call(function, within, repeats=True)

    async def call_once(self, function: "Callable[[WorkspaceClient], Result]", *, within: float = 30.0) -> Result:
        """The same, but every request is sent once: after `Unavailable` it may have been carried out, or not."""
        return await self._call(function, within, repeats=False)

    async def in_thread(self, function: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result:
        """Call a function that asks no server, in a thread that no request takes."""
        return await self._own_threads.call(function, *arguments)

    async def _call(
        self, function: "Callable[[WorkspaceClient], Result]", timeout_seconds: float, *, repeats: bool
    ) -> Result:
        if repeats not in self._clients:
            await self._threads.run(self._client, repeats, timeout_seconds=OPENING_SECONDS, name=NAME)
        return await self._threads.run(self._run, function, repeats, timeout_seconds=timeout_seconds, name=NAME)

    def _run(self, function: "Callable[[WorkspaceClient], Result]", repeats: bool) -> Result:  # noqa: FBT001  (Threads passes by position)
        from server.databricks import responses

        client = self._client(repeats)
        try:
            return function(client)
        except Exception as error:
            translated = responses.translated(error, client.secrets)
            if translated is error:
                raise
            raise translated from None  # whose text may have secrets in it

    def _client(self, repeats: bool) -> "WorkspaceClient":  # noqa: FBT001  (Threads passes by position)
        with self._opening:
            if repeats not in self._clients:
                with heavy_import():
                    from server.databricks import client, transport
                limits = transport.Limits(
                    self._request_seconds, self._repeat_seconds, self._longest_pause_seconds if repeats else 0
                )
                self._clients[repeats] = client.connect(self._given, limits)
            return self._clients[repeats]
