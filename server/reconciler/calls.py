"""Calls to outside services: each ends in time, and whatever goes wrong is `Unavailable`."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import structlog

from server.domain.errors import Refused, Unavailable

Answer = TypeVar("Answer")

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


async def answer(call: Awaitable[Answer], *, of: str, within: float) -> Answer:
    """What `call` answers within so many seconds; `of` names the other side in messages.

    Lets `Refused` through. An answer that the adapter could not make sense of is a state of the other side as well,
    and says nothing about the job.
    """
    try:
        async with asyncio.timeout(within):
            return await call
    except (Refused, Unavailable):
        raise
    except TimeoutError as error:
        raise Unavailable(f"{of} did not answer within {within:g} seconds") from error
    except Exception as error:
        log.exception("an adapter failed", of=of)
        raise Unavailable(f"{of} could not be understood ({type(error).__name__})") from error


def brief(error: BaseException) -> str:
    """An error in one line, as logs and events tell it: without the statements and values that some bring along."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:500]
