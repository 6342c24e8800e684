"""Work that has to go on is started again when it ends."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from server import supervision
from server.supervision import Supervised

DEADLINE = 10.0


class Work:
    """Does what it is told at each start, and then goes on for ever."""

    def __init__(self, *ends: Callable[[], Awaitable[None]]) -> None:
        self._ends = list(ends)
        self.goes_on = asyncio.Event()

    async def __call__(self) -> None:
        if self._ends:
            await self._ends.pop(0)()
            return
        self.goes_on.set()
        await asyncio.Event().wait()


async def fail() -> None:
    raise ZeroDivisionError("secret")


async def fail_in_a_group() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(fail())


async def return_early() -> None:
    return


async def be_cancelled_inside() -> None:
    raise asyncio.CancelledError


@asynccontextmanager
async def running(supervised: Supervised) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(supervised.run())
    try:
        async with asyncio.timeout(DEADLINE):
            yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "FIRST_RETRY_SECONDS", 0.001)


@pytest.mark.parametrize(
    ("end", "kind"),
    [
        (fail, "ZeroDivisionError"),
        (fail_in_a_group, "ZeroDivisionError"),
        (return_early, "it returned"),
        (be_cancelled_inside, "CancelledError"),
    ],
)
async def test_work_that_ends_is_started_again(quick: None, end: Callable[[], Awaitable[None]], kind: str) -> None:
    work = Work(end, end)
    supervised = Supervised("poller", work)
    with capture_logs() as logs:
        async with running(supervised):
            await work.goes_on.wait()
    reason = supervised.what_is_wrong()
    assert reason == f"the poller ended unforeseen ({kind}) and is started again"
    assert [(line["part"], line["failures"], line["log_level"]) for line in logs] == [
        ("poller", 1, "error"),
        ("poller", 2, "error"),
    ]


async def test_work_is_well_again_once_it_has_gone_on_for_a_while(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "STEADY_SECONDS", 0.05)
    work = Work(fail)
    supervised = Supervised("poller", work)
    assert supervised.what_is_wrong() is None
    with capture_logs():
        async with running(supervised):
            await work.goes_on.wait()
            assert supervised.what_is_wrong() is not None
            while supervised.what_is_wrong() is not None:  # noqa: ASYNC110  (a clock sets no event)
                await asyncio.sleep(0.01)


async def test_a_stop_ends_work_that_heeds_it_and_a_pause() -> None:
    stop = asyncio.Event()

    async def heed() -> None:
        await stop.wait()

    with capture_logs() as logs:
        async with running(Supervised("poller", heed, stop)) as task:
            await asyncio.sleep(0)
            stop.set()
            await task
    assert logs == []
    stop.clear()
    supervised = Supervised("poller", fail, stop)
    with capture_logs():
        async with running(supervised) as task:
            while supervised.what_is_wrong() is None:  # noqa: ASYNC110  (nobody is told)
                await asyncio.sleep(0)
            stop.set()
            await task


async def test_who_cancels_it_ends_it() -> None:
    work = Work()
    async with running(Supervised("bus", work)) as task:
        await work.goes_on.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
