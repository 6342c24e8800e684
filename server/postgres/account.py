"""The user that Postgres runs as, since it refuses root, and the folders that this user can reach."""

import os
import pwd
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from server.postgres.errors import PostgresError

Account = pwd.struct_passwd


def account_for(data: Path) -> Account | None:
    """Who runs the server of the cluster at `data`: None is this process's own user.

    Raises:
        PostgresError: the cluster belongs to somebody else, or root has no user to run it as.
    """
    # whoever made the cluster goes on running it, even when a user named postgres comes later
    owner = data.stat().st_uid if data.exists() else None
    if os.geteuid() != 0:
        if owner not in {None, os.geteuid()}:
            raise PostgresError(f"{data} belongs to another user, who alone can run its Postgres")
        return None
    if owner == 0:
        raise PostgresError(f"{data} belongs to root, as whom Postgres does not run")
    try:
        return pwd.getpwuid(owner) if owner is not None else _other_than_root()
    except KeyError:
        raise PostgresError("Postgres does not run as root, and the user to run it as is not known here") from None


def _other_than_root() -> Account:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def reachable(path: Path, account: Account | None) -> bool:
    """Whether `account` may enter `path` and every folder above it, by their mode bits."""
    return account is None or all(_may_enter(folder.stat(), account) for folder in (path, *path.parents))


def _may_enter(status: os.stat_result, account: Account) -> bool:
    if status.st_uid == account.pw_uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == account.pw_gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def give(path: Path, account: Account | None) -> None:
    """Make `account` the owner of `path`."""
    if account is not None:
        os.chown(path, account.pw_uid, account.pw_gid)


def spawn(command: Sequence[str | Path], account: Account | None, output: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start a program of Postgres as `account`, in a session of its own, where no Ctrl-C of the terminal reaches it.

    `output` is a real file: with a pipe, whoever reads it would wait for as long as the server runs.
    """
    return subprocess.Popen(  # noqa: S603  (programs that we looked up ourselves)
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        cwd="/",  # the account may not be able to reach ours
        env={"PATH": os.defpath, "LC_ALL": "C"},  # no PG* variable and no locale of the caller's
        start_new_session=True,
        umask=0o077,
        user=account.pw_uid if account else None,
        group=account.pw_gid if account else None,
        extra_groups=[] if account else None,
    )
