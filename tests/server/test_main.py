"""The command line: its help, its settings and its exit status. Each is a program of its own, as people start it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from server import __main__ as program
from server.settings import variables

CHECKOUT = Path(__file__).parents[2]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "server", *arguments],
        cwd=CHECKOUT,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_lists_the_commands_and_every_setting_with_its_default() -> None:
    result = run("--help")
    assert (result.returncode, result.stderr) == (0, "")
    for command in ("serve", "demo", "import", "migrate"):
        assert f"\n    {command} " in result.stdout
    for variable in variables():
        heading = f"{variable.name} [{variable.default}]" if variable.default else variable.name
        assert f"\n  {heading}\n      {variable.description}\n" in result.stdout + "\n"


@pytest.mark.parametrize(
    ("command", "option"),
    [("serve", "--help"), ("demo", "--exit"), ("import", "--training-sheet"), ("migrate", "--help")],
)
def test_each_command_has_help_of_its_own(command: str, option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        program.main([command, "--help"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"usage: python -m server {command} ")
    assert option in printed
    assert "TUNEGRAPH_DATA_DIR" in printed


def test_help_needs_none_of_what_the_commands_need() -> None:
    script = (
        "import sys; from server import __main__ as program\n"
        "try: program.main(['--help'])\n"
        "except SystemExit: print(sorted({'alembic', 'asyncpg', 'rich', 'schema', 'sqlalchemy'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=True
    )
    assert result.stdout.splitlines()[-1] == "[]"


def test_no_command_is_a_usage_error() -> None:
    result = run()
    assert result.returncode == 2
    assert "COMMAND" in result.stderr


def test_a_bad_setting_is_one_line_that_names_its_variable() -> None:
    result = run("migrate", TUNEGRAPH_PORT="eighty", TUNEGRAPH_LOG_FORMAT="xml")
    assert result.returncode == 2
    assert result.stderr.splitlines() == [
        "tunegraph: TUNEGRAPH_PORT: Input should be a valid integer, unable to parse string as an integer",
        "tunegraph: TUNEGRAPH_LOG_FORMAT: Input should be 'auto', 'console' or 'json'",
    ]


def test_a_database_that_is_not_there_is_one_line_without_its_password() -> None:
    result = run("migrate", DATABASE_URL="postgresql://someone:hunter2@127.0.0.1:1/nothing")
    assert result.returncode == 2
    assert result.stderr.startswith("tunegraph: The database of DATABASE_URL can't be reached: ")
    assert len(result.stderr.splitlines()) == 1
    assert "hunter2" not in result.stderr


def test_a_name_that_is_no_setting_is_pointed_out() -> None:
    result = run("migrate", TUNEGRAPH_PROT="8001", DATABASE_URL="postgresql://127.0.0.1:1/nothing")
    assert result.stderr.splitlines()[0] == "tunegraph: TUNEGRAPH_PROT is no setting, and is ignored."


def test_a_host_that_others_could_reach_is_refused_before_anything_starts(tmp_path: Path) -> None:
    data = tmp_path / "data"
    result = run("serve", TUNEGRAPH_HOST="0.0.0.0", TUNEGRAPH_DATA_DIR=str(data))  # noqa: S104  (refused)
    assert result.returncode == 2
    assert result.stderr.startswith("tunegraph: TUNEGRAPH_HOST is '0.0.0.0', which other machines could reach.")
    assert len(result.stderr.splitlines()) == 1
    assert not data.exists()
