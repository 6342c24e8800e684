"""Calls to outside services: each ends in time, and whatever goes wrong is `Unavailable`."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import structlog

from server.domain.errors import Refused, Unavailable

Result = TypeVar("Result")

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


async def call_with_timeout(call: Awaitable[Result], *, name: str, timeout_seconds: float) -> Result:
    """The result of `call`; `name` is the other side's in messages.

    Lets `Refused` through. A reply that the adapter could not make sense of is a state of the other side as well, and
    says nothing about the job. Raises `Unavailable` for it, and when time runs out.
    """
    try:
        async with asyncio.timeout(timeout_seconds):
            return await call
    except (Refused, Unavailable):
        raise
    except TimeoutError as error:
        raise Unavailable(f"{name} did not answer within {timeout_seconds:g} seconds") from error
    except Exception as error:
        log.exception("an adapter failed", name=name)
        raise Unavailable(f"{name} could not be understood ({type(error).__name__})") from error


def brief(error: BaseException) -> str:
    """An error in one line, as logs and events tell it: without the statements and values that some bring along."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:500]
