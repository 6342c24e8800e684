"""The server process: how it starts, and what stands in its way."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from server.postgres import PostgresError, cluster, database, postmaster
from tests.database import owner_process
from tests.server.postgres.servers import DEADLINE, ask, is_stopped, made, port_of, server_of, start_and_ask

pytestmark = pytest.mark.database


@pytest.mark.parametrize(("durable", "safe"), [(True, "on"), (False, "off")])
async def test_its_settings(data_dir: Path, pg_bin: Path | None, durable: bool, safe: str) -> None:  # noqa: FBT001
    async with database(data_dir, pg_bin=pg_bin, durable=durable) as url:
        expected = {
            "fsync": safe,
            "synchronous_commit": safe,
            "full_page_writes": safe,
            "TimeZone": "UTC",
            "server_encoding": "UTF8",
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": "100",
            "shared_buffers": "128MB",
        }
        assert {name: await ask(url, f"SHOW {name}") for name in expected} == expected
        assert await ask(url, "SELECT lower('ÄÖ') || upper('é')") == "äöÉ"
        assert await ask(url, "SELECT string_agg(c, '' ORDER BY c) FROM unnest('{b,B,a,é}'::text[]) AS c") == "Babé"


async def test_a_killed_server_recovers_at_the_next_start(data_dir: Path, pg_bin: Path | None) -> None:
    with owner_process(data_dir, pg_bin, durable=True) as (owner, url):
        await ask(url, "CREATE TABLE kept AS SELECT 7 AS value")
        crashed = server_of(data_dir)
        for pid in (owner.pid, crashed.process.pid):
            os.kill(pid, signal.SIGKILL)
        owner.wait()
    assert (cluster.cluster_of(data_dir).data / "postmaster.pid").exists()
    async with database(data_dir, pg_bin=pg_bin, durable=False) as again:
        assert server_of(data_dir).process != crashed.process
        assert await ask(again, "SELECT value FROM kept") == 7


@pytest.mark.parametrize("name", ["stranger", "postgres"])
async def test_a_stale_pid_that_names_a_living_stranger_neither_stops_us_nor_harms_it(
    data_dir: Path, pg_bin: Path | None, name: str
) -> None:
    files = await made(data_dir, pg_bin)
    with another_process(data_dir / "elsewhere" / name) as stranger:
        stale = (str(stranger.pid), str(files.data), "1700000000", "5432", "", "127.0.0.1", "1 1", "ready")
        (files.data / "postmaster.pid").write_text("\n".join(stale) + "\n")
        async with database(data_dir, pg_bin=pg_bin, durable=False) as url:
            assert await ask(url, "SELECT value FROM kept") == 7
        assert stranger.poll() is None


@contextmanager
def another_process(program: Path) -> Iterator[subprocess.Popen[bytes]]:
    program.parent.mkdir()
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, str(DEADLINE)]) as process:
        try:
            yield process
        finally:
            process.kill()


async def test_a_port_taken_meanwhile_is_chosen_anew(data_dir: Path, pg_bin: Path | None) -> None:
    before = postmaster.last_port(await made(data_dir, pg_bin))
    assert before is not None
    with socket.create_server(("127.0.0.1", before)):
        async with database(data_dir, pg_bin=pg_bin, durable=False) as url:
            assert port_of(url) != before
            assert await ask(url, "SELECT value FROM kept") == 7


async def test_a_start_that_fails_says_what_the_server_said(data_dir: Path, pg_bin: Path | None) -> None:
    files = await made(data_dir, pg_bin)
    with (files.data / "postgresql.conf").open("a") as configuration:
        configuration.write("nonsense = 1\n")
    with pytest.raises(PostgresError) as failed:
        await start_and_ask(data_dir, pg_bin)
    assert str(failed.value).startswith(f"The Postgres of {data_dir} did not start:\n")
    assert 'unrecognized configuration parameter "nonsense"' in str(failed.value)
    assert is_stopped(data_dir)


async def test_data_of_another_version_is_left_alone(data_dir: Path, pg_bin: Path | None) -> None:
    files = await made(data_dir, pg_bin)
    (files.data / "PG_VERSION").write_text("15\n")
    with pytest.raises(PostgresError, match=r"was made by Postgres 15, and .* holds Postgres 1\d\.\d"):
        await start_and_ask(data_dir, pg_bin)
    assert is_stopped(data_dir)
