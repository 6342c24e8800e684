"""Telling followers which jobs changed: the bus says when, and the table says what the bus may have missed."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, Protocol

import asyncpg
import structlog

from server.bus import Bus
from server.storage import changes
from server.storage.sessions import Sessions

LOOK_EVERY_SECONDS: Final = 5.0  # a notification may be lost, a look at the table is not
LOOK_BACK: Final = timedelta(seconds=15)  # a change is seen when its transaction ends, some time after it was dated
CHANGES_PER_PAGE: Final = 1_000
REMEMBERED_CHANGES: Final = 10_000

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class Follower(Protocol):
    """Who is told of changes: called in the event loop, and must not block."""

    def notice(self, job_id: str, at: datetime | None = None) -> None:
        """A job may have changed; `at` is when it did last, where that is known."""


class Following:
    """Watches the bus as long as anybody follows, and reads the table every `LOOK_EVERY_SECONDS`.

    Reading is one statement for all followed jobs together, however many followers they have, and one for those who
    follow all jobs.
    """

    def __init__(self, reads: Sessions, bus: Bus) -> None:
        self.reads = reads
        self.bus = bus
        self._by_job: dict[str, set[Follower]] = {}
        self._followers_of_all: set[Follower] = set()
        self._known_changes: OrderedDict[str, datetime] = OrderedDict()
        self._latest: datetime | None = None
        self._task: asyncio.Task[None] | None = None

    def follow(self, follower: Follower, job_id: str) -> None:
        """Tell a follower of each change of a job from now on; what is there already it reads itself."""
        self._by_job.setdefault(job_id, set()).add(follower)
        self._begin()

    def unfollow(self, follower: Follower, job_id: str) -> None:
        """Tell it no more."""
        followers = self._by_job.get(job_id, set())
        followers.discard(follower)
        if not followers:
            self._by_job.pop(job_id, None)
        self._end_when_alone()

    def follow_all(self, follower: Follower) -> None:
        """Tell a follower of each change of any job from now on."""
        self._followers_of_all.add(follower)
        self._begin()

    async def latest(self) -> datetime:
        """When the last change was dated that is known; while nobody followed all jobs, the time of this call.

        Changes that no notification told of are looked for from here on. Raises what a read raises.
        """
        if self._latest is None:
            now = await changes.moment(self.reads)
            for change in await self._pages(now - LOOK_BACK):
                self.see(change.job_id, change.at)
            self._latest = self._latest or now
        return self._latest

    def unfollow_all(self, follower: Follower) -> None:
        """Tell it no more."""
        self._followers_of_all.discard(follower)
        if not self._followers_of_all:
            self._latest = None
            self._known_changes.clear()
        self._end_when_alone()

    def see(self, job_id: str, at: datetime) -> None:
        """Note a change that those who follow all jobs know of."""
        self._known_changes[job_id] = at
        self._known_changes.move_to_end(job_id)
        if len(self._known_changes) > REMEMBERED_CHANGES:
            self._known_changes.popitem(last=False)
        if self._latest is not None and at > self._latest:
            self._latest = at

    def _begin(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._watch(), name="following")

    def _end_when_alone(self) -> None:
        if self._task is not None and not self._by_job and not self._followers_of_all:
            self._task.cancel()
            self._task = None

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + LOOK_EVERY_SECONDS
        with self.bus.watch() as watch:
            while True:
                changed = await watch.wait(max(due - loop.time(), 0))
                for job_id in changed.job_ids:
                    self._notify(job_id, None, (*self._by_job.get(job_id, ()), *self._followers_of_all))
                if changed.everything:
                    await self._read_changes()
                    due = loop.time() + LOOK_EVERY_SECONDS

    def _notify(self, job_id: str, at: datetime | None, followers: Iterable[Follower]) -> None:
        for follower in followers:
            follower.notice(job_id, at)

    async def _read_changes(self) -> None:
        try:
            if self._by_job:
                for change in await changes.of_jobs(self.reads, self._by_job):
                    self._notify(change.job_id, change.at, tuple(self._by_job.get(change.job_id, ())))
            if self._latest is not None:
                for change in await self._pages(self._latest - LOOK_BACK):
                    if self._known_changes.get(change.job_id) != change.at:
                        self.see(change.job_id, change.at)
                        self._notify(change.job_id, change.at, tuple(self._followers_of_all))
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("followed jobs could not be looked at", error=str(error) or type(error).__name__)

    async def _pages(self, since: datetime) -> list[changes.Change]:
        rows, place = [], changes.Change("", since)
        while page := await changes.behind(self.reads, place.at, place.job_id, CHANGES_PER_PAGE):
            rows += page
            place = page[-1]
            if len(page) < CHANGES_PER_PAGE:
                break
        return rows
