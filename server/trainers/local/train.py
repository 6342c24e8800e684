"""The training process: `python -m server.trainers.local.train RUN_FOLDER SLOTS`. It needs nothing of the server."""

import errno
import json
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import psutil

from server.domain.metrics import MetricPoint
from server.domain.status import RunState
from server.trainers.bundle.progress import Progress
from server.trainers.local import configuration, language_model_run
from server.trainers.local.children import EXIT_NO_SLOT
from server.trainers.local.run import SLOTS, Holder, Result, Run, held

LOCK_ATTEMPTS = 20
LOCK_RETRY_SECONDS = 0.05  # one who only asks whether a lock is held, holds it for a moment
TRAINED_PERCENT = 98  # the rest is writing the model


def main(arguments: list[str]) -> int:
    """Train one run to its end, and write how it ended to result.json. The exit status.

    It is 0, or EXIT_NO_SLOT when nothing was done.
    """
    run, slots = Run(Path(arguments[0])), int(arguments[1])
    with _locked(run.lock) as lock:
        if lock is None:
            return EXIT_NO_SLOT
        with _named(lock), _slot(run.folder.parent / SLOTS, slots) as has_slot:
            # another server may have started a child for the same run: whoever comes second leaves it as it is
            if not has_slot or run.was_started() or run.result() is not None:
                return EXIT_NO_SLOT
            stop = _Stop(run)
            signal.signal(signal.SIGTERM, lambda *_: stop.now())
            run.mark_started()
            run.end(_outcome(run, stop, slots))
    return 0


class _Stop:
    """Whether the training is to end: a signal has arrived, or the run's `cancel` file is there."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._is_requested = False

    def now(self) -> None:
        self._is_requested = True

    def __call__(self) -> bool:
        self._is_requested = self._is_requested or self._run.cancel_age(0.0) is not None
        return self._is_requested


@contextmanager
def _locked(path: Path) -> Iterator[IO[str] | None]:
    for _ in range(LOCK_ATTEMPTS):
        with held(path) as file:
            if file is not None:
                yield file
                return
        time.sleep(LOCK_RETRY_SECONDS)
    yield None


@contextmanager
def _named(lock: IO[str]) -> Iterator[None]:
    """The lock says for the length of the context which process holds it."""
    lock.truncate(0)
    json.dump(asdict(Holder(os.getpid(), psutil.Process().create_time())), lock)
    lock.flush()
    yield
    lock.truncate(0)


@contextmanager
def _slot(folder: Path, slots: int) -> Iterator[bool]:
    """One of the slots for the length of the context; False when none is free."""
    folder.mkdir(mode=0o700, exist_ok=True)
    for number in range(slots):
        with held(folder / str(number)) as file:
            if file is not None:
                yield True
                return
    yield False


def _outcome(run: Run, stop: Callable[[], bool], slots: int) -> Result:
    try:
        if run.request()["base_model"] in configuration.SIZES:
            return _train(run, stop)
        return language_model_run.outcome(run, stop, slots)
    except MemoryError:
        return Result(RunState.FAILED, "OUT_OF_MEMORY", "the machine has too little memory for this training")
    except ArithmeticError as error:
        return Result(RunState.FAILED, "DIVERGED", str(error))
    except OSError as error:
        traceback.print_exc()
        code = "DISK_FULL" if error.errno == errno.ENOSPC else "TRAINING_ERROR"
        return Result(RunState.FAILED, code, f"{error.strerror or error}")
    except Exception as error:  # noqa: BLE001  (whatever it is, the job has to learn of it)
        traceback.print_exc()
        return Result(RunState.FAILED, "TRAINING_ERROR", f"{type(error).__name__}: {error}")


def _train(run: Run, stop: Callable[[], bool]) -> Result:
    from server.trainers.local import retriever  # noqa: PLC0415  (scikit-learn takes seconds: first the slot)

    request = run.request()
    config, size = request["config"], configuration.SIZES[request["base_model"]]
    epochs, began = configuration.whole(config, "epochs"), time.monotonic()
    training = retriever.Training(
        retriever.read(Path(request["train_file"])),
        retriever.read(Path(request["validation_file"])),
        retriever.Configuration(
            dimensions=size.dimensions,
            characters=size.characters,
            epochs=epochs,
            learning_rate=configuration.value(config, "learning_rate"),
            batch_size=configuration.whole(config, "batch_size"),
            warmup_steps=configuration.whole(config, "warmup_steps"),
            weight_decay=configuration.value(config, "weight_decay"),
            max_seq_length=configuration.whole(config, "max_seq_length"),
            seed=request["seed"],
        ),
    )

    def tell(measured: retriever.Epoch | None, done: float) -> None:
        percent = int(TRAINED_PERCENT * done / epochs)
        progress = Progress(int(done), epochs, percent, training.tokens, time.monotonic() - began)
        now = datetime.now(UTC)
        run.tell(progress, None if measured is None else MetricPoint(measured.step, now, measured.values))

    tell(training.measure(), 0)
    for epoch in range(epochs):
        measured = training.epoch(stop)
        if measured is None:
            return Result(RunState.CANCELLED, training_duration_seconds=time.monotonic() - began)
        tell(measured, epoch + 1)
    draft = run.model.with_name(".model")
    shutil.rmtree(draft, ignore_errors=True)
    training.save(draft)
    draft.rename(run.model)
    return Result(
        RunState.SUCCEEDED, custom_metrics=training.custom(), training_duration_seconds=time.monotonic() - began
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
