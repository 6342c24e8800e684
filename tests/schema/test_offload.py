"""Work beside the event loop: in two threads, in line, with an end to the line."""

import asyncio
import gc
import threading

import pytest

from schema import offload as lanes_module
from schema.offload import Offload, Overloaded, collecting


async def in_line(offload: Offload, count: int, work: threading.Event, *, quick: bool) -> list[asyncio.Task[bool]]:
    """So many calls that wait for an event, the first of them at work."""
    calls = [asyncio.create_task(offload.run(work.wait, 10.0, quick=quick)) for _ in range(count)]
    await asyncio.sleep(0)  # they join the line
    return calls


async def test_each_lane_does_one_thing_at_a_time_beside_the_loop() -> None:
    offload, threads, at_once, most = Offload(), set[int](), 0, 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        threads.add(threading.get_ident())
        with lock:
            at_once -= 1

    await asyncio.gather(*(offload.run(work, quick=True) for _ in range(20)))
    assert most == 1
    assert threading.get_ident() not in threads


async def test_what_is_quick_does_not_wait_for_what_is_slow() -> None:
    offload, work = Offload(), threading.Event()
    slow = await in_line(offload, 3, work, quick=False)
    assert await offload.run(len, "four", quick=True) == 4
    assert not any(call.done() for call in slow)
    work.set()
    assert await asyncio.gather(*slow) == [True] * 3


async def test_there_is_an_end_to_the_line_and_who_leaves_it_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes_module, "MOST_WAITING", 3)
    offload, work = Offload(), threading.Event()
    calls = await in_line(offload, 3, work, quick=False)
    with pytest.raises(Overloaded):
        await offload.run(len, "", quick=False)
    calls[2].cancel()
    await asyncio.wait({calls[2]})
    following = asyncio.create_task(offload.run(len, "four", quick=False))
    work.set()
    assert await following == 4
    assert await asyncio.gather(*calls[:2]) == [True, True]


async def test_who_waits_too_long_is_told_that_the_server_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    offload, work = Offload(), threading.Event()
    [held] = await in_line(offload, 1, work, quick=False)
    monkeypatch.setattr(lanes_module, "LONGEST_SECONDS", 0.01)
    with pytest.raises(Overloaded):
        await offload.run(len, "", quick=False)
    work.set()
    assert await held


async def test_what_a_call_raises_is_raised_to_its_caller() -> None:
    offload = Offload()
    with pytest.raises(ZeroDivisionError):
        await offload.run(divmod, 1, 0, quick=True)
    assert await offload.run(len, "four", quick=True) == 4


class _Knot:
    """Refers to itself."""

    def __init__(self) -> None:
        self.itself = self


async def test_cycles_that_work_leaves_are_gone_with_its_result() -> None:
    def work(count: int) -> int:
        return len([_Knot() for _ in range(count)])

    gc.collect()
    gc.disable()
    try:
        assert await Offload().run(collecting(work), 10_000, quick=False) == 10_000
        assert not any(isinstance(one, _Knot) for one in gc.get_objects())
    finally:
        gc.enable()
