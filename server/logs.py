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


def configure(settings: Settings, *, stream: TextIO | None = None) -> None:
    """Set logging up for the whole process, once, by the program; libraries never do.

    `stream` is standard error when none is given: standard output belongs to what a command answers.
    """
    to = stream or sys.stderr
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(to)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(settings, to), _masked],
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
    for secret, shown in SECRETS:
        text = secret.sub(shown, text)
    return text


def _masked(_logger: WrappedLogger, _method: str, line: EventDict | str) -> str:
    return mask(str(line))


def _rendering(settings: Settings, to: TextIO) -> list[Processor]:
    if settings.log_format == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
    return [
        structlog.dev.ConsoleRenderer(colors=to.isatty(), exception_formatter=structlog.dev.plain_traceback),
    ]
