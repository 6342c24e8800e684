"""Who owns a server, who joins it, who takes it over."""

import asyncio
import os
import signal
from pathlib import Path
from unittest.mock import ANY

import pytest

from server.postgres import cluster, database
from tests.database import owner_process
from tests.server.postgres.servers import DEADLINE, ask, is_stopped, port_of, server_of, start_and_ask, until

pytestmark = pytest.mark.database


async def test_a_server_of_ones_own_is_used_as_given(tmp_path: Path) -> None:
    async with database(tmp_path / "data", url="postgresql://elsewhere/db") as url:
        assert url == "postgresql://elsewhere/db"
    assert not (tmp_path / "data").exists()


async def test_it_starts_answers_and_stops(data_dir: Path, pg_bin: Path | None) -> None:
    async with database(data_dir / "deep" / "er", pg_bin=pg_bin, durable=False) as url:
        assert url.startswith("postgresql://tunegraph:")
        assert url.endswith(f"@127.0.0.1:{port_of(url)}/tunegraph")
        assert await ask(url, "SELECT current_database()") == "tunegraph"
        server = server_of(data_dir / "deep" / "er")
        assert os.getsid(server.process.pid) == server.process.pid  # out of reach of the terminal's Ctrl-C
    assert not server.alive()
    assert is_stopped(data_dir / "deep" / "er")
    with pytest.raises(ConnectionRefusedError):
        await ask(url, "SELECT 1")


async def test_a_second_start_keeps_the_data_the_address_and_the_log_of_before(
    data_dir: Path, pg_bin: Path | None
) -> None:
    async with database(data_dir, pg_bin=pg_bin, durable=False) as first:
        await ask(first, "CREATE TABLE kept AS SELECT 7 AS value")
    log = cluster.cluster_of(data_dir).log.read_text()
    async with database(data_dir, pg_bin=pg_bin, durable=False) as second:
        assert second == first
        assert await ask(second, "SELECT value FROM kept") == 7
    assert "database system is shut down" in log
    assert cluster.cluster_of(data_dir).log.with_name("log.1").read_text() == log


async def test_two_that_start_at_once_share_one_server(data_dir: Path, pg_bin: Path | None) -> None:
    everybody = asyncio.Barrier(2)

    async def take_part() -> tuple[str, int, object]:
        async with database(data_dir, pg_bin=pg_bin, durable=False) as url:
            answer = url, server_of(data_dir).process.pid, await ask(url, "SELECT 1")
            await everybody.wait()
            return answer

    one, other = await asyncio.gather(take_part(), take_part())
    assert one == other
    assert one[2] == 1
    assert is_stopped(data_dir)


async def test_who_joins_leaves_the_server_to_its_owner(data_dir: Path, pg_bin: Path | None) -> None:
    async with database(data_dir, pg_bin=pg_bin, durable=False) as owned:
        async with database(data_dir, pg_bin=data_dir / "not needed to join") as joined:
            assert joined == owned
        assert await ask(owned, "SELECT 1") == 1
    assert is_stopped(data_dir)


async def test_who_comes_while_the_owner_leaves_starts_it_again(data_dir: Path, pg_bin: Path | None) -> None:
    async with database(data_dir, pg_bin=pg_bin, durable=False) as first:
        leaving = server_of(data_dir)
        leaving.process.send_signal(signal.SIGINT)
        coming = asyncio.create_task(start_and_ask(data_dir, pg_bin))
        await until(lambda: not leaving.alive())
    assert await coming == (first, 1)
    assert is_stopped(data_dir)


async def test_the_server_of_a_killed_owner_is_taken_over_and_stopped_in_the_end(
    data_dir: Path, pg_bin: Path | None
) -> None:
    with owner_process(data_dir, pg_bin) as (owner, url):
        await ask(url, "CREATE TABLE kept AS SELECT 7 AS value")
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    orphan = server_of(data_dir)
    async with database(data_dir, pg_bin=pg_bin, durable=False) as again:
        assert again == url
        assert server_of(data_dir).process == orphan.process
        assert await ask(again, "SELECT value FROM kept") == 7
        assert cluster.lock(data_dir) is None
    assert is_stopped(data_dir)
    assert not orphan.alive()


async def test_ctrl_c_stops_owner_and_server_in_order(data_dir: Path, pg_bin: Path | None) -> None:
    with owner_process(data_dir, pg_bin) as (owner, _):
        server = server_of(data_dir)
        os.killpg(owner.pid, signal.SIGINT)
        await asyncio.to_thread(owner.wait, DEADLINE)
    assert not server.alive()
    assert is_stopped(data_dir)
    log = cluster.cluster_of(data_dir).log.read_text()
    assert log.count("received fast shutdown request") == 1
    assert log.count("database system is shut down") == 1


@pytest.mark.parametrize("moment", ["cluster-*/data/base", "cluster/data/postmaster.pid"])
async def test_a_start_that_is_cancelled_leaves_nothing_behind(
    data_dir: Path, pg_bin: Path | None, moment: str
) -> None:
    starting = asyncio.create_task(start_and_ask(data_dir, pg_bin))
    await until(lambda: bool(list((data_dir / "postgres").glob(moment))))
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert is_stopped(data_dir)
    assert list((data_dir / "postgres").glob("cluster-*")) == []
    assert await start_and_ask(data_dir, pg_bin) == (ANY, 1)
