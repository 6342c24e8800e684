"""The training processes: started when a slot is free, signalled only while they are certainly alive, and reaped."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Final

import psutil

from server.trainers.local.run import SLOTS, Run, is_held, queued, wait_until_free

CHECKOUT: Final = Path(__file__).parents[3]
PASSED_VARIABLES: Final = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "SYSTEMROOT"),
    # which GPUs, and where the base models are; a token for the hub is in a file that it keeps itself
    *("CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE"),
)
SET_VARIABLES: Final = {
    "PYTHONPATH": str(CHECKOUT),
    "PYTHONUNBUFFERED": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
EXIT_NO_SLOT: Final = 75  # EX_TEMPFAIL: the child found no slot, or another child of the run, and did nothing
CLOCK_STEP_SECONDS: Final = 5.0  # the time of creation that the system tells moves when its clock is set
ENDING_SECONDS: Final = 1.0
THREAD_VARIABLES: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Children:
    """At most `slots` of them train at once, over all processes that use the folder: each holds the lock of a slot."""

    def __init__(self, runs: Path, slots: int) -> None:
        self._runs = runs
        self._slots = slots
        self._started: dict[str, subprocess.Popen[bytes]] = {}
        self._exits: dict[str, int] = {}  # of runs that were not given their end since
        self._awaited_exits: set[str] = set()
        self._reaping = threading.Lock()  # calls come from several threads
        self._launching = threading.Lock()
        self._listeners: list[Callable[[str], None]] = []

    def subscribe(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Call `listener` with the job's id when a child is started and when it has exited, from any thread."""
        self._listeners.append(listener)
        return partial(self._listeners.remove, listener)

    def start_queued(self) -> None:
        """Start as many of the queued runs as there are free slots, the longest waiting first. Raises `OSError`."""
        with self._launching:
            free = self._free_slots()
            if free <= 0:
                return  # before the line is read, which may be long
            waiting = [run for run in queued(self._runs) if run.job_id not in self._started]
            started = [run for run in waiting[:free] if run.cancel_age(0.0) is None and run.job_id not in self._exits]
            for run in started:
                self._start(run)
        for run in started:
            self._notify(run.job_id)

    def _free_slots(self) -> int:
        self._reap()
        taken = sum(is_held(self._runs / SLOTS / str(slot)) for slot in range(self._slots))
        coming = sum(not Run(self._runs / job_id).was_started() for job_id in list(self._started))
        return self._slots - taken - coming

    def exit_status(self, run: Run, *, ending: bool) -> int | None:
        """How the run's child ended: its exit status, or minus the number of a signal.

        None while it runs, and when another process started it. `ending`: it has let go of its lock, so it is waited
        for a moment.
        """
        if ending and (child := self._started.get(run.job_id)) is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(ENDING_SECONDS)
        self._reap()
        return self._exits.get(run.job_id)

    def is_coming(self, run: Run) -> bool:
        """Whether this process has started the run's child."""
        return run.job_id in self._started

    def forget(self, run: Run) -> None:
        """The run has its end: how its child exited is of no use any more."""
        self._reap()
        self._exits.pop(run.job_id, None)

    def signal(self, run: Run, number: signal.Signals) -> None:
        """Signal the run's child, if it is alive: the process that holds the lock is the one it names, and as old."""
        if (holder := run.holder()) is None:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            child = psutil.Process(holder.pid)
            if abs(child.create_time() - holder.created) < CLOCK_STEP_SECONDS and is_held(run.lock):
                child.send_signal(number)

    def _start(self, run: Run) -> None:
        environment = {name: os.environ[name] for name in PASSED_VARIABLES if name in os.environ}
        environment |= dict.fromkeys(THREAD_VARIABLES, "1") | SET_VARIABLES
        command = [sys.executable, "-m", "server.trainers.local.train", str(run.folder), str(self._slots)]
        with run.log.open("ab") as log:
            child = subprocess.Popen(  # noqa: S603  (our own program; the folder's name is an id)
                command,
                cwd=CHECKOUT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # it goes on when the terminal or the server ends
            )
        self._started[run.job_id] = child
        self._await(run.job_id, child.wait)

    def await_exit(self, run: Run) -> None:
        """Have the end of a child noticed that another process has started: the kernel drops its lock."""
        if run.job_id not in self._started and run.job_id not in self._awaited_exits:
            self._await(run.job_id, partial(wait_until_free, run.lock))

    def _await(self, job_id: str, exited: Callable[[], object]) -> None:
        """Start what is next in line and tell who listens, once `exited` returns."""
        self._awaited_exits.add(job_id)

        def work() -> None:
            with contextlib.suppress(OSError):  # the folder is gone
                exited()
                self._awaited_exits.discard(job_id)
                self.start_queued()
                self._notify(job_id)

        Thread(target=work, name=f"child of {job_id}", daemon=True).start()

    def _notify(self, job_id: str) -> None:
        for listener in list(self._listeners):
            with contextlib.suppress(RuntimeError):  # the loop is closed: the program ends
                listener(job_id)

    def _reap(self) -> None:
        with self._reaping:
            for job_id, child in list(self._started.items()):
                if (status := child.poll()) is not None:
                    del self._started[job_id]
                    if status != EXIT_NO_SLOT:
                        self._exits[job_id] = status
