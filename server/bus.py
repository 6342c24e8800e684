"""The bus: one connection that listens to Postgres, and watches that are told which jobs to read again."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from random import Random
from typing import Any, Self, TypeAlias

import asyncpg
import structlog

from server.domain import backoff, channels
from server.supervision import Supervised

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

REMEMBERED_JOBS = 10_000
CONNECT_SECONDS = 10.0
PROBE_EVERY_SECONDS = 15.0
PROBE_SECONDS = 5.0
FIRST_RETRY_SECONDS = 0.2
LONGEST_RETRY_SECONDS = 10.0
DEAF_SECONDS = 15.0

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Changes:
    """Which jobs changed since the last wait. `everything`: any job may have."""

    job_ids: frozenset[str]
    everything: bool


class Watch:
    """The jobs that changed since a watcher last waited: at most `REMEMBERED_JOBS`, then `everything`."""

    def __init__(self) -> None:
        self._job_ids: set[str] = set()
        self._everything = False
        self._notified = asyncio.Event()

    def tell(self, job_id: str) -> None:
        """Note that a job changed."""
        self._job_ids.add(job_id)
        if len(self._job_ids) > REMEMBERED_JOBS:
            self.tell_everything()
        self._notified.set()

    def tell_everything(self) -> None:
        """Note that notifications may have been lost."""
        self._everything = True
        self._job_ids.clear()
        self._notified.set()

    async def wait(self, timeout: float) -> Changes:  # noqa: ASYNC109  (running out of time is an answer here)
        """What changed since the last wait; after `timeout` seconds without a word, everything may have."""
        try:
            async with asyncio.timeout(timeout):
                await self._notified.wait()
        except TimeoutError:
            return Changes(frozenset(), everything=True)
        changes = Changes(frozenset(self._job_ids), self._everything)
        self._job_ids, self._everything = set(), False
        self._notified.clear()
        return changes


class Bus:
    """Listens as long as the context is open, and again after each loss of its connection."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._watches: defaultdict[str | None, set[Watch]] = defaultdict(set)
        self._for_due: set[Watch] = set()
        self._task: asyncio.Task[None] | None = None
        self._supervised = Supervised("bus", self._listen_forever)
        self._deaf_since: float | None = None

    def what_is_wrong(self) -> str | None:
        """Why no notifications arrive, or None; without secrets. A loss shorter than `DEAF_SECONDS` is no reason."""
        if self._deaf_since is not None:
            seconds = asyncio.get_running_loop().time() - self._deaf_since
            if seconds >= DEAF_SECONDS:
                return f"the database has told no changes for {seconds:.0f} s"
        return self._supervised.what_is_wrong()

    async def __aenter__(self) -> Self:
        """Begin to listen; a database that can't be reached now is tried again."""
        self._deaf_since = asyncio.get_running_loop().time()
        self._task = asyncio.create_task(self._supervised.run(), name="bus")
        return self

    async def __aexit__(self, *_exception: object) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    @contextmanager
    def watch(self, job_id: str | None = None) -> Iterator[Watch]:
        """Be told of the changes of one job, or of all."""
        watch = Watch()
        self._watches[job_id].add(watch)
        try:
            yield watch
        finally:
            self._watches[job_id].discard(watch)
            if not self._watches[job_id]:
                del self._watches[job_id]

    @contextmanager
    def watch_due(self) -> Iterator[Watch]:
        """Be told when some job wants the poller now; which one, only the table knows."""
        watch = Watch()
        self._for_due.add(watch)
        try:
            yield watch
        finally:
            self._for_due.discard(watch)

    async def _listen_forever(self) -> None:
        draw, failures = Random(), 0  # noqa: S311  (spreads retries)
        while True:
            try:
                connection = await asyncpg.connect(
                    self._url, timeout=CONNECT_SECONDS, server_settings={"application_name": "tunegraph bus"}
                )
            except Exception as error:  # noqa: BLE001  (whatever it is, the next attempt may go well)
                failures += 1
                log.warning("the bus can't reach the database", failures=failures, error=str(error))
                await asyncio.sleep(
                    backoff.delay(failures, first=FIRST_RETRY_SECONDS, longest=LONGEST_RETRY_SECONDS, draw=draw)
                )
                continue
            failures = 0
            try:
                await self._listen(connection)
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning("the bus lost its connection", error=str(error) or type(error).__name__)
            finally:
                if self._deaf_since is None:
                    self._deaf_since = asyncio.get_running_loop().time()
                connection.terminate()

    async def _listen(self, connection: Connection) -> None:
        lost = asyncio.Event()

        def notice_loss(_connection: object) -> None:
            lost.set()

        connection.add_termination_listener(notice_loss)
        await connection.add_listener(channels.CHANGED, self._hear_change)
        await connection.add_listener(channels.DUE, self._hear_due)
        self._deaf_since = None
        self._notify_all()
        while not lost.is_set():
            try:
                async with asyncio.timeout(PROBE_EVERY_SECONDS):
                    await lost.wait()
            except TimeoutError:
                await connection.execute("SELECT 1", timeout=PROBE_SECONDS)
        log.warning("the bus lost its connection")

    def _hear_change(self, _connection: Any, _pid: int, _channel: str, payload: Any) -> None:  # noqa: ANN401  (asyncpg's)
        for watch in (*self._watches.get(payload, ()), *self._watches.get(None, ())):
            watch.tell(payload)

    def _hear_due(self, _connection: Any, _pid: int, _channel: str, _payload: Any) -> None:  # noqa: ANN401
        for watch in self._for_due:
            watch.tell_everything()

    def _notify_all(self) -> None:
        """Tell every watch that notifications may have been lost."""
        for watches in (*self._watches.values(), self._for_due):
            for watch in watches:
                watch.tell_everything()
