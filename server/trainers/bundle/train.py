"""Fine-tune a language model: `python -m bundle.train [HYPERPARAMETERS]`, by default the file $HYPERPARAMETERS_PATH.

With $MLFLOW_RUN_ID, parameters, metrics and the model go to that run of MLflow. The exit status is 0 for a model that
was written, 2 for a request that can't be trained, 143 after SIGTERM and 1 for everything else; the last line on stderr
says why: `train.py: CODE: message`.
"""

import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from . import conversations, hyperparameters, tracking
from .hyperparameters import BadInput, Request
from .progress import Diverged, Point, Progress, Tell, to_file

FAILED: Final = 1
REFUSED: Final = 2
TERMINATED: Final = 143
NO_MEMORY: Final = ("out of memory", "can't allocate memory", "not enough memory", "cannot allocate memory")


class Stopped(Exception):
    """Somebody wanted the training to end."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A model that was written. `is_first` is false in all but one of several processes, which write nothing."""

    custom_metrics: Mapping[str, Any]
    is_first: bool


def finetune(
    request: Request, folder: Path, tell: Tell, stop: Callable[[], bool], threads: int | None = None
) -> Trained:
    """Train, and write the model to a folder in MLflow's format.

    `stop` is asked before each batch; `threads` is how many the processor's part of the work may use. Raises
    `BadInput`, `Diverged` or `Stopped`.
    """
    train_side = conversations.read(request.train_file)
    validation_side = conversations.read(request.validation_file) if request.validation_file is not None else []
    try:
        from . import training  # noqa: PLC0415  (torch takes seconds to import: first the input)
    except ModuleNotFoundError as error:
        raise BadInput("MISSING_LIBRARY", f"{error.name} is not installed; see requirements.txt") from error
    with _named_out_of_memory(request):
        made = training.Training(request, (train_side, validation_side), tell, lambda: _check_stop(stop), threads)
        made.run()
        if made.is_first:
            made.save(folder)
        return Trained(made.custom(), made.is_first)


def main(arguments: list[str]) -> int:
    """Train as a program of its own."""
    logging.basicConfig(level=logging.INFO)
    try:
        request = hyperparameters.read(_where(arguments))
        tracked = tracking.from_environment()
    except BadInput as error:
        return _fail(REFUSED, error.code, str(error))
    except Exception as error:  # noqa: BLE001  (whatever MLflow lets through)
        traceback.print_exc()
        return _fail(FAILED, "TRACKING_ERROR", f"{type(error).__name__}: {error}")
    signals: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: signals.append(number))
    status, code, message = _outcome(request, tracked, lambda: bool(signals))
    if code is None:
        return status
    if tracked is not None:
        try:
            tracked.end("KILLED" if status == TERMINATED else "FAILED", code, message)
        except Exception:  # noqa: BLE001  (whatever MLflow lets through; what went wrong first is what to say)
            traceback.print_exc()
    return _fail(status, code, message or "")


def out_of_memory(request: Request) -> BadInput:
    """What to lower when the memory is too small."""
    lower = [f"{key} ({request.whole(key)})" for key in ("batch_size", "max_seq_length", "lora_rank")]
    return BadInput(
        "OUT_OF_MEMORY",
        f"there is too little memory for this training: lower {', '.join(lower[:-1])} or {lower[-1]},"
        " or take a smaller base model; more gradient_accumulation_steps make up for a smaller batch_size",
    )


def _outcome(
    request: Request, tracked: tracking.Tracking | None, stop: Callable[[], bool]
) -> tuple[int, str | None, str | None]:
    try:
        _train(request, tracked, stop)
    except BadInput as error:
        return REFUSED, error.code, str(error)
    except Diverged as error:
        return FAILED, "DIVERGED", str(error)
    except Stopped:
        return TERMINATED, "STOPPED", "somebody ended the training"
    except Exception as error:  # noqa: BLE001  (whatever it is, the run has to learn of it)
        traceback.print_exc()
        return FAILED, "TRAINING_ERROR", f"{type(error).__name__}: {error}"
    return 0, None, None


def _train(request: Request, tracked: tracking.Tracking | None, stop: Callable[[], bool]) -> None:
    if tracked is not None:
        tracked.begin(request)
    to_progress = to_file(request.progress_file) if request.progress_file is not None else None

    def tell(progress: Progress, point: Point | None) -> None:
        if to_progress is not None:
            to_progress(progress, point)
        if tracked is not None and point is not None:
            tracked.point(point, progress.tokens)

    with TemporaryDirectory() as temporary:
        folder = request.output or Path(temporary, "model")
        trained = finetune(request, folder, tell, stop)
        if tracked is not None and trained.is_first:
            tracked.custom(trained.custom_metrics)
            tracked.model(folder, request.register_as)
            tracked.end("FINISHED")


@contextmanager
def _named_out_of_memory(request: Request) -> Iterator[None]:
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError) or any(words in str(error).lower() for words in NO_MEMORY):
            raise out_of_memory(request) from error
        raise


def _check_stop(stop: Callable[[], bool]) -> None:
    if stop():
        raise Stopped


def _where(arguments: list[str]) -> Path:
    if path := arguments[0] if arguments else os.environ.get("HYPERPARAMETERS_PATH"):
        return Path(path)
    raise BadInput("BAD_HYPERPARAMETERS", "there are no hyper-parameters: name a file, or set HYPERPARAMETERS_PATH")


def _fail(status: int, code: str, message: str) -> int:
    sys.stdout.flush()
    print(f"train.py: {code}: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201  (a program's own word)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
