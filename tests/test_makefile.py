"""The Makefile: its manual, and what it installs when. uv and the installed Python are stand-ins that keep a record."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]
LONG_AGO = 1_700_000_000
MAKE = shutil.which("make")

pytestmark = pytest.mark.skipif(MAKE is None, reason="there is no make on this machine")

UV = """#!/bin/sh
echo "uv $*" >> "{record}"
if [ "$1" = venv ]; then
    mkdir -p .venv/bin
    cp programs/installed-python .venv/bin/python
fi
"""
INSTALLED_PYTHON = """#!/bin/sh
if [ "$1" = -m ]; then echo "python $*" >> "{record}"; else exec "{python}" "$@"; fi
"""
OLD_PYTHON = """#!/bin/sh
[ "$1" = --version ] && echo "Python 3.9.6" && exit
exit 1
"""


class Project:
    """A checkout with nothing but what the Makefile looks at."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.record = folder / "record"
        self.programs = folder / "programs"
        self.programs.mkdir()
        (folder / "schema" / "graphiql").mkdir(parents=True)
        (folder / "schema" / "graphiql" / "install.sh").write_text("echo graphiql >> record\n")
        shutil.copy(CHECKOUT / "Makefile", folder)
        for name in ("requirements.lock", "requirements-dev.lock"):
            (folder / name).write_text("")
            os.utime(folder / name, (LONG_AGO, LONG_AGO))
        self.program("uv", UV.format(record=self.record))
        self.program("installed-python", INSTALLED_PYTHON.format(record=self.record, python=sys.executable))

    def program(self, name: str, text: str) -> None:
        file = self.programs / name
        file.write_text(text)
        file.chmod(0o755)

    def make(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        self.record.write_text("")
        return subprocess.run(
            [MAKE or "make", *arguments],
            cwd=self.folder,
            env={"PATH": f"{self.programs}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def done(self, *arguments: str) -> list[str]:
        """What a command made uv and Python do, without the options of uv."""
        result = self.make(*arguments)
        assert (result.returncode, result.stderr) == (0, "")
        return [re.sub(r" --\S+( \.venv/bin/python)?", "", line) for line in self.record.read_text().splitlines()]

    def lock_changes(self, name: str) -> None:
        """A lock becomes newer than all that was made from it."""
        for stamp in (self.folder / ".venv").glob(".*"):
            os.utime(stamp, (LONG_AGO, LONG_AGO))
        os.utime(self.folder / name)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


SERVE = ["graphiql", "python -m server serve"]
FAST_TESTS = ["python -m pytest -n 2 -m not database and not e2e"]
COMPILE = "python -m compileall -q server schema"


def test_alone_it_prints_its_manual(project: Project) -> None:
    result = project.make()
    assert (result.returncode, project.record.read_text()) == (0, "")
    documented = re.findall(r"^([a-z0-9-]+):.* ## ", (CHECKOUT / "Makefile").read_text(), re.MULTILINE)
    assert re.findall(r"^  make (\S+)", result.stdout, re.MULTILINE) == documented
    assert {"demo", "serve", "test", "test-fast", "test-e2e", "check", "schema", "clean"} <= set(documented)
    assert re.findall(r"^[A-Z]\w+$", result.stdout, re.MULTILINE) == ["Use", "Check", "Develop"]


def test_the_first_start_sets_up_and_the_second_only_starts(project: Project) -> None:
    venv, sync, *rest = project.done("serve")
    assert venv.startswith("uv venv ")
    assert (sync, rest) == ("uv pip sync requirements.lock", [COMPILE, *SERVE])
    assert project.done("serve") == SERVE


def test_what_is_installed_has_the_hashes_of_the_lock_and_is_compiled(project: Project) -> None:
    project.make("serve")
    (sync,) = [line for line in project.record.read_text().splitlines() if " sync " in line]
    assert {"--require-hashes", "--compile-bytecode"} <= set(sync.split())


def test_development_has_everything_that_the_program_needs(project: Project) -> None:
    _, *rest = project.done("test-fast")
    assert rest == ["uv pip sync requirements-dev.lock", COMPILE, *FAST_TESTS]
    assert project.done("serve") == SERVE


def test_development_is_added_to_the_program_once(project: Project) -> None:
    project.make("serve")
    assert project.done("test-fast") == ["uv pip sync requirements-dev.lock", COMPILE, *FAST_TESTS]
    assert project.done("serve") == SERVE
    assert project.done("test-fast") == FAST_TESTS


def test_a_new_runtime_lock_does_not_remove_development(project: Project) -> None:
    project.make("test-fast")
    project.lock_changes("requirements.lock")
    assert project.done("serve") == ["uv pip sync requirements-dev.lock", COMPILE, *SERVE]
    assert project.done("test-fast") == FAST_TESTS


def test_a_python_that_is_gone_is_replaced_and_filled(project: Project) -> None:
    project.make("serve")
    (project.folder / ".venv" / "bin" / "python").unlink()
    venv, sync, *rest = project.done("serve")
    assert venv.startswith("uv venv ")
    assert (sync, rest) == ("uv pip sync requirements.lock", [COMPILE, *SERVE])


def test_an_old_python_is_told_before_anything_is_made(project: Project) -> None:
    for name in ("python3", "python3.11", "python3.12", "python3.13", "python3.14"):
        project.program(name, OLD_PYTHON)
    result = project.make("serve")
    assert result.returncode == 2
    assert result.stderr.splitlines()[:2] == [
        "Tunegraph needs Python 3.11 or newer; python3 is Python 3.9.6.",
        "Install one, or say where it is: make PYTHON=/path/to/python3.12 …",
    ]
    assert not (project.folder / ".venv").exists()


def test_a_newer_python_under_its_number_is_found(project: Project) -> None:
    project.program("python3", OLD_PYTHON)
    project.program("python3.14", f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    venv, *_ = project.done("serve")
    assert venv == "uv venv python3.14 .venv"


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["demo"], "python -m server demo"),
        (["demo", "EXIT=1"], "python -m server demo --exit"),
        (["demo", "EXIT=0"], "python -m server demo"),
    ],
)
def test_demo_takes_exit(project: Project, arguments: list[str], command: str) -> None:
    project.make("serve")
    project.make(*arguments)
    assert [line.strip() for line in project.record.read_text().splitlines()] == ["graphiql", command]


def test_data_that_is_not_there_is_refused(project: Project) -> None:
    result = project.make("demo", "DATA=imagined")
    assert result.returncode == 2
    assert "There is no DATA=imagined; there is DATA=chatterbot" in result.stderr
    assert project.record.read_text() == ""


def test_a_migration_wants_to_be_described(project: Project) -> None:
    project.make("test-fast")
    result = project.make("migration")
    assert result.returncode == 2
    assert result.stderr.startswith('Say what it does: make migration m="')
    assert project.record.read_text() == ""
    assert project.done("migration", "m=add a column") == ["python -m tests.migrations add a column"]


def test_continuous_integration_runs_the_commands_of_the_readme() -> None:
    script = (CHECKOUT / ".ci" / "run").read_text().splitlines()
    assert [line for line in script if line.startswith("make ")] == ["make check", "make test", "make test-wire"]
    assert "set -euo pipefail" in script


def test_locks_hold_names_versions_and_hashes_but_no_addresses() -> None:
    locks = [*CHECKOUT.glob("*.lock"), *CHECKOUT.glob(".ci/*.lock"), *CHECKOUT.glob("examples/*.lock")]
    locks += CHECKOUT.glob("tests/wire/*.lock")
    assert {lock.name for lock in locks} >= {
        "requirements.lock",
        "requirements-dev.lock",
        "requirements-llm.lock",
        "requirements-genai.lock",
        "uv.lock",
        "chatterbot.lock",
    }
    for lock in locks:
        text = lock.read_text()
        assert "://" not in text, lock
        pinned = re.findall(r"^[\w.-]+==", text, re.MULTILINE)
        assert text.count("--hash=sha256:") >= len(pinned) > 0, lock


def test_development_pins_all_that_the_program_pins() -> None:
    def pins(name: str) -> set[str]:
        return set(re.findall(r"^[\w.-]+==\S+", (CHECKOUT / name).read_text(), re.MULTILINE))

    assert pins("requirements.lock") <= pins("requirements-dev.lock")
