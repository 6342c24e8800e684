"""Calling blocking libraries from the event loop: bounded in threads, and in the time that a caller waits."""

import asyncio
import contextvars
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from threading import Thread
from typing import TypeVar, TypeVarTuple

from server.domain.errors import Unavailable

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")


class Threads:
    """At most `limit` calls at once. Each adapter owns one, so that a library that hangs only holds up itself.

    A thread can't be killed: when its caller stops waiting it goes on, and its slot stays taken until it ends. (A
    limiter that is left with the waiting coroutine would start ever more threads on a library that hangs.) Threads are
    daemons, so a call that hangs does not keep the program from ending: what they do has to survive that.
    """

    def __init__(self, limit: int, name: str = "thread") -> None:
        self._slots = asyncio.Semaphore(limit)
        self._name = name

    async def call(self, function: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result:
        """Call a function of our own, which ends by itself, in a thread; what it raises is raised here.

        Stands for `asyncio.to_thread`, whose threads the whole process shares.
        """
        await self._slots.acquire()
        return await self._start(partial(contextvars.copy_context().run, function, *arguments), self._name)

    async def run(
        self, function: Callable[[*Arguments], Result], *arguments: *Arguments, timeout_seconds: float, name: str
    ) -> Result:
        """Call `function` in a thread, with this context's variables; what it raises is raised here.

        Raises `Unavailable`, in the name of `name`, when there is no answer within that many seconds. The wait for a
        slot counts, and a call that got none in time is never made.
        """
        deadline = asyncio.timeout(timeout_seconds)
        try:
            async with deadline:
                await self._slots.acquire()
                return await self._start(partial(contextvars.copy_context().run, function, *arguments), name)
        except TimeoutError as error:
            if not deadline.expired():
                raise  # the function's own
            raise Unavailable(f"{name} did not answer within {timeout_seconds:g} seconds") from error

    def _start(self, call: Callable[[], Result], name: str) -> asyncio.Future[Result]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()

        def settle(outcome: Callable[[], None]) -> None:
            self._slots.release()
            if not future.done():  # it is when nobody waits any longer
                outcome()

        def work() -> None:
            try:
                outcome = partial(future.set_result, call())
            except BaseException as error:  # noqa: BLE001  (whatever it is, it belongs to the caller)
                outcome = partial(future.set_exception, error)
            with suppress(RuntimeError):  # the loop is closed: the program has ended before the call
                loop.call_soon_threadsafe(settle, outcome)

        try:
            Thread(target=work, name=name, daemon=True).start()
        except BaseException:
            self._slots.release()
            raise
        return future


@contextmanager
def heavy_import() -> Iterator[None]:
    """For importing a large library in a thread: what it brings is kept out of the cycle collector's way, for good.

    A full collection stops every thread, the event loop too, while it visits all objects. MLflow brings some 300,000:
    importing it stopped the loop five times for up to 0.2 s, and so would each full collection from then on. (Garbage
    cycles of this moment are never freed: once, and a few hundred kilobytes at most.)
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()
