"""What a training tells of itself."""

from pathlib import Path

import pytest

from server.trainers.bundle.progress import Diverged, Log, Point, Progress, to_file
from server.trainers.local.run import Run

FAR = Progress(epoch=0, epochs=2, percent=10, tokens=100, seconds=1.5)


def log() -> tuple[Log, list[tuple[Progress, Point | None]]]:
    told: list[tuple[Progress, Point | None]] = []
    return Log(lambda progress, point: told.append((progress, point))), told


def test_the_loss_of_a_step_and_the_evaluation_after_it_are_one_point() -> None:
    made, told = log()
    made.add(FAR, 7, 1.0, {"loss": 2.0, "learning_rate": 0.1, "num_tokens": 100.0})
    made.add(FAR, 7, 1.0, {"eval_loss": 3.0, "eval_runtime": 0.5})
    assert told == []
    made.flush()
    assert [(point.step, point.epoch, dict(point.values)) for _, point in told if point] == [
        (7, 1.0, {"loss": 2.0, "learning_rate": 0.1, "eval_loss": 3.0})
    ]
    made.flush()
    assert len(told) == 1


def test_the_next_step_completes_the_one_before() -> None:
    made, told = log()
    for step in (1, 2, 3):
        made.add(FAR, step, step / 3, {"loss": float(step)})
    assert [point.step for _, point in told if point] == [1, 2]


def test_what_is_no_metric_is_progress_without_a_point() -> None:
    made, told = log()
    made.add(FAR, 3, 1.0, {"train_runtime": 4.2, "train_loss": 1.0})
    made.flush()
    assert told == [(FAR, None)]


def test_the_first_value_of_each_metric_is_kept() -> None:
    made, _ = log()
    made.add(FAR, 0, 0.0, {"eval_loss": 5.0})
    made.add(FAR, 1, 1.0, {"loss": 4.0})
    made.add(FAR, 1, 1.0, {"eval_loss": 3.0})
    assert made.first == {"eval_loss": 5.0, "loss": 4.0}


@pytest.mark.parametrize("key", ["loss", "eval_loss"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_the_training(key: str, value: float) -> None:
    made, told = log()
    with pytest.raises(Diverged, match="the loss is not finite any more at step 4; try a lower learning_rate"):
        made.add(FAR, 4, 0.5, {key: value})
    made.flush()
    assert told == []


def test_a_file_is_told_in_the_words_of_the_local_trainer(tmp_path: Path) -> None:
    made = Log(to_file(tmp_path / "progress.jsonl"))
    made.add(FAR, 0, 0.0, {"eval_loss": 5.0, "eval_mean_token_accuracy": 0.25})
    made.add(FAR, 1, 1.0, {"loss": 4.0, "mean_token_accuracy": 0.5, "learning_rate": 0.1, "grad_norm": 0.2})
    made.flush()
    progress, points = Run(tmp_path).progress()
    assert progress is not None
    assert (progress.percent, progress.tokens, progress.epochs) == (10, 100, 2)
    assert [(point.step, point.values) for point in points] == [
        (0, {"val_loss": 5.0, "val_accuracy": 0.25}),
        (1, {"train_loss": 4.0, "train_accuracy": 0.5, "learning_rate": 0.1, "grad_norm": 0.2}),
    ]
