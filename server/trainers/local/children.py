"""The training processes: started when a slot is free, signalled only while they are certainly alive, and reaped."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

import psutil

from server.trainers.local.run import SLOTS, Run, is_held, queued

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
THREAD_VARIABLES: Final = ("OMP_NUM_THREAD_VARIABLES", "OPENBLAS_NUM_THREAD_VARIABLES", "MKL_NUM_THREAD_VARIABLES")


class Children:
    """At most `slots` of them train at once, over all processes that use the folder: each holds the lock of a slot."""

    def __init__(self, runs: Path, slots: int) -> None:
        self._runs = runs
        self._slots = slots
        self._started: dict[str, subprocess.Popen[bytes]] = {}
        self._exits: dict[str, int] = {}
        self._reaping = threading.Lock()  # calls come from several threads

    def start_queued(self) -> None:
        """Start as many of the queued runs as there are free slots, the longest waiting first. Raises `OSError`."""
        self._reap()
        waiting = [run for run in queued(self._runs) if run.job_id not in self._started]
        if not waiting:
            return
        taken = sum(is_held(self._runs / SLOTS / str(slot)) for slot in range(self._slots))
        starting = sum(not Run(self._runs / job_id).was_started() for job_id in self._started)
        for run in waiting[: max(0, self._slots - taken - starting)]:
            if run.cancel_age(0.0) is None and run.job_id not in self._exits:
                self._start(run)

    def exit_status(self, run: Run) -> int | None:
        """How the run's child ended: its exit status, or minus the number of a signal.

        None while it runs, and when another process started it.
        """
        self._reap()
        return self._exits.get(run.job_id)

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
            self._started[run.job_id] = subprocess.Popen(  # noqa: S603  (our own program; the folder's name is an id)
                command,
                cwd=CHECKOUT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # it goes on when the terminal or the server ends
            )

    def _reap(self) -> None:
        with self._reaping:
            for job_id, child in list(self._started.items()):
                if (status := child.poll()) is not None:
                    del self._started[job_id]
                    if status != EXIT_NO_SLOT:
                        self._exits[job_id] = status
