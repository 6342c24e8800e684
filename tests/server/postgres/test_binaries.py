"""Which programs of Postgres are used."""

import pwd
import subprocess
from pathlib import Path

import pytest

from server.postgres import PostgresError, binaries

STRANGER = pwd.struct_passwd(("stranger", "x", 4_242_424, 4_242_424, "", "/", "/bin/sh"))


def make_bin(folder: Path, says: str, *programs: str) -> Path:
    folder.mkdir(parents=True)
    for program in programs:
        (folder / program).write_text(f"#!/bin/sh\necho '{says}'\n")
        (folder / program).chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("says", "version", "major"),
    [
        ("postgres (PostgreSQL) 18.6", "18.6", 18),
        ("postgres (PostgreSQL) 16.4 (Debian 16.4-1.pgdg120+1)", "16.4", 16),
        ("postgres (PostgreSQL) 19beta2", "19", 19),
    ],
)
def test_the_folder_asked_for_is_taken_with_the_version_it_says(
    tmp_path: Path, says: str, version: str, major: int
) -> None:
    folder = make_bin(tmp_path / "bin", says, "postgres", "initdb")
    found = binaries.find(folder)
    assert found == binaries.Binaries(folder, version)
    assert found.major == major


def test_a_version_below_the_floor_is_refused_by_name(tmp_path: Path) -> None:
    folder = make_bin(tmp_path / "bin", "postgres (PostgreSQL) 15.4", "postgres", "initdb")
    with pytest.raises(PostgresError) as refused:
        binaries.find(folder)
    assert str(refused.value) == f"{folder} holds Postgres 15.4; Postgres 16 or newer is needed"


def test_a_folder_that_does_not_exist_is_refused_and_nothing_else_tried(tmp_path: Path) -> None:
    with pytest.raises(PostgresError) as refused:
        binaries.find(tmp_path / "nowhere")
    assert str(refused.value) == (
        f"{tmp_path}/nowhere holds no program named postgres: PG_BIN is the bin folder of a Postgres"
    )


def test_a_folder_without_initdb_is_refused(tmp_path: Path) -> None:
    folder = make_bin(tmp_path / "bin", "postgres (PostgreSQL) 18.6", "postgres")
    with pytest.raises(PostgresError, match="holds no program named initdb"):
        binaries.find(folder)


def test_a_program_that_is_not_postgres_is_refused(tmp_path: Path) -> None:
    folder = make_bin(tmp_path / "bin", "hello", "postgres", "initdb")
    with pytest.raises(PostgresError, match="does not say which version of Postgres it is: 'hello'"):
        binaries.find(folder)


def test_a_program_that_can_not_run_is_refused(tmp_path: Path) -> None:
    folder = make_bin(tmp_path / "bin", "", "postgres", "initdb")
    (folder / "postgres").chmod(0o644)
    with pytest.raises(PostgresError, match="does not run"):
        binaries.find(folder)


def test_without_wheels_the_programs_beside_pg_ctl_on_the_path_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_bin(tmp_path / "lib" / "bin", "postgres (PostgreSQL) 17.2", "postgres", "initdb", "pg_ctl")
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "pg_ctl").symlink_to(folder / "pg_ctl")
    monkeypatch.setattr(binaries, "WHEELS", ())
    monkeypatch.setenv("PATH", f"{linked}:/usr/bin:/bin")
    assert binaries.find(None) == binaries.Binaries(folder, "17.2")


def test_without_any_postgres_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "WHEELS", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PostgresError, match=r"No Postgres here: .* PG_BIN, .* DATABASE_URL$"):
        binaries.find(None)


def make_wheel(site: Path, *, inside: str = "share/postgres.bki") -> binaries.Binaries:
    folder = make_bin(site / "wheel" / "pginstall" / "bin", "it runs", "postgres", "initdb")
    (folder.parent / inside).parent.mkdir()
    (folder.parent / inside).touch(0o600)
    (site / "wheel.libs").mkdir()
    (site / "wheel.libs" / "libpq.so").touch(0o700)
    site.chmod(0o700)
    return binaries.Binaries(folder, "18.6")


def test_programs_closed_to_the_account_are_copied_once_with_their_libraries(tmp_path: Path) -> None:
    hidden = make_wheel(tmp_path / "site")
    place = tmp_path / "place"
    place.mkdir()
    for older in ("binaries-17.0-1", "binaries-half"):
        (place / older).mkdir()

    copied = binaries.usable_by(hidden, STRANGER, place)

    (copy,) = place.iterdir()
    assert copied == binaries.Binaries(copy / "wheel" / "pginstall" / "bin", "18.6")
    assert subprocess.check_output([copied.folder / "postgres"], text=True) == "it runs\n"
    modes = {str(path.relative_to(copy)): path.stat().st_mode & 0o777 for path in copy.rglob("*")}
    assert modes["wheel/pginstall/share/postgres.bki"] == 0o644
    assert modes["wheel.libs/libpq.so"] == 0o755
    assert modes["wheel.libs"] == 0o755
    inode = (copied.folder / "postgres").stat().st_ino
    assert binaries.usable_by(hidden, STRANGER, place) == copied
    assert (copied.folder / "postgres").stat().st_ino == inode


def test_programs_that_belong_to_no_installation_of_their_own_are_not_copied(tmp_path: Path) -> None:
    hidden = make_wheel(tmp_path / "site", inside="share/else")
    with pytest.raises(PostgresError, match="The user stranger, who runs Postgres in root's place, can't reach"):
        binaries.usable_by(hidden, STRANGER, tmp_path)


def test_programs_within_reach_stay_where_they_are(tmp_path: Path) -> None:
    hidden = make_wheel(tmp_path / "site")
    assert binaries.usable_by(hidden, None, tmp_path) is hidden
