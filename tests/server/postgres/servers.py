"""What the tests ask of a running server."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from server.postgres import cluster, database, postmaster

DEADLINE = 60.0


async def ask(url: str, query: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110  (other processes set no event)
            await asyncio.sleep(0.005)


def port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


def server_of(data_dir: Path) -> postmaster.Postmaster:
    server = postmaster.running(cluster.cluster_of(data_dir))
    assert server is not None
    return server


def is_stopped(data_dir: Path) -> bool:
    lock = cluster.lock(data_dir)
    if lock is not None:
        os.close(lock)
    return lock is not None and postmaster.running(cluster.cluster_of(data_dir)) is None


async def start_and_ask(data_dir: Path, pg_bin: Path | None) -> tuple[str, object]:
    async with database(data_dir, pg_bin=pg_bin, durable=False) as url:
        return url, await ask(url, "SELECT 1")


async def made(data_dir: Path, pg_bin: Path | None) -> cluster.Cluster:
    """A cluster that was in use before."""
    async with database(data_dir, pg_bin=pg_bin, durable=False) as url:
        await ask(url, "CREATE TABLE kept AS SELECT 7 AS value")
    return cluster.cluster_of(data_dir)
