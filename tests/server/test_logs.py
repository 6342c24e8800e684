"""What the program says about itself, and what it keeps to itself."""

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from server import logs
from server.settings import Settings


@pytest.fixture(autouse=True)
def _untouched() -> Iterator[None]:
    """Logging is the process's own: each test gives it back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in logs.TALKATIVE}
    before = structlog.get_config()
    yield
    root.handlers, root.level = handlers, level
    for name, value in levels.items():
        logging.getLogger(name).setLevel(value)
    logging.captureWarnings(capture=False)
    structlog.configure(**before)


def configured(**settings: str) -> io.StringIO:
    stream = io.StringIO()
    logs.configure(Settings.model_validate(settings), stream=stream)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_is_one_object_a_line_with_what_is_bound() -> None:
    stream = configured(log_format="json")
    with structlog.contextvars.bound_contextvars(request_id="r-1"):
        structlog.get_logger("server.reconciler.poller").info("job moved", job="job_1", to="RUNNING")
    (line,) = lines(stream)
    assert line.pop("timestamp")
    assert line == {
        "event": "job moved",
        "job": "job_1",
        "to": "RUNNING",
        "request_id": "r-1",
        "level": "info",
        "logger": "server.reconciler.poller",
    }


def test_libraries_speak_through_the_same_door() -> None:
    stream = configured(log_format="json")
    with structlog.contextvars.bound_contextvars(request_id="r-1"):
        logging.getLogger("websockets.server").warning("connection %d was lost", 7)
        logging.getLogger("websockets.server").info("chatter")
    (line,) = lines(stream)
    assert (line["event"], line["logger"], line["request_id"]) == (
        "connection 7 was lost",
        "websockets.server",
        "r-1",
    )


def test_an_exception_stays_within_its_line() -> None:
    stream = configured(log_format="json")
    try:
        raise ValueError("no")  # noqa: TRY301
    except ValueError:
        structlog.get_logger("server").exception("failed")
    (line,) = lines(stream)
    assert str(line["exception"]).endswith("ValueError: no")


def test_a_file_gets_json_unless_it_is_told_otherwise() -> None:
    stream = configured()
    structlog.get_logger().info("ready", place=Path("here"))
    [line] = lines(stream)
    assert (line["event"], line["logger"], line["place"]) == ("ready", "tunegraph", "here")


def test_a_terminal_gets_lines_for_people() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    logs.configure(Settings(), stream=stream)
    structlog.get_logger().info("ready")
    assert "ready" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_less_than_the_level_is_not_logged() -> None:
    stream = configured(log_format="json", log_level="warning")
    structlog.get_logger("server").info("no")
    structlog.get_logger("server").warning("yes")
    assert [line["event"] for line in lines(stream)] == ["yes"]


def test_the_console_is_for_people_and_has_no_colours_in_a_file() -> None:
    stream = configured(log_format="console")
    structlog.get_logger("server.reconciler.poller").info("job moved", job="job_1")
    assert "job moved" in stream.getvalue()
    assert "job=job_1" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_no_password_of_an_address_is_logged(log_format: str) -> None:
    stream = configured(log_format=log_format)
    address = "postgresql+asyncpg://someone:hunter2@db:5432/tunegraph"
    structlog.get_logger("server").warning("lost", url=address)
    logging.getLogger("asyncpg").error("can't connect to %s", address)
    try:
        raise OSError(address)  # noqa: TRY301
    except OSError:
        structlog.get_logger("server").exception("failed")
    assert "hunter2" not in stream.getvalue()
    assert stream.getvalue().count("someone:***@db:5432") >= 3


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("postgres://a:p%40ss@h/d", "postgres://a:***@h/d"),
        ("postgres://:p@h/d", "postgres://:***@h/d"),
        ("postgres://a:with@sign@h/d", "postgres://a:***@h/d"),
        ("postgres://h/d?password=p&sslmode=require", "postgres://h/d?password=***&sslmode=require"),
        ("http://127.0.0.1:8000/graphql", "http://127.0.0.1:8000/graphql"),
        ("postgres://a@h:5432/d", "postgres://a@h:5432/d"),
    ],
)
def test_mask_takes_out_the_password_and_nothing_else(text: str, masked: str) -> None:
    assert logs.mask(text) == masked
