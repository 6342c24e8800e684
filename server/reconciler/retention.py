"""The loop that deletes what is kept no longer: exported files, folders of local runs, points, progress events."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final, Self

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from server.domain.errors import Unavailable
from server.reconciler.calls import brief
from server.storage import retention
from server.storage.retention import Kind
from server.supervision import Supervised
from server.threads import Threads

FIRST_PASS_SECONDS: Final = 60.0
INTERVAL_SECONDS: Final = 3600.0
LISTING_SECONDS: Final = 60.0
REMOVING_SECONDS: Final = 300.0  # one folder
FOLDERS_PER_QUERY: Final = 500
JOBS_PER_TRANSACTION: Final = 50

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class JobFolders:
    """A folder that has one folder for each job, named by its id.

    `keep_days` is counted from the job's end; 0: for ever. `removable` tells which of some jobs have one that nobody
    needs any longer, `remove` deletes one and tells whether it did: it runs in a thread.
    """

    name: str
    path: Path
    keep_days: int
    removable: Callable[[AsyncConnection, Sequence[str], int], Awaitable[Sequence[str]]]
    remove: Callable[[Path], bool]


class Retention:
    """Works once an hour as long as the context is open. What goes wrong is logged, and tried again the next time.

    Each server looks after its own folders; one at a time thins the tables. `thinning` is days by what is thinned.
    """

    def __init__(self, engine: AsyncEngine, folders: Sequence[JobFolders], thinning: Mapping[Kind, int]) -> None:
        self._engine = engine
        self._folders = [folder for folder in folders if folder.keep_days]
        self._thinning = {kind: days for kind, days in thinning.items() if days}
        self._threads = Threads(1)
        self._task: asyncio.Task[None] | None = None
        self.supervised = Supervised("retention", self._run)

    async def __aenter__(self) -> Self:
        """Begin; not while the server has other things to do at its start."""
        self._task = asyncio.create_task(self.supervised.run(), name="retention")
        return self

    async def __aexit__(self, *_exception: object) -> None:
        """Stop; what is half done is done the next time."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        draw = Random()  # noqa: S311  (spreads replicas)
        await asyncio.sleep(FIRST_PASS_SECONDS)
        while True:
            await self.work()
            await asyncio.sleep(INTERVAL_SECONDS * (0.9 + 0.2 * draw.random()))

    async def work(self) -> dict[str, int]:
        """One pass; how much was deleted, by its name."""
        removed = {folder.name: await self._guarded(folder.name, self._clear(folder)) for folder in self._folders}
        for kind, days in self._thinning.items():
            removed[kind] = await self._guarded(kind, self._thin(kind, days))
        if any(removed.values()):
            log.info("deleted what is kept no longer", **{name.replace(" ", "_"): n for name, n in removed.items()})
        return removed

    async def _guarded(self, name: str, work: Awaitable[int]) -> int:
        try:
            return await work
        except Exception as error:  # noqa: BLE001  (it is tried again at the next pass)
            log.warning("what is kept no longer could not be deleted", of=name, error=brief(error))
            return 0

    async def _clear(self, folder: JobFolders) -> int:
        removed = 0
        job_ids = await self._threads.run(_job_ids, folder.path, timeout_seconds=LISTING_SECONDS, name="retention")
        for first in range(0, len(job_ids), FOLDERS_PER_QUERY):
            portion = job_ids[first : first + FOLDERS_PER_QUERY]
            async with self._engine.connect() as connection:
                removable = await folder.removable(connection, portion, folder.keep_days)
            for job_id in removable:
                removed += await self._remove(folder, folder.path / job_id)
        return removed

    async def _remove(self, folder: JobFolders, path: Path) -> bool:
        try:
            return await self._threads.run(folder.remove, path, timeout_seconds=REMOVING_SECONDS, name="retention")
        except (OSError, Unavailable) as error:
            log.warning("a folder could not be deleted", folder=path.name, of=folder.name, error=brief(error))
            return False

    async def _thin(self, kind: Kind, days: int) -> int:
        removed = 0
        while True:
            async with self._engine.begin() as connection:
                if not await retention.lock(connection):
                    return removed  # another server is at it
                ended = await retention.next_ended(connection, kind, days, JOBS_PER_TRANSACTION)
                if not ended:
                    return removed
                removed += await retention.thin(connection, kind, [job.job_id for job in ended])
                await retention.note_thinned(connection, kind, ended[-1])


def remove_folder(folder: Path) -> bool:
    """Delete a folder and what is in it."""
    shutil.rmtree(folder)
    return True


def _job_ids(path: Path) -> list[str]:
    """The names of the folders in a folder, but not of hidden ones."""
    try:
        return sorted(entry.name for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    except FileNotFoundError:
        return []
