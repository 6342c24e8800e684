"""The user that Postgres runs as."""

import os
import pwd
from pathlib import Path

import pytest

from server.postgres import PostgresError, account

STRANGER = pwd.struct_passwd(("stranger", "x", 4_242_424, 4_242_424, "", "/", "/bin/sh"))
OWN_GROUP = pwd.struct_passwd(("colleague", "x", 4_242_424, os.getegid(), "", "/", "/bin/sh"))
SELF = pwd.struct_passwd(("self", "x", os.geteuid(), 4_242_424, "", "/", "/bin/sh"))


def test_an_ordinary_user_runs_it_without_further_ado(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4_242_424)
    assert account.account_for(tmp_path / "not made yet") is None


def test_the_data_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4_242_424)
    with pytest.raises(PostgresError) as refused:
        account.account_for(tmp_path)
    assert str(refused.value) == f"{tmp_path} belongs to another user, who alone can run its Postgres"


@pytest.mark.parametrize(("known", "chosen"), [(("postgres", "nobody"), "postgres"), (("nobody",), "nobody")])
def test_root_runs_it_as_postgres_and_else_as_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: tuple[str, ...], chosen: str
) -> None:
    entries = {name: pwd.struct_passwd((name, "x", 77, 77, "", "/", "/bin/sh")) for name in known}
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", entries.__getitem__)
    found = account.account_for(tmp_path / "not made yet")
    assert found is not None
    assert found.pw_name == chosen


def test_root_without_such_a_user_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", dict[str, pwd.struct_passwd]().__getitem__)
    with pytest.raises(PostgresError, match="the user to run it as is not known here"):
        account.account_for(tmp_path / "not made yet")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_whoever_made_the_data_goes_on_running_it(tmp_path: Path) -> None:
    with pytest.raises(PostgresError, match="belongs to root, as whom Postgres does not run"):
        account.account_for(tmp_path)
    account.give(tmp_path, pwd.getpwnam("nobody"))
    found = account.account_for(tmp_path)
    assert found is not None
    assert found.pw_name == "nobody"


@pytest.mark.parametrize(
    ("who", "mode", "expected"),
    [
        (STRANGER, 0o711, True),
        (STRANGER, 0o770, False),
        (OWN_GROUP, 0o710, True),
        (OWN_GROUP, 0o701, False),
        (SELF, 0o700, True),
    ],
)
def test_a_folder_is_entered_by_the_bits_of_owner_group_and_others(
    tmp_path: Path, who: account.Account, mode: int, *, expected: bool
) -> None:
    os.chown(tmp_path, -1, os.getegid())
    tmp_path.chmod(mode)
    assert account._may_enter(tmp_path.stat(), who) is expected


def test_a_folder_below_a_closed_one_is_out_of_reach(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(0o700)
    (tmp_path / "closed" / "open").mkdir(0o755)
    assert not account.reachable(tmp_path / "closed" / "open", STRANGER)
    assert account.reachable(tmp_path / "closed" / "open", None)
    assert account.reachable(Path("/"), STRANGER)
