"""Following jobs as they change: the table is the truth, the bus only says when to look."""

from collections import OrderedDict
from collections.abc import AsyncGenerator, Collection
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from server.bus import Bus
from server.domain.errors import NotFound
from server.domain.examples import unstorable_text
from server.domain.status import TERMINAL
from server.storage import events, jobs
from server.storage.jobs import Standing

LOOK_ANYWAY = 5.0  # seconds; a notification may be lost, a look at the table is not
LOOK_BACK = 15.0  # seconds; an event becomes visible when its transaction ends, some time after it was written
BATCH = 100
REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Following:
    """Streams that end by themselves once there is nothing more to come."""

    engine: AsyncEngine
    bus: Bus

    async def events(self, job_id: str, after: int = 0) -> AsyncGenerator[str]:
        """Ids of a job's events behind sequence `after`: those there are, then each new one, until the job is terminal.

        Misses nothing and repeats nothing: it goes by the sequence, which has no gap. Raises `NotFound`.
        """
        with self.bus.watch(job_id) as watch:
            while True:
                standing = await self._standing(job_id)
                while found := await self._after(job_id, after):
                    for event_id, sequence in found:
                        yield event_id
                        after = sequence
                if standing.status in TERMINAL and after >= standing.last_sequence:
                    return
                await watch.wait(LOOK_ANYWAY)

    async def changes(self, job_id: str) -> AsyncGenerator[str]:
        """The job's id now, and again whenever it has changed, until it is terminal. Raises `NotFound`."""
        with self.bus.watch(job_id) as watch:
            seen: Standing | None = None
            while True:
                standing = await self._standing(job_id)
                if standing != seen:
                    yield job_id
                    seen = standing
                if standing.status in TERMINAL:
                    return
                await watch.wait(LOOK_ANYWAY)

    async def all_changes(self) -> AsyncGenerator[list[str]]:
        """Ids of jobs that have changed from now on, in batches; never ends.

        What notifications may have missed is found among the latest events. A job is told once for each sequence that
        was seen of it, which is remembered for the last 10,000 jobs.
        """
        told: OrderedDict[str, int] = OrderedDict()
        with self.bus.watch() as watch:
            told.update(await self._latest())
            while True:
                changes = await watch.wait(LOOK_ANYWAY)
                latest = await (self._latest() if changes.everything else self._sequences(changes.job_ids))
                new = [job_id for job_id, sequence in latest.items() if told.get(job_id) != sequence]
                for job_id in new:
                    told[job_id] = latest[job_id]
                    told.move_to_end(job_id)
                while len(told) > REMEMBERED:
                    told.popitem(last=False)
                if new:
                    yield new

    async def _latest(self) -> dict[str, int]:
        async with self.engine.connect() as connection:
            return await events.latest(connection, LOOK_BACK)

    async def _sequences(self, job_ids: Collection[str]) -> dict[str, int]:
        async with self.engine.connect() as connection:
            return await jobs.sequences(connection, job_ids)

    async def _standing(self, job_id: str) -> Standing:
        if unstorable_text(job_id) is None:
            async with self.engine.connect() as connection:
                standing = await jobs.standing(connection, job_id)
            if standing is not None:
                return standing
        raise NotFound(f"no job has the id {job_id[:60]!a}", ("jobId",))

    async def _after(self, job_id: str, sequence: int) -> list[tuple[str, int]]:
        async with self.engine.connect() as connection:
            return list(await events.after(connection, job_id, sequence, BATCH))
