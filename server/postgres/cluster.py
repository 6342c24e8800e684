"""The files of one embedded Postgres, and how they come to be."""

import asyncio
import fcntl
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from server.postgres.account import Account, give, reachable, spawn
from server.postgres.binaries import Binaries
from server.postgres.errors import PostgresError

NAME = "tunegraph"
FALLBACK = Path("/var/tmp")  # noqa: S108  (mkdtemp makes a folder there that only we can write)
BUILTIN_LOCALES_MAJOR = 17  # first with the locale provider that is the same on every machine
LOG_LINES = 20


@dataclass(frozen=True)
class Cluster:
    """What the embedded Postgres of one data folder keeps in `folder`."""

    folder: Path

    @property
    def made(self) -> Path:
        """What initdb made, with the password it was made with; it appears all at once."""
        return self.folder / "cluster"

    @property
    def data(self) -> Path:
        """Postgres's own data directory."""
        return self.made / "data"

    @property
    def log(self) -> Path:
        """What the server of the last start wrote."""
        return self.folder / "log"

    def address(self, port: int, name: str = NAME) -> str:
        """A postgresql:// address with the password, which is made of characters that need no quoting."""
        password = (self.made / "password").read_text()
        return f"postgresql://{NAME}:{password}@127.0.0.1:{port}/{name}"

    def log_tail(self) -> str:
        """The last lines that the server wrote."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-LOG_LINES:])


def lock(data_dir: Path) -> int | None:
    """The lock of whoever owns the server of `data_dir`, as a file descriptor, unless somebody has it.

    The kernel drops it with its process, however that ends.

    Raises:
        PostgresError: the folder is not ours to use.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(data_dir / "postgres.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise PostgresError(f"{data_dir} can't hold a database: {error}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def cluster_of(data_dir: Path) -> Cluster:
    """The cluster of `data_dir`, made or not, wherever its link points."""
    return Cluster((data_dir / "postgres").resolve())


def locate(data_dir: Path, account: Account | None) -> Cluster:
    """The cluster of `data_dir` with its folder in a place that `account` can reach.

    That is the data folder; if that is closed to `account`, a folder under /var/tmp that a link in the data folder
    leads to.

    Raises:
        PostgresError: the folder was made, and can be reached no more.
    """
    place = data_dir / "postgres"
    if place.is_symlink() and not place.exists():
        raise PostgresError(f"The database lay in {place.readlink()}, which is gone; remove {place} to begin anew")
    if not place.exists():
        if reachable(data_dir.resolve(), account):
            place.mkdir()
        else:
            fallback = tempfile.mkdtemp(prefix="tunegraph-", dir=FALLBACK)
            place.symlink_to(fallback)
            structlog.get_logger(__name__).warning(
                "the database lies outside the data folder", folder=fallback, unreachable=str(data_dir)
            )
        place.chmod(0o711 if account else 0o700)
    cluster = cluster_of(data_dir)
    if account is not None and not reachable(cluster.folder, account):
        raise PostgresError(f"The user {account.pw_name}, who runs Postgres in root's place, can't reach {place}")
    return cluster


async def initialise(cluster: Cluster, binaries: Binaries, account: Account | None, *, durable: bool) -> None:
    """Make the cluster in a temporary folder and give it its name in one step, so that there is never half of one.

    Raises:
        PostgresError: initdb failed; with what it wrote.
    """
    for abandoned in cluster.folder.glob("cluster-*"):
        shutil.rmtree(abandoned)
    output: str | None = ""
    for locale in _locales(binaries):
        part = Path(tempfile.mkdtemp(prefix="cluster-", dir=cluster.folder))
        try:
            output = await _initdb(binaries, account, part, [*locale, *(() if durable else ("--no-sync",))])
            if output is None:
                await asyncio.to_thread(part.rename, cluster.made)
                return
        finally:
            shutil.rmtree(part, ignore_errors=True)
    raise PostgresError(f"initdb failed in {cluster.folder}:\n{output}")


def _locales(binaries: Binaries) -> tuple[tuple[str, ...], ...]:
    if binaries.major >= BUILTIN_LOCALES_MAJOR:
        return (("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),)
    return (("--locale=C.UTF-8",), ("--no-locale",))  # not every machine has C.UTF-8


async def _initdb(binaries: Binaries, account: Account | None, part: Path, options: Sequence[str]) -> str | None:
    """Run initdb. None when it succeeded, else what it wrote."""
    password = part / "password"
    password.touch(0o600)
    password.write_text(secrets.token_urlsafe(24))
    for path in (password, part):
        give(path, account)
    fixed = ["--encoding=UTF8", "--auth=scram-sha-256", f"--username={NAME}", f"--pwfile={password}"]
    command: list[str | Path] = [binaries.folder / "initdb", f"--pgdata={part / 'data'}", *fixed, *options]
    with tempfile.TemporaryFile() as output:
        process = spawn(command, account, output)
        try:
            code = await asyncio.to_thread(process.wait)
        except asyncio.CancelledError:
            # with the backends that it drives
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        output.seek(0)
        return output.read().decode(errors="replace") if code else None
