"""The processes that train: children of a server, which outlive it."""

import asyncio
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from server.trainers.local.run import Run, is_held

GONE_WITHIN = 15.0


@dataclass(frozen=True, slots=True)
class Training:
    """A process that trains."""

    run: Run
    pid: int

    def is_running(self) -> bool:
        """It lives, and does what the run's lock stands for."""
        return is_held(self.run.lock) and psutil.pid_exists(self.pid)

    def is_gone(self) -> bool:
        """It has let go of its run, and nothing of it is left but perhaps its exit status."""
        if is_held(self.run.lock):
            return False
        with suppress(psutil.NoSuchProcess):
            return bool(psutil.Process(self.pid).status() == psutil.STATUS_ZOMBIE)
        return True


def of_job(data_dir: Path, job_id: str) -> Training | None:
    """The process that trains a job now."""
    run = Run(data_dir / "runs" / job_id)
    return Training(run, int(run.lock.read_text())) if is_held(run.lock) else None


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
