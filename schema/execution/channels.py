"""Feeds about single jobs. Followers of different jobs with the same document share each statement."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import groupby, islice
from operator import itemgetter
from typing import Any, Final

from graphql import GraphQLFormattedError

from schema.execution.feed import DATABASE_IS_AWAY, PORTION, Feed, Reading
from schema.execution.subscribers import Payload, Subscriber
from schema.reads.declare import Start
from schema.reads.streams import EVENTS_AT_ONCE

MOST_ENTRIES: Final = 100  # in one statement


class Channel:
    """The subscribers of one job, by what they were told last: a sequence, or when the job had changed."""

    __slots__ = ("at", "by_place", "count", "job_id")

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        self.at: datetime | None = None
        self.count = 0
        self.by_place: dict[Any, set[Subscriber]] = {}

    def add(self, subscriber: Subscriber) -> None:
        """Put a subscriber where it belongs by now."""
        self.by_place.setdefault(subscriber.after, set()).add(subscriber)

    def remove(self, subscriber: Subscriber) -> None:
        """Take a subscriber out."""
        here = self.by_place.get(subscriber.after, set())
        here.discard(subscriber)
        if not here:
            self.by_place.pop(subscriber.after, None)


class JobFeed(Feed):
    """The states of jobs, each as it is now and then on each change; a state that was not sent yet gives way."""

    def __init__(self, reading: Reading, on_empty: Callable[[], None]) -> None:
        super().__init__(reading, on_empty)
        self._channels: dict[str, Channel] = {}
        self._of: dict[Subscriber, Channel] = {}
        self._changed: dict[str, None] = {}
        self._looked_at: set[str] = set()

    def notice(self, job_id: str, at: datetime | None = None) -> None:
        """See `Follower`."""
        channel = self._channels.get(job_id)
        if channel is not None and (at is None or at != channel.at):
            self._mark(channel)

    def _rest_seconds(self) -> float:
        return 0.0 if self._changed.keys() <= self._looked_at else super()._rest_seconds()

    def _mark(self, channel: Channel) -> None:
        self._changed[channel.job_id] = None
        self._due.set()

    def _admit(self, subscriber: Subscriber, start: Start) -> None:
        job_id = start.job_id or ""
        channel = self._channels.get(job_id)
        if channel is None:
            channel = self._channels[job_id] = Channel(job_id)
            self.reading.following.follow(self, job_id)
        channel.add(subscriber)
        channel.count += 1
        self._of[subscriber] = channel
        self._mark(channel)

    def _dismiss(self, subscriber: Subscriber) -> None:
        channel = self._of.pop(subscriber)
        channel.remove(subscriber)
        channel.count -= 1
        if not channel.count:
            del self._channels[channel.job_id]
            self._changed.pop(channel.job_id, None)
            self.reading.following.unfollow(self, channel.job_id)

    def _again(self, subscriber: Subscriber) -> None:
        self._changed[self._of[subscriber].job_id] = None

    def _due_channels(self) -> list[Channel]:
        """Those to read now; the rest stays due."""
        channels = [self._channels[job_id] for job_id in islice(self._changed, MOST_ENTRIES)]
        for channel in channels:
            del self._changed[channel.job_id]
        self._looked_at = {channel.job_id for channel in channels}
        if self._changed:
            self._due.set()
        return channels

    def _due_again(self, channels: Iterable[Channel]) -> None:
        for channel in channels:
            if channel.count:
                self._mark(channel)

    async def _look(self) -> None:
        channels = self._due_channels()
        if not channels:
            return
        try:
            rows = await self.reading.rows([channel.job_id for channel in channels])
            states = {row[0]: (*row[1:3], await self.reading.payload(row[3])) for row in rows}
        except DATABASE_IS_AWAY:
            self._due_again(channels)
            raise
        except Exception as error:  # noqa: BLE001  (it is logged and masked, and the next change is read again)
            await self._tell_failure(error, channels)
            return
        for place, channel in enumerate(channels, 1):
            if place in states:
                channel.at, terminal, payload = states[place]
                await self._tell(channel, channel.at, payload, ended=terminal)
            else:
                self._refuse(channel)

    async def _tell_failure(self, error: Exception, channels: Sequence[Channel]) -> None:
        """Tell of a state that could not be read; a subscriber to whom that comes first, or again, is told no more."""
        members = [subscriber for channel in channels for subscriber in _members(channel)]
        untold = [subscriber for subscriber in members if subscriber.after is None]
        if untold:
            self._fail(error, untold)
        if len(untold) < len(members):
            failure = self.reading.failure(error)
            for channel in channels:
                await self._tell(channel, None, failure, ended=False)

    async def _tell(self, channel: Channel, at: datetime | None, payload: Payload, *, ended: bool) -> None:
        for subscriber in _members(channel):
            if subscriber.closed:
                continue
            if at is None or subscriber.after != at:
                subscriber.replace(payload)
                channel.remove(subscriber)
                subscriber.after = at
                channel.add(subscriber)
                await self._breathe()
            if ended and not subscriber.closed:
                self._end(subscriber)

    def _refuse(self, channel: Channel) -> None:
        for subscriber in _members(channel):
            self._end(subscriber, [no_job(channel.job_id)])


class EventFeed(JobFeed):
    """The events of jobs, each subscriber behind the last that it was told: none is left out, none comes twice.

    Those who were told equally much of one job are read for together. One that has no room stays where it is, and is
    read for again once it has taken all.
    """

    async def _look(self) -> None:
        entries = self._due_entries()
        if not entries:
            return
        try:
            rows = await self.reading.rows([channel.job_id for channel, _ in entries], [after for _, after in entries])
        except DATABASE_IS_AWAY:
            self._due_again(channel for channel, _ in entries)
            raise
        pages = {place: list(page) for place, page in groupby(rows, itemgetter(0))}
        for place, (channel, after) in enumerate(entries, 1):
            if place in pages:
                await self._deliver(channel, after, pages[place])
            else:
                self._refuse(channel)

    def _due_entries(self) -> list[tuple[Channel, int]]:
        """Places to read from now; the rest stays due, and comes first then, as those that were read go to the end."""
        entries: list[tuple[Channel, int]] = []
        for channel in self._due_channels():
            for after, subscribers in channel.by_place.items():
                if len(entries) == MOST_ENTRIES:
                    self._mark(channel)
                    break
                full = [subscriber for subscriber in subscribers if not subscriber.has_room]
                for subscriber in full:
                    subscriber.starved = True
                if len(full) < len(subscribers):
                    entries.append((channel, after))
        return entries

    async def _deliver(self, channel: Channel, after: int, rows: Sequence[Any]) -> None:
        _, channel.at, terminal, *_ = rows[0]
        events = [(row[3], await self.reading.payload(row[4])) for row in rows if row[3] is not None]
        more = len(events) == EVENTS_AT_ONCE
        if not events and not terminal:
            if after in channel.by_place:
                channel.by_place[after] = channel.by_place.pop(after)
            return
        subscribers = tuple(channel.by_place.get(after, ()))
        at_once = max(1, PORTION // max(1, len(events)))
        for first in range(0, len(subscribers), at_once):
            portion = subscribers[first : first + at_once]
            for subscriber in portion:
                if self._push(channel, subscriber, events) and terminal and not more:
                    self._end(subscriber)
            await self._breathe(len(portion) * len(events))
        if more and channel.count:
            self._mark(channel)

    def _push(self, channel: Channel, subscriber: Subscriber, events: Sequence[tuple[int, Payload]]) -> bool:
        """Push events as long as there is room; whether all were."""
        if subscriber.closed:
            return False
        channel.remove(subscriber)
        for sequence, payload in events:
            if not subscriber.has_room:
                subscriber.starved = True
                break
            subscriber.push(payload)
            subscriber.after = sequence
        channel.add(subscriber)
        return not subscriber.starved


def no_job(job_id: str) -> GraphQLFormattedError:
    """The error for an id that no job has."""
    return {"message": f"no job has the id {job_id[:60]!a}", "extensions": {"code": "NOT_FOUND"}}


def _members(channel: Channel) -> list[Subscriber]:
    return [subscriber for subscribers in channel.by_place.values() for subscriber in subscribers]
