"""Rows by key, read in batches: whatever is asked for within one turn of the event loop becomes one statement."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Any, Generic, TypeAlias, TypeVar, cast

import asyncpg

T = TypeVar("T")
Row: TypeAlias = asyncpg.Record
Read: TypeAlias = Callable[[list[str]], Awaitable[Mapping[str, T]]]
Waiting: TypeAlias = tuple["asyncio.Future[Any]", Callable[[T], object] | None]


class Loader(Generic[T]):
    """One kind of value by key; each key is read once. Callers never share a future, so that none cancels another."""

    def __init__(self, read: Read[T], missing: T) -> None:
        self._read = read
        self._missing = missing
        self._known: dict[str, T] = {}
        self._waiting: dict[str, list[Waiting[T]]] = {}
        self._queue: list[str] = []
        self._reading: set[asyncio.Task[None]] = set()

    def load(self, key: str, then: Callable[[T], object] | None = None) -> Any:  # noqa: ANN401  (a value or its future)
        """What `then` makes of the value of a key: at once when it is known, or a future."""
        if key in self._known:
            value = self._known[key]
            return value if then is None else then(value)
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        waiting = self._waiting.get(key)
        if waiting is None:
            waiting = self._waiting[key] = []
            if not self._queue:
                loop.call_soon(self._start)
            self._queue.append(key)
        waiting.append((future, then))
        return future

    def _start(self) -> None:
        keys, self._queue = self._queue, []
        task = asyncio.ensure_future(self._answer(keys))
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)

    async def _answer(self, keys: list[str]) -> None:
        try:
            found = await self._read(keys)
        except Exception as error:  # noqa: BLE001  (each caller is told)
            for key in keys:
                for future, _ in self._waiting.pop(key):
                    if not future.done():
                        future.set_exception(error)
            return
        for key in keys:
            value = self._known[key] = found.get(key, self._missing)
            for future, then in self._waiting.pop(key):
                if not future.done():
                    _settle(future, value, then)


def _settle(future: "asyncio.Future[Any]", value: T, then: Callable[[T], object] | None) -> None:
    try:
        future.set_result(value if then is None else then(value))
    except Exception as error:  # noqa: BLE001  (the caller is told)
        future.set_exception(error)


class Session:
    """What one request has read so far. `refused` are the errors of root fields with a bad argument."""

    def __init__(
        self,
        pool: "asyncpg.Pool[Row]",
        base_models: Sequence[Mapping[str, Any]],
        refused: Mapping[str | int, Exception],
    ) -> None:
        self.pool = pool
        self.base_models = base_models
        self.refused = refused
        self.listings: dict[int, Any] = {}
        self._loaders: dict[Hashable, Loader[Any]] = {}

    def loader(self, name: Hashable, make: Callable[[], Loader[T]]) -> Loader[T]:
        """The loader of a name, which says all that its values depend on; made when it is first needed."""
        found = self._loaders.get(name)
        if found is None:
            found = self._loaders[name] = make()
        return cast("Loader[T]", found)

    def row(
        self,
        table: str,
        key: str,
        column: str = "id",
        then: Callable[[Row | None], object] | None = None,
    ) -> Any:  # noqa: ANN401  (a row or its future)
        """The row of a table that a unique column names; None when there is none."""
        statement = f"SELECT * FROM {table} WHERE {column} = ANY($1::text[])"

        async def read(keys: list[str]) -> Mapping[str, Row | None]:
            return {row[column]: row for row in await self.pool.fetch(statement, keys)}

        return self.loader(statement, lambda: Loader[Row | None](read, None)).load(key, then)

    def rows(self, statement: str, parent: str, *values: object) -> Loader[Sequence[Row]]:
        """The rows that a statement finds for the keys in its $1, by their column `parent`."""

        async def read(keys: list[str]) -> Mapping[str, Sequence[Row]]:
            found: defaultdict[str, list[Row]] = defaultdict(list)
            for row in await self.pool.fetch(statement, keys, *values):
                found[row[parent]].append(row)
            return found

        return self.loader((statement, values), lambda: Loader[Sequence[Row]](read, ()))
