"""Training a language model in the training process, with the program that also goes to the GPUs of others."""

import os
import shutil
import time
from collections.abc import Callable

from server.domain.metrics import MetricPoint
from server.domain.status import RunState
from server.trainers.bundle import hyperparameters, train
from server.trainers.bundle.progress import Point, Progress
from server.trainers.local.run import Result, Run


def outcome(run: Run, stop: Callable[[], bool], slots: int) -> Result:
    """Train one run to its end, in the training process; `slots` of them share the processors.

    The result also of bad input. Any other failure is raised: `MemoryError`, `ArithmeticError`, `OSError`, a library's.
    """
    began = time.monotonic()
    draft = run.model.with_name(".model")
    shutil.rmtree(draft, ignore_errors=True)

    def tell(progress: Progress, point: Point | None) -> None:
        run.tell(progress, None if point is None else MetricPoint(point.step, point.at, point.renamed()))

    try:
        request = hyperparameters.parsed(run.request(), run.folder)
        trained = train.finetune(request, draft, tell, stop, max(1, (os.cpu_count() or 1) // slots))
    except train.Stopped:
        return Result(RunState.CANCELLED, training_duration_seconds=time.monotonic() - began)
    except hyperparameters.BadInput as error:
        return Result(RunState.FAILED, error.code, str(error))
    draft.rename(run.model)
    return Result(
        RunState.SUCCEEDED,
        custom_metrics=trained.custom_metrics,
        training_duration_seconds=time.monotonic() - began,
    )
