"""The feed about all jobs that pass a filter."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from schema.execution.feed import DATABASE_IS_AWAY, Feed, Reading
from schema.execution.subscribers import Subscriber
from schema.reads.declare import Start
from server.services.following import LOOK_BACK
from server.storage import changes
from server.storage.changes import Change

AT_ONCE: Final = 50  # jobs in one statement
REMEMBERED: Final = 1_000
MOST_LATE: Final = 1_000
SETTLED: Final = timedelta(seconds=2)  # from when a change is dated to when others can see it
TOO_FAR_BEHIND: Final = "too many jobs changed while this client read nothing; subscribe again with `since`"


@dataclass(slots=True)
class CatchUp:
    """How far a subscriber that reads from the table has got. `late` are jobs whose change was seen behind that place.

    `since` is from when on it wants to know of jobs that left the filter.
    """

    place: Change
    since: datetime
    late: dict[str, None] = field(default_factory=dict)


class JobsFeed(Feed):
    """Each job that changes, as often as it does; a subscriber that falls behind reads from the table where it was.

    A job is told to those who are up to date once for each change that was seen of it, which is remembered for the
    last 1,000 jobs.
    """

    def __init__(self, reading: Reading, on_empty: Callable[[], None]) -> None:
        super().__init__(reading, on_empty)
        self._latest: datetime | None = None
        self._changed: dict[str, None] = {}
        self._told: OrderedDict[str, tuple[datetime, bool]] = OrderedDict()
        self._up_to_date: dict[Subscriber, None] = {}
        self._behind: dict[Subscriber, CatchUp] = {}

    def notice(self, job_id: str, at: datetime | None = None) -> None:  # noqa: ARG002
        """See `Follower`."""
        self._changed.pop(job_id, None)
        self._changed[job_id] = None
        self._due.set()

    def _admit(self, subscriber: Subscriber, start: Start) -> None:
        self.reading.following.follow_all(self)
        self._due.set()
        if start.after is None:
            self._up_to_date[subscriber] = None
        else:
            since = max(start.after, EARLIEST) - SETTLED
            self._behind[subscriber] = CatchUp(Change("", since), since)

    def _dismiss(self, subscriber: Subscriber) -> None:
        self._up_to_date.pop(subscriber, None)
        self._behind.pop(subscriber, None)
        if not self.subscribers:
            self.reading.following.unfollow_all(self)

    def _again(self, subscriber: Subscriber) -> None:
        """It is among those that are behind, and each look is for all of them."""

    async def _look(self) -> None:
        if self._latest is None:
            self._latest = await self.reading.following.latest()
        await self._tell_changed(self._latest - LOOK_BACK)
        for subscriber, catch_up in tuple(self._behind.items()):
            if not subscriber.has_room:
                subscriber.starved = True
            elif not subscriber.closed:
                await self._catch_up(subscriber, catch_up)

    async def _tell_changed(self, since: datetime) -> None:
        waiting = list(self._changed)
        self._changed.clear()
        try:
            for chunk, dated in await self._in_order(waiting):
                rows = await self.reading.rows(chunk, since)
                for row in rows:
                    if dated.get(row[0], row[1]) == row[1]:  # else it has changed again, and is told in its turn
                        await self._tell(*row)
                del waiting[: len(chunk)]
        except DATABASE_IS_AWAY:
            self._changed = {**dict.fromkeys(waiting), **self._changed}
            raise

    async def _in_order(self, job_ids: list[str]) -> list[tuple[list[str], Mapping[str, datetime]]]:
        """Chunks of jobs with the dates of their changes: in the order of these, where they are more than one chunk."""
        if not job_ids:
            return []
        if len(job_ids) <= AT_ONCE:
            return [(job_ids, {})]
        dated = await changes.of_jobs(self.reading.following.reads, job_ids)
        job_ids[:] = [change.job_id for change in dated]
        chunks = [dated[start : start + AT_ONCE] for start in range(0, len(dated), AT_ONCE)]
        return [([change.job_id for change in chunk], dict(chunk)) for chunk in chunks]

    async def _tell(self, job_id: str, at: datetime, matches: bool, json: bytes | None) -> None:  # noqa: FBT001  (a row)
        self.reading.following.see(job_id, at)
        self._latest = max(self._latest or at, at)
        for subscriber, catch_up in tuple(self._behind.items()):
            if (at, job_id) <= (catch_up.place.at, catch_up.place.job_id):
                self._note_late(subscriber, catch_up, job_id)
        if not self._is_news(job_id, at, matches=matches) or json is None:
            return
        payload = await self.reading.payload(json)
        for subscriber in tuple(self._up_to_date):
            if subscriber.closed:
                continue
            if subscriber.has_room:
                subscriber.push(payload)
                await self._breathe()
            else:
                self._fall_behind(subscriber, at)

    def _is_news(self, job_id: str, at: datetime, *, matches: bool) -> bool:
        """Whether a state was not told yet; a job that had left the filter before is told no more."""
        before = self._told.get(job_id)
        self._told[job_id] = at, matches
        self._told.move_to_end(job_id)
        if len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        return before is None or (before[0] != at and (matches or before[1]))

    def _fall_behind(self, subscriber: Subscriber, at: datetime) -> None:
        del self._up_to_date[subscriber]
        self._behind[subscriber] = CatchUp(Change("", at), at - LOOK_BACK)
        subscriber.starved = True

    def _note_late(self, subscriber: Subscriber, catch_up: CatchUp, job_id: str) -> None:
        catch_up.late[job_id] = None
        if len(catch_up.late) > MOST_LATE:
            self._end(subscriber, [{"message": TOO_FAR_BEHIND, "extensions": {"code": "TOO_FAR_BEHIND"}}])

    async def _catch_up(self, subscriber: Subscriber, catch_up: CatchUp) -> None:
        """Tell a subscriber the next changes behind its place; one that has them all is up to date."""
        reads = self.reading.following.reads
        page = await changes.behind(reads, catch_up.place.at, catch_up.place.job_id, AT_ONCE)
        if not await self._tell_page(subscriber, catch_up, page):
            return
        if len(page) == AT_ONCE:
            self._due.set()
        elif catch_up.late:
            late, catch_up.late = catch_up.late, {}
            page = await changes.of_jobs(reads, late)
            while page and await self._tell_page(subscriber, catch_up, page[:AT_ONCE]):
                del page[:AT_ONCE]
            catch_up.late |= {change.job_id: None for change in page}
            self._due.set()
        elif not subscriber.closed:
            del self._behind[subscriber]
            self._up_to_date[subscriber] = None

    async def _tell_page(self, subscriber: Subscriber, catch_up: CatchUp, page: Sequence[Change]) -> bool:
        """Whether there was room for all of a page."""
        if not page:
            return True
        rows: list[Any] = await self.reading.rows([change.job_id for change in page], catch_up.since)
        states = {(row[0], row[1]): row[3] for row in rows}  # one that has changed again is told in its turn
        for change in page:
            if (json := states.get(change)) is not None:
                if subscriber.closed:
                    return False
                if not subscriber.has_room:
                    subscriber.starved = True
                    return False
                subscriber.push(await self.reading.payload(json))
                await self._breathe()
            catch_up.place = max(catch_up.place, change, key=lambda place: (place.at, place.job_id))
        return not subscriber.closed


EARLIEST: Final = datetime.min.replace(tzinfo=UTC) + SETTLED
