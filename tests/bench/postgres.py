"""A throwaway Postgres that holds everything in memory and leaves the processor to those who are measured."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from unittest import mock

import psutil

from server.postgres import cluster, database, postmaster
from tests.bench.cpu import cpu_seconds
from tests.database import discard_abandoned, throwaway_folder

HOT: Final = {"shared_buffers": "1GB", "autovacuum": "off", "max_wal_size": "8GB", "checkpoint_timeout": "1h"}


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server: the address of a database of it, and its first process."""

    url: str
    process: psutil.Process

    def cpu(self) -> float:
        """Seconds of CPU that all its processes have used."""
        return cpu_seconds(self.process)


@asynccontextmanager
async def started(pg_bin: Path | None) -> AsyncIterator[Postgres]:
    """A Postgres of this run's own."""
    discard_abandoned()
    with (
        throwaway_folder() as folder,
        mock.patch.dict(postmaster.SETTINGS, HOT),
        mock.patch.dict(postmaster.THROWAWAY, {"max_wal_size": HOT["max_wal_size"]}),
    ):
        async with database(folder, pg_bin=pg_bin, durable=False) as url:
            running = postmaster.running(cluster.cluster_of(folder))
            if running is None:
                raise RuntimeError("the Postgres that was just started is not there")
            yield Postgres(url, running.process)
