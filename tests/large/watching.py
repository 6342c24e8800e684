"""What is seen of processes from outside: how long the loop of a server paused, how much memory each takes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import psutil

BETWEEN_LOOKS = 0.02  # seconds


class Pause(NamedTuple):
    """A pause of the event loop, in seconds, and for how many of them its process was at work."""

    seconds: float
    work: float


def longest_pause(file: Path, began: float, ended: float) -> Pause:
    """The longest pause of those that overlap a stretch of monotonic time."""
    lines = (map(float, line.split()) for line in file.read_text().splitlines())
    overlapping = (Pause(seconds, work) for at, seconds, work in lines if at <= ended and at + seconds >= began)
    return max(overlapping, default=Pause(0.0, 0.0))


class Memory:
    """The most memory that a process was seen to hold, in bytes; `restart` begins anew."""

    def __init__(self, pid: int) -> None:
        self.peak = 0
        self._process = psutil.Process(pid)
        self._ended = threading.Event()

    def restart(self) -> None:
        self.peak = 0
        self.look()

    def look(self) -> None:
        with suppress(psutil.NoSuchProcess):
            self.peak = max(self.peak, self._process.memory_info().rss)

    def until_told(self) -> None:
        while not self._ended.wait(BETWEEN_LOOKS):
            self.look()

    def end(self) -> None:
        self._ended.set()


@contextmanager
def memory(pid: int) -> Iterator[Memory]:
    """Watches a process for the length of the context."""
    it = Memory(pid)
    thread = threading.Thread(target=it.until_told, name=f"memory of {pid}")
    thread.start()
    try:
        yield it
    finally:
        it.end()
        thread.join()
