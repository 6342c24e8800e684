"""Which cores a process runs on, and how much of them it has used."""

import os
import platform
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress

import psutil

CPU_CLOCK_OF_A_PROCESS = 2  # CPUCLOCK_SCHED


def cpu_seconds(process: psutil.Process) -> float:
    """User and system time of a process and all below it, those that have ended included."""
    own = process.cpu_times()
    total: float = own.user + own.system + own.children_user + own.children_system
    for child in process.children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it has ended just now, and counts among its parent's
            times = child.cpu_times()
            total += times.user + times.system
    return total


def precise_cpu_seconds(pid: int) -> float:
    """User and system time of one process, to the nanosecond on Linux.

    The clock of another process is named by the complement of its id, as clock_getcpuclockid(3) does it.
    """
    if platform.system() == "Linux":
        return time.clock_gettime((~pid << 3) | CPU_CLOCK_OF_A_PROCESS)
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def own_memory_bytes(pid: int) -> int:
    """The memory that a process shares with no other."""
    return int(psutil.Process(pid).memory_full_info().uss)


def cores() -> list[int]:
    """Those that this process may use; none where the system does not let processes choose."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def server_cores() -> list[int]:
    """The core of servers: none when there is no other for those who ask."""
    mine = cores()
    return mine[:1] if len(mine) > 1 else []


def load_cores() -> list[int]:
    """The cores of those who ask."""
    return cores()[1:]


@contextmanager
def pinned(chosen: Collection[int]) -> Iterator[None]:
    """Stay on some cores, and start processes there; no cores mean all."""
    if not chosen:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, chosen)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
