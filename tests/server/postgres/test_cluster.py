"""The files of the embedded Postgres."""

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from server.postgres import PostgresError, cluster, database
from tests.database import discard
from tests.server.postgres.servers import ask, made, server_of, start_and_ask

pytestmark = pytest.mark.database


async def test_the_password_is_needed_and_only_the_account_reads_it(data_dir: Path, pg_bin: Path | None) -> None:
    async with database(data_dir, pg_bin=pg_bin, durable=False) as url:
        made = cluster.cluster_of(data_dir).made
        password = (made / "password").read_text()
        assert stat.S_IMODE((made / "password").stat().st_mode) == 0o600
        assert len(password) >= 32
        with pytest.raises(asyncpg.InvalidPasswordError):
            await ask(url.replace(password, "guess"), "SELECT 1")
        assert password not in " ".join(server_of(data_dir).process.cmdline())


async def test_a_failing_initdb_says_why_and_leaves_no_half_cluster(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, pg_bin: Path | None
) -> None:
    monkeypatch.setattr(cluster, "_locales", lambda _: (("--no-such-option",),))
    with pytest.raises(PostgresError, match=r"initdb failed in .*\n.*no-such-option"):
        await start_and_ask(data_dir, pg_bin)
    assert list((data_dir / "postgres").glob("cluster*")) == []


@pytest.fixture
def closed_dir(data_dir: Path) -> Iterator[Path]:
    """A data folder in a folder that only this process's user may enter."""
    (data_dir / "closed").mkdir(0o700)
    yield data_dir / "closed" / "data"
    discard(data_dir / "closed" / "data")
    assert stat.S_IMODE((data_dir / "closed").stat().st_mode) == 0o700


async def test_a_data_folder_closed_to_others_will_do(closed_dir: Path, pg_bin: Path | None) -> None:
    files = await made(closed_dir, pg_bin)
    assert files.folder.stat().st_uid == os.geteuid()
    assert files.data.stat().st_uid != 0
    async with database(closed_dir, pg_bin=pg_bin, durable=False) as url:
        assert await ask(url, "SELECT value FROM kept") == 7


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's data may have to lie elsewhere")
async def test_data_that_lay_elsewhere_and_is_gone_is_not_silently_begun_anew(
    closed_dir: Path, pg_bin: Path | None
) -> None:
    files = await made(closed_dir, pg_bin)
    assert files.folder.parent == Path("/var/tmp")  # noqa: S108
    shutil.rmtree(files.folder)
    with pytest.raises(PostgresError, match=f"^The database lay in {files.folder}, which is gone; remove"):
        await start_and_ask(closed_dir, pg_bin)
