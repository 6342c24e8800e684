"""How a command ends: its status, and the one line about what it could not do."""

import asyncio
import os
import signal

import pytest

from server.commands import running
from server.domain.errors import Conflict, Unavailable
from server.postgres import PostgresError


async def give(status: int) -> int:
    return status


async def refuse(error: Exception) -> int:
    raise error


@pytest.mark.parametrize("status", [0, 1])
def test_the_status_is_the_commands_own(status: int) -> None:
    assert running.run(give(status)) == status


@pytest.mark.parametrize(
    "error",
    [running.Cannot("no"), Conflict("no"), Unavailable("no"), PostgresError("no")],
    ids=lambda e: type(e).__name__,
)
def test_what_can_not_be_done_is_one_line(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    assert running.run(refuse(error)) == 2
    assert capsys.readouterr().err == "tunegraph: no\n"


def test_the_line_has_no_password_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    running.run(refuse(running.Cannot("postgresql://a:hunter2@h/d is away")))
    assert capsys.readouterr().err == "tunegraph: postgresql://a:***@h/d is away\n"


def test_what_nobody_expected_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        running.run(refuse(ZeroDivisionError()))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_command_with_everything_closed_that_it_opened(number: signal.Signals) -> None:
    closed = []

    async def command() -> int:
        try:
            os.kill(os.getpid(), number)
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            closed.append(True)
        return 0

    assert running.run(command()) == 130
    assert closed == [True]
