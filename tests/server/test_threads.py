import asyncio
import contextvars
import gc
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from server.domain.errors import Unavailable
from server.threads import Threads, heavy_import

SHORT = 0.05
AMPLE = 10.0


@pytest.fixture
async def release() -> AsyncIterator[threading.Event]:
    """Lets the threads that a test has hung go on, at the latest when it ends."""
    event = threading.Event()
    yield event
    event.set()


async def test_answers_with_the_result_and_raises_what_the_function_raised() -> None:
    threads = Threads(2)

    def divide(dividend: int, divisor: int) -> float:
        return dividend / divisor

    assert await threads.run(divide, 6, 4, timeout_seconds=AMPLE, name="arithmetic") == 1.5
    with pytest.raises(ZeroDivisionError):
        await threads.run(divide, 1, 0, timeout_seconds=AMPLE, name="arithmetic")


async def test_runs_in_a_named_daemon_thread_with_the_callers_context() -> None:
    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("the caller's")
    thread, value = await Threads(1).run(
        lambda: (threading.current_thread(), variable.get()), timeout_seconds=AMPLE, name="MLflow"
    )
    assert thread is not threading.main_thread()
    assert (thread.name, thread.daemon, value) == ("MLflow", True, "the caller's")


async def test_the_event_loop_runs_on_meanwhile(release: threading.Event) -> None:
    call = asyncio.create_task(Threads(1).run(release.wait, AMPLE, timeout_seconds=AMPLE, name="slow"))
    for _ in range(100):
        await asyncio.sleep(0)
    assert not call.done()
    release.set()
    assert await call is True


async def test_a_call_that_hangs_is_unavailable_in_time(release: threading.Event) -> None:
    began = time.monotonic()
    with pytest.raises(Unavailable, match=r"^MLflow did not answer within 0\.05 seconds$"):
        await Threads(1).run(release.wait, timeout_seconds=SHORT, name="MLflow")
    assert time.monotonic() - began < 2


async def test_a_timeout_of_the_function_itself_is_not_mistaken_for_ours() -> None:
    def fail() -> None:
        raise TimeoutError("the socket's")

    with pytest.raises(TimeoutError, match="the socket's"):
        await Threads(1).run(fail, timeout_seconds=AMPLE, name="socket")


async def test_a_hung_call_keeps_its_slot_until_its_thread_ends(release: threading.Event) -> None:
    threads = Threads(1)
    with pytest.raises(Unavailable):
        await threads.run(release.wait, timeout_seconds=SHORT, name="hung")

    calls: list[str] = []
    with pytest.raises(Unavailable):
        await threads.run(calls.append, "no slot", timeout_seconds=SHORT, name="second")
    release.set()
    await threads.run(calls.append, "slot", timeout_seconds=AMPLE, name="third")
    assert calls == ["slot"]


async def test_a_cancelled_caller_leaves_the_slot_with_the_thread(release: threading.Event) -> None:
    threads = Threads(1)
    started = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hang() -> None:
        loop.call_soon_threadsafe(started.set)
        release.wait()

    call = asyncio.create_task(threads.run(hang, timeout_seconds=AMPLE, name="hung"))
    await started.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    with pytest.raises(Unavailable):
        await threads.run(int, timeout_seconds=SHORT, name="second")
    release.set()
    assert await threads.run(int, timeout_seconds=AMPLE, name="third") == 0


async def test_never_more_threads_than_the_limit(release: threading.Event) -> None:
    threads = Threads(3)
    running: list[int] = []
    most: list[int] = []
    lock = threading.Lock()
    full = threading.Event()

    def work() -> None:
        with lock:
            running.append(1)
            most.append(len(running))
            if len(running) == 3:
                full.set()
        full.wait(AMPLE)
        with lock:
            running.pop()

    await asyncio.gather(*(threads.run(work, timeout_seconds=AMPLE, name="work") for _ in range(12)))
    assert max(most) == 3


async def test_an_error_that_comes_too_late_is_dropped_in_silence(release: threading.Event) -> None:
    threads = Threads(1)
    complaints: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))

    def fail_late() -> None:
        release.wait()
        raise OSError("late")

    with pytest.raises(Unavailable):
        await threads.run(fail_late, timeout_seconds=SHORT, name="late")
    release.set()
    await threads.run(int, timeout_seconds=AMPLE, name="after")  # has the slot only once the late call has ended
    gc.collect()
    assert complaints == []


async def test_a_thread_that_can_not_start_gives_its_slot_back(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = Threads(1)

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            await threads.run(int, timeout_seconds=AMPLE, name="none")
    assert await threads.run(int, timeout_seconds=AMPLE, name="next") == 0


def test_a_hung_call_does_not_keep_the_program_from_ending() -> None:
    program = """
import asyncio, threading
from server.domain.errors import Unavailable
from server.threads import Threads, heavy_import
async def main():
    try:
        await Threads(1).run(threading.Event().wait, timeout_seconds=0.05, name="hung")
    except Unavailable as error:
        print(error)
asyncio.run(main())
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "hung did not answer within 0.05 seconds\n", "")


@pytest.fixture
def thaw() -> Iterator[None]:
    """Undoes what `heavy_import` does for good."""
    yield
    gc.unfreeze()


def test_a_heavy_import_keeps_the_collector_still_and_what_came_out_of_its_way(thaw: None) -> None:
    frozen = gc.get_freeze_count()
    with heavy_import():
        assert not gc.isenabled()
        brought: list[list[int]] = [[] for _ in range(5_000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() - frozen >= len(brought)


def test_a_heavy_import_that_fails_lets_the_collector_go_on(thaw: None) -> None:
    frozen = gc.get_freeze_count()
    with pytest.raises(ImportError), heavy_import():
        raise ImportError
    assert gc.isenabled()
    assert gc.get_freeze_count() == frozen


def test_a_collector_that_was_switched_off_stays_off() -> None:
    gc.disable()
    try:
        with heavy_import():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()


async def test_a_call_of_our_own_has_a_thread_of_these_and_no_limit_of_time(release: threading.Event) -> None:
    threads = Threads(1, "split")
    first = asyncio.create_task(threads.call(release.wait, AMPLE))
    second = asyncio.create_task(threads.call(threading.current_thread))
    await asyncio.sleep(0)
    assert not first.done()
    release.set()
    assert await first is True
    assert (await second).name == "split"
    with pytest.raises(ZeroDivisionError):
        await threads.call(lambda: 1 / 0)
