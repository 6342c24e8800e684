"""The processes that train: children of a server, which outlive it."""

import asyncio
import fcntl
import os
import re
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

GONE_WITHIN = 15.0


@dataclass(frozen=True, slots=True)
class Training:
    """A process that trains. As long as it lives it holds the lock of its run, which has its pid in it."""

    lock: Path
    pid: int

    def is_running(self) -> bool:
        return is_held(self.lock) and psutil.pid_exists(self.pid)

    def is_gone(self) -> bool:
        """It has let go of its run, and nothing of it is left but perhaps its exit status."""
        if is_held(self.lock):
            return False
        with suppress(psutil.NoSuchProcess):
            return bool(psutil.Process(self.pid).status() == psutil.STATUS_ZOMBIE)
        return True


def is_held(lock: Path) -> bool:
    """Whether some process holds a lock; looking takes it for a moment."""
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def of_job(data_dir: Path, job_id: str) -> Training | None:
    """The process that trains a job now."""
    lock = data_dir / "runs" / job_id / "run.lock"
    pid = re.search(r"\d+", lock.read_text()) if is_held(lock) else None
    return Training(lock, int(pid[0])) if pid else None


async def gone(training: Training) -> None:
    """Wait until a process has ended."""
    async with asyncio.timeout(GONE_WITHIN):
        while not training.is_gone():  # noqa: ASYNC110  (another process's end)
            await asyncio.sleep(0.02)


def end_all(data_dir: Path) -> None:
    """End what a test has left behind."""
    for folder in data_dir.glob("runs/job_*"):
        if training := of_job(data_dir, folder.name):
            with suppress(ProcessLookupError):
                os.kill(training.pid, signal.SIGKILL)
