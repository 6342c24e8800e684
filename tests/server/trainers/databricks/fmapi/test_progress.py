from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.trainers.databricks.fmapi.metrics import named
from server.trainers.databricks.fmapi.progress import Progress, epochs, progress
from server.trainers.databricks.fmapi.runs import Finetune
from server.trainers.trainer import TrainerEvent

START = datetime(2026, 11, 23, tzinfo=UTC)
HOUR = timedelta(hours=1)


def run(*messages: str, status: str = "RUNNING", end: timedelta | None = None, finished: bool = False) -> Finetune:
    told = [TrainerEvent(START, "TRAIN_UPDATED", message) for message in messages]
    return Finetune(
        name="ift",
        status=status,
        created_at=START,
        updated_at=START,
        started_at=START,
        completed_at=None,
        estimated_end=None if end is None else START + end,
        reason=None,
        duration="3ep",
        mlflow_run_id=None,
        events=[*told, *([TrainerEvent(START, "TRAIN_FINISHED", "")] if finished else [])],
    )


def percents(*messages: str) -> list[int | None]:
    return [progress(run(*messages[: count + 1]), START).percent for count in range(len(messages))]


def test_the_documented_text_is_read() -> None:
    told = run("[epoch=1/1][batch=50/56][ETA=5min] Train loss: 1.71")
    assert progress(told, START) == Progress(percent=89, epoch=1, epochs=1)


@pytest.mark.parametrize(
    ("message", "percent", "epoch"),
    [
        ("Epoch 2/4, batch 10/10", 50, 2),
        ("epoch: 2 / 4", 25, 2),
        ("batch=3/4", 75, 1),
        ("ba 3 of 4", 75, 1),
        ("EPOCH=9/3", 66, 3),
        ("batch=7/0", 0, 1),
        ("batch=70/7", 100, 1),
        ("Train loss: 1.71", None, None),
        ("", None, None),
    ],
)
def test_other_texts_are_read_as_far_as_they_go(message: str, percent: int | None, epoch: int | None) -> None:
    found = progress(run(message), START)
    assert (found.percent, found.epoch) == (percent, epoch)


def test_batches_that_are_counted_anew_in_each_epoch_are_told_from_those_of_the_whole_run() -> None:
    anew = [f"[epoch={epoch}/3][batch={batch}/10]" for epoch in (1, 2, 3) for batch in (2, 5, 10)]
    assert percents(*anew) == [6, 16, 33, 40, 50, 66, 73, 83, 100]
    through = [f"[epoch={epoch}/3][batch={batch}/30]" for epoch, batch in ((1, 5), (1, 10), (2, 15), (3, 25), (3, 30))]
    assert percents(*through) == [5, 11, 50, 83, 100]


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 50)), min_size=1), st.integers(1, 50))
def test_progress_is_a_percentage_whatever_is_told(told: list[tuple[int, int]], of: int) -> None:
    found = progress(run(*(f"[epoch={epoch}/5][batch={batch}/{of}]" for epoch, batch in told)), START)
    assert found.percent is not None
    assert 0 <= found.percent <= 100


def test_without_a_text_the_expected_end_says_how_far_it_is() -> None:
    told = run(end=4 * HOUR)
    assert progress(told, START + HOUR) == Progress(percent=25, epochs=3, estimated_end=START + 4 * HOUR)
    assert progress(told, START - HOUR).percent == 0
    assert progress(run(end=4 * HOUR, status="QUEUED"), START + HOUR).percent is None
    assert progress(run(), START + HOUR).percent is None


def test_an_end_that_is_past_or_that_training_has_reached_is_no_estimate() -> None:
    assert progress(run(end=HOUR), START + 2 * HOUR).estimated_end is None
    assert progress(run(end=HOUR, finished=True), START).estimated_end is None
    assert progress(run(end=HOUR), START).estimated_end == START + HOUR


@pytest.mark.parametrize(
    ("duration", "expected"), [("3ep", 3), ("1_0ep", 10), ("100ba", None), ("1_000_000tok", None), (None, None)]
)
def test_a_duration_in_epochs_says_how_many(duration: str | None, expected: int | None) -> None:
    assert epochs(duration) == expected


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("loss/train/total", "train_loss"),
        ("metrics/eval/LanguageCrossEntropy", "val_loss"),
        ("metrics/eval/desk/LanguageCrossEntropy", "val_loss"),
        ("metrics/train/TokenAccuracy", "train_accuracy"),
        ("metrics/eval/TokenAccuracy", "val_accuracy"),
        ("lr-DecoupledLionW/group0", "learning_rate"),
        ("lr-DecoupledLionW/group1", "lr-DecoupledLionW/group1"),
        ("metrics/train/LanguageCrossEntropy", "metrics/train/LanguageCrossEntropy"),
        ("throughput/tokens_per_sec", "throughput/tokens_per_sec"),
    ],
)
def test_metrics_that_every_trainer_has_get_our_names(key: str, name: str) -> None:
    assert named(key) == name


@pytest.mark.parametrize("number", ["9" * 10, "9" * 5_000])
def test_numbers_that_nobody_counts_to_are_no_progress(number: str) -> None:
    assert progress(run(f"[epoch={number}/{number}][batch=1/{number}]"), START) == Progress(epochs=3)
    assert epochs(f"{number}ep") is None
