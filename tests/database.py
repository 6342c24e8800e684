"""A throwaway Postgres for the whole run, and a migrated database of its own for each test."""

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import asyncpg
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from server.postgres import cluster, database, postmaster
from server.storage import migrations

PREFIX = "tunegraph-tests-"
ABANDONED_AFTER = 60.0  # seconds; before that, a run may have made its folder and not locked it yet
TEMPLATE = "migrated"
MEMORY = Path("/dev/shm")  # noqa: S108  (where Linux keeps files in memory)
ROOM = 2**30

OWNER = """
import asyncio, sys
from pathlib import Path
from server.postgres import database

async def main(data_dir, pg_bin, durable):
    programs = Path(pg_bin) if pg_bin else None
    async with database(Path(data_dir), pg_bin=programs, durable=durable == "durable") as url:
        print(url, flush=True)
        await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


class DatabaseServer:
    """A running throwaway Postgres. Its connection lives in a thread, so tests and loops come and go."""

    def __init__(self, portal: BlockingPortal, url: str) -> None:
        self._portal = portal
        self._url = url
        self._names = (f"test_{number}" for number in itertools.count(1))
        self._connection: asyncpg.Connection[asyncpg.Record] = portal.call(asyncpg.connect, url)

    def url(self, name: str) -> str:
        return self._url.rsplit("/", 1)[0] + f"/{name}"

    def make_template(self) -> str:
        self._execute(f"CREATE DATABASE {TEMPLATE}")
        self._portal.call(migrations.upgrade, self.url(TEMPLATE))
        return TEMPLATE

    @contextmanager
    def temporary(self, template: str) -> Iterator[str]:
        """The address of a new database like `template`, which is dropped with whatever is still connected."""
        name = next(self._names)
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        try:
            yield self.url(name)
        finally:
            self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    def close(self) -> None:
        self._portal.call(self._connection.close)

    def _execute(self, statement: str) -> None:
        self._portal.call(self._connection.execute, statement)


def temporary_root() -> Path:
    """Memory if it has room: a database is some 300 files, and copying them takes 10 ms there, on disks 40 to 400."""
    if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM:
        # programs that root's stand-in can't reach are copied beside the data, and have to run from there
        may_run_programs = not os.statvfs(MEMORY).f_flag & os.ST_NOEXEC
        if may_run_programs:
            return MEMORY
    return Path(tempfile.gettempdir())


@contextmanager
def throwaway_folder() -> Iterator[Path]:
    """A data folder that is removed afterwards, with any server that still runs in it."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=temporary_root()))
    folder.chmod(0o711)  # who runs Postgres in root's place has to get in
    try:
        yield folder
    finally:
        discard(folder)


def discard(data_dir: Path) -> None:
    place = cluster.cluster_of(data_dir)
    server = postmaster.running(place)
    if server is not None:
        postmaster.stop(server)
    for folder in (place.folder, data_dir):  # a link may lead from the second to the first
        shutil.rmtree(folder, ignore_errors=True)


def discard_abandoned() -> None:
    """Stop the servers of runs that were killed; the kernel has dropped their locks."""
    for folder in temporary_root().glob(f"{PREFIX}*"):
        with suppress(FileNotFoundError):  # another worker was quicker
            status = folder.stat()
            if status.st_uid != os.geteuid() or time.time() - status.st_mtime < ABANDONED_AFTER:
                continue
            lock = cluster.lock(folder)
            if lock is not None:
                discard(folder)
                os.close(lock)


@contextmanager
def owner_process(
    data_dir: Path, pg_bin: Path | None, *, durable: bool = False
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process that owns the server, and the address that it says."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, data_dir, str(pg_bin or ""), "durable" if durable else ""],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert owner.stdout is not None
    with owner:
        try:
            yield owner, owner.stdout.readline().strip()
        finally:
            owner.kill()


@pytest.fixture(scope="session")
def pg_bin() -> Path | None:
    """The programs of the Postgres to test on, when another than the default is asked for."""
    asked = os.environ.get("PG_BIN")
    return Path(asked) if asked else None


@pytest.fixture(scope="session")
def database_server(pg_bin: Path | None) -> Iterator[DatabaseServer]:
    """A Postgres for this process alone: with pytest-xdist, one for each worker."""
    discard_abandoned()
    with (
        throwaway_folder() as folder,
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(database(folder, pg_bin=pg_bin, durable=False)) as url,
    ):
        server = DatabaseServer(portal, url)
        try:
            yield server
        finally:
            server.close()


@pytest.fixture(scope="session")
def database_template(database_server: DatabaseServer) -> str:
    """The name of a migrated database that others are copied from; nobody may be connected to it."""
    return database_server.make_template()


@pytest.fixture
def database_url(database_server: DatabaseServer, database_template: str) -> Iterator[str]:
    """The address of a migrated database of this test's own."""
    with database_server.temporary(database_template) as url:
        yield url


@pytest.fixture
def empty_database_url(database_server: DatabaseServer) -> Iterator[str]:
    """The address of a database of this test's own without tables."""
    with database_server.temporary("template1") as url:
        yield url
