"""What the program says about itself: one structured line an event, its own and its libraries' alike."""

import logging
import re
import sys
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from server.settings import Settings

SECRETS = (
    (re.compile(r"(\w://[^\s:/@]*):[^\s/]+@"), r"\1:***@"),
    (re.compile(r"([?&]password=)[^&\s\"']+"), r"\1***"),
)
TALKATIVE = ("alembic", "asyncio", "httpcore", "httpx", "mlflow", "sqlalchemy", "uvicorn", "websockets")


class _Logger(structlog.WriteLogger):
    """Writes lines to a stream, under the name that it was asked for."""

    def __init__(self, to: TextIO, name: str = "tunegraph") -> None:
        super().__init__(to)
        self.name = name


def configure(settings: Settings, *, stream: TextIO | None = None) -> None:
    """Set logging up for the whole process, once, by the program; libraries never do.

    `stream` is standard error when none is given: standard output belongs to what a command answers. Our own lines do
    not pass through the standard library's logging: each request has one, and that way it would cost as much as a read.
    """
    to = stream or sys.stderr
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    rendering = [*_rendering(settings, to), _masked]
    structlog.configure(
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *names: _Logger(to, *names),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(to)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(level if level < logging.INFO else max(level, logging.WARNING))
    logging.captureWarnings(capture=True)


def mask(text: str) -> str:
    """The text without the passwords of the addresses in it."""
    for secret, replacement in SECRETS:
        text = secret.sub(replacement, text)
    return text


def _masked(_logger: WrappedLogger, _method: str, line: EventDict | str) -> str:
    return mask(str(line))


def _rendering(settings: Settings, to: TextIO) -> list[Processor]:
    if settings.log_format == "json" or (settings.log_format == "auto" and not to.isatty()):
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
    return [
        structlog.dev.ConsoleRenderer(colors=to.isatty(), exception_formatter=structlog.dev.plain_traceback),
    ]
