"""Who owns the server of a data folder and stops it in the end, and who only joins it."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from server.postgres import binaries, cluster, postmaster
from server.postgres.account import Account, account_for
from server.postgres.errors import PostgresError

START_TIMEOUT_SECONDS = 60.0
CONNECT_TIMEOUT_SECONDS = 5.0
POLL_SECONDS = 0.02


@asynccontextmanager
async def database(
    data_dir: Path, *, url: str | None = None, pg_bin: Path | None = None, durable: bool = True
) -> AsyncIterator[str]:
    """The address (postgresql://user:password@127.0.0.1:port/tunegraph) of the database.

    It is `url` as given, else that of the embedded Postgres of `data_dir`. The process that starts that owns it and
    stops it at the end; one that finds it running joins it, and loses its connections when the owner ends first. A
    server whose owner was killed is taken over by the next process. `pg_bin` holds the programs to start it with.
    Without `durable` a crash of the machine may ruin the data, and everything is faster.

    Raises:
        PostgresError: there is no Postgres to start, or it does not start; with the last lines of its log.
    """
    if url is not None:
        yield url
        return
    joined = await _join_or_lock(data_dir)
    if isinstance(joined, str):
        yield joined
        return
    owner = _Owner(data_dir, joined, pg_bin, durable=durable)
    try:
        yield await owner.start()
    finally:
        # in a thread, which also ends what it began when this task is cancelled again
        await asyncio.to_thread(owner.close)


async def _join_or_lock(data_dir: Path) -> str | int:
    """The address of a server that another process owns, or the descriptor of the lock that makes us its owner.

    Raises:
        PostgresError: the owner's server takes no queries within `START_TIMEOUT_SECONDS`.
    """
    try:
        async with asyncio.timeout(START_TIMEOUT_SECONDS):
            # again and again: the owner may be starting, or just stopping
            while (lock := cluster.lock(data_dir)) is None:
                place = cluster.cluster_of(data_dir)
                server = postmaster.running(place)
                if server and postmaster.listening(place) and await _accepts_queries(place.address(server.port)):
                    return place.address(server.port)
                await asyncio.sleep(POLL_SECONDS)
            return lock
    except TimeoutError:
        raise PostgresError(f"Another process owns the Postgres of {data_dir}, which does not answer") from None


class _Owner:
    """The lock of a data folder, and the server that goes with it."""

    def __init__(self, data_dir: Path, lock: int, pg_bin: Path | None, *, durable: bool) -> None:
        self._data_dir = data_dir
        self._lock = lock
        self._pg_bin = pg_bin
        self._durable = durable
        self._cluster = cluster.cluster_of(data_dir)
        self._server: postmaster.Postmaster | None = None

    async def start(self) -> str:
        try:
            async with asyncio.timeout(START_TIMEOUT_SECONDS):
                self._server = postmaster.running(self._cluster)
                if self._server is None or not await self._ready(self._server):
                    self._server = await self._launch()
                await _create_database(self._cluster.address(self._server.port, "postgres"))
                return self._cluster.address(self._server.port)
        except TimeoutError:
            raise self._failed(f"did not start within {START_TIMEOUT_SECONDS:.0f} s") from None
        except asyncpg.PostgresError as error:
            raise self._failed(f"refuses us ({error})") from error

    async def _launch(self) -> postmaster.Postmaster:
        programs, account = await self._prepare()
        if self._cluster.log.exists():
            self._cluster.log.replace(self._cluster.log.with_name("log.1"))
        port = postmaster.last_port(self._cluster) or postmaster.free_port()
        while True:
            server = self._server = postmaster.launch(self._cluster, programs, account, port, durable=self._durable)
            if await self._ready(server):
                return server
            log = self._cluster.log_tail()
            if postmaster.BUSY_PORT in log:
                port = postmaster.free_port()
            elif postmaster.BACKENDS_LEFT in log:
                await asyncio.sleep(POLL_SECONDS)
            else:
                raise self._failed("did not start")

    async def _prepare(self) -> tuple[binaries.Binaries, Account | None]:
        programs = await asyncio.to_thread(binaries.find, self._pg_bin)
        account = account_for(self._cluster.data)
        self._cluster = cluster.locate(self._data_dir, account)
        programs = await asyncio.to_thread(binaries.usable_by, programs, account, self._cluster.folder)
        if not self._cluster.made.exists():
            await cluster.initialise(self._cluster, programs, account, durable=self._durable)
        return programs, account

    async def _ready(self, server: postmaster.Postmaster) -> bool:
        """Wait until the server takes queries; False when it ended instead. The caller bounds the wait."""
        while server.alive():
            if postmaster.listening(self._cluster):
                address = self._cluster.address(server.port, "postgres")
                if await _accepts_queries(address):
                    return True
            await asyncio.sleep(POLL_SECONDS)
        return False

    def _failed(self, reason: str) -> PostgresError:
        return PostgresError(f"The Postgres of {self._data_dir} {reason}:\n{self._cluster.log_tail()}")

    def close(self) -> None:
        """Stop the server and let the lock go, in this order; blocks."""
        try:
            if self._server is not None:
                postmaster.stop(self._server)
        finally:
            os.close(self._lock)


async def _accepts_queries(url: str) -> bool:
    try:
        connection = await asyncpg.connect(url, ssl=False, timeout=CONNECT_TIMEOUT_SECONDS)
        try:
            return bool(await connection.fetchval("SELECT 1", timeout=CONNECT_TIMEOUT_SECONDS) == 1)
        finally:
            await connection.close(timeout=CONNECT_TIMEOUT_SECONDS)
    except (
        OSError,
        asyncpg.PostgresConnectionError,
        asyncpg.OperatorInterventionError,  # it is starting or stopping
        asyncpg.InvalidCatalogNameError,  # its owner is about to create the database
    ):
        return False
    except asyncpg.PostgresError as error:
        raise PostgresError(f"The embedded Postgres refuses us: {error}") from error


async def _create_database(url: str) -> None:
    connection = await asyncpg.connect(url, ssl=False, timeout=CONNECT_TIMEOUT_SECONDS)
    try:
        if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", cluster.NAME):
            await connection.execute(f"CREATE DATABASE {cluster.NAME}")
    finally:
        await connection.close(timeout=CONNECT_TIMEOUT_SECONDS)
