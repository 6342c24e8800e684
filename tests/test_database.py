"""Every test has a database of its own, and no server outlives its run for long."""

import os
import time
from pathlib import Path

import asyncpg
import pytest

from server.postgres import cluster, postmaster
from tests.database import ABANDONED_AFTER, DatabaseServer, discard_abandoned, owner_process, throwaway_folder

pytestmark = pytest.mark.database


@pytest.mark.parametrize("turn", [1, 2])
async def test_a_test_sees_the_migrated_tables_and_nothing_of_another(database_url: str, turn: int) -> None:
    connection = await asyncpg.connect(database_url)
    assert await connection.fetchval("SELECT count(*) FROM alembic_version") == 1
    assert await connection.fetchval("SELECT to_regclass('mine')") is None
    await connection.execute(f"CREATE TABLE mine AS SELECT {turn} AS turn")
    await connection.close()


async def test_an_empty_database_has_no_tables(empty_database_url: str) -> None:
    connection = await asyncpg.connect(empty_database_url)
    assert await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'") == []
    await connection.close()


async def test_a_database_is_dropped_with_what_is_still_connected(database_server: DatabaseServer) -> None:
    with database_server.temporary("template1") as url:
        left = await asyncpg.connect(url)
    with pytest.raises(asyncpg.PostgresError):
        await left.execute("SELECT 1")
    left.terminate()
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await asyncpg.connect(url)


def make_old(folder: Path) -> None:
    long_ago = time.time() - 2 * ABANDONED_AFTER
    os.utime(folder, (long_ago, long_ago))


async def test_the_server_of_a_killed_run_is_stopped_by_the_next_and_others_are_not(pg_bin: Path | None) -> None:
    with throwaway_folder() as abandoned, throwaway_folder() as young, throwaway_folder() as used:
        with owner_process(abandoned, pg_bin) as (owner, _):
            owner.kill()
            owner.wait()
        orphan = postmaster.running(cluster.cluster_of(abandoned))
        lock = cluster.lock(used)
        assert orphan is not None
        assert lock is not None
        for folder in (abandoned, used):
            make_old(folder)

        discard_abandoned()

        assert not orphan.alive()
        assert [folder.exists() for folder in (abandoned, young, used)] == [False, True, True]
        os.close(lock)
