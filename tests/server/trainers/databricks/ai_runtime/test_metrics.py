import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.trainers.bundle.progress import NAMES
from server.trainers.databricks.ai_runtime import metrics
from server.trainers.databricks.ai_runtime.metrics import Reading, Snapshot

START = datetime(2026, 11, 23, 12, tzinfo=UTC)


def metric(key: str, step: int, value: float | str, seconds: float = 0.0) -> dict[str, Any]:
    return {"key": key, "step": step, "value": value, "timestamp": int((START.timestamp() + seconds) * 1000)}


def snapshot(*latest: dict[str, Any], params: dict[str, str] | None = None) -> Snapshot:
    listed = [{"key": key, "value": value} for key, value in (params or {}).items()]
    return metrics.snapshot({"data": {"metrics": list(latest), "params": listed}})


def read(
    histories: dict[str, list[dict[str, Any]]], after: int | None = None, *, ended: bool = True, epochs: str = "4"
) -> Reading:
    newest = [history[-1] for history in histories.values() if history]
    return metrics.reading(histories, snapshot(*newest, params={"epochs": epochs}), after, ended)


def steps(found: Reading) -> dict[int, dict[str, float]]:
    return {point.step: dict(point.values) for point in found.points}


def test_the_series_are_joined_by_step_under_our_names() -> None:
    found = read(
        {
            "loss": [metric("loss", 2, 2.0, 1), metric("loss", 4, 1.5, 2)],
            "eval_loss": [metric("eval_loss", 4, 1.7, 3)],
            "mean_token_accuracy": [metric("mean_token_accuracy", 4, 0.5, 2)],
            "eval_mean_token_accuracy": [metric("eval_mean_token_accuracy", 4, 0.4, 3)],
            "learning_rate": [metric("learning_rate", 4, 0.1, 2)],
            "grad_norm": [metric("grad_norm", 4, 9.0, 2)],
            "epoch": [metric("epoch", 4, 1.0, 3)],
        }
    )
    assert steps(found) == {
        2: {"train_loss": 2.0},
        4: {
            "train_loss": 1.5,
            "val_loss": 1.7,
            "train_accuracy": 0.5,
            "val_accuracy": 0.4,
            "learning_rate": 0.1,
            "grad_norm": 9.0,
        },
    }
    assert [point.at for point in found.points] == [START + timedelta(seconds=1), START + timedelta(seconds=3)]


def test_the_newest_step_waits_until_another_follows_or_the_run_ends() -> None:
    histories = {"loss": [metric("loss", step, 1.0) for step in (1, 2, 3)], "eval_loss": [metric("eval_loss", 3, 1.0)]}
    assert list(steps(read(histories, ended=False))) == [1, 2]
    assert list(steps(read(histories, after=2, ended=False))) == []
    assert list(steps(read(histories, after=2, ended=True))) == [3]


def test_what_arrives_while_the_series_are_read_waits_as_well() -> None:
    seen = snapshot(metric("loss", 2, 1.0))
    histories = {"loss": [metric("loss", 1, 1.0), metric("loss", 2, 1.0), metric("loss", 3, 1.0)]}
    assert list(steps(metrics.reading(histories, seen, None, False))) == [1]


def test_of_a_step_that_was_logged_twice_the_later_value_counts() -> None:
    found = read({"loss": [metric("loss", 1, 5.0, 9), metric("loss", 1, 4.0, 1)]})
    assert steps(found) == {1: {"train_loss": 5.0}}


def test_values_that_json_lacks_come_as_text() -> None:
    values = ("NaN", "Infinity", "-Infinity", "1e400")
    found = read({"loss": [metric("loss", step, value) for step, value in enumerate(values)]})
    assert [str(point.values["train_loss"]) for point in found.points] == ["nan", "inf", "-inf", "inf"]


def test_what_can_not_be_read_is_left_out() -> None:
    strange = [
        {"key": "loss", "step": 1, "value": "?", "timestamp": 1},
        {"key": "loss", "step": "x", "value": 1, "timestamp": 1},
        {"key": "loss", "step": 1, "value": 1},
        {"key": "loss", "step": 1, "value": 1, "timestamp": 10**30},
        {"key": "loss", "step": 1, "value": None, "timestamp": 1},
    ]
    found = read({"loss": [*strange, metric("loss", 2, 1.0)]})
    assert steps(found) == {2: {"train_loss": 1.0}}


def test_only_series_with_something_new_are_read() -> None:
    seen = snapshot(metric("loss", 10, 1.0), metric("eval_loss", 5, 1.0), metric("train_runtime", 10, 1.0))
    assert metrics.unread(seen, None) == ["loss", "eval_loss"]
    assert metrics.unread(seen, 5) == ["loss"]
    assert metrics.unread(seen, 10) == []


@pytest.mark.parametrize(
    ("epoch", "epochs", "percent", "current"),
    [
        (0.0, "3", 0, 0),
        (0.1, "3", 3, 1),
        (1.0, "3", 33, 1),
        (1.01, "3", 33, 2),
        (3.0, "3", 100, 3),
        (3.5, "3", 100, 4),
        (1.0, "", None, 1),
        (1.0, "three", None, 1),
        (1.0, "0", None, 1),
        ("NaN", "3", None, None),
        (-1.0, "3", 0, 0),
    ],
)
def test_progress_is_epochs_of_epochs(
    epoch: float | str, epochs: str, percent: int | None, current: int | None
) -> None:
    seen = snapshot(metric("epoch", 1, epoch), params={"epochs": epochs})
    assert (seen.percent, seen.current_epoch) == (percent, current)


def test_tokens_are_told_when_they_are_logged() -> None:
    assert snapshot(metric("num_tokens", 1, 12345.0)).tokens == 12345
    assert snapshot().tokens is None


def test_the_end_is_guessed_from_how_fast_the_epochs_go_by() -> None:
    epochs = [metric("epoch", step, step / 10, 60 * step) for step in range(1, 11)]
    found = read({"epoch": epochs}, ended=False)
    assert found.estimated_end == START + timedelta(seconds=60 * 40)


@pytest.mark.parametrize(
    ("epochs", "total"),
    [
        ([metric("epoch", 1, 0.1)], "4"),
        ([metric("epoch", 1, 0.1), metric("epoch", 2, 0.1, 60)], "4"),
        ([metric("epoch", 1, 0.1), metric("epoch", 2, 0.2)], "4"),
        ([metric("epoch", 1, 0.1), metric("epoch", 2, 0.2, 60)], "unknown"),
        ([metric("epoch", 1, 0.1), metric("epoch", 2, "NaN", 60)], "4"),
        ([metric("epoch", 1, 0.0), metric("epoch", 2, 1e-9, 60)], "4"),
    ],
)
def test_nothing_is_guessed_from_too_little(epochs: list[dict[str, Any]], total: str) -> None:
    assert read({"epoch": epochs}, ended=False, epochs=total).estimated_end is None


def test_a_run_that_is_over_has_no_guess() -> None:
    epochs = [metric("epoch", step, step / 10, 60 * step) for step in range(1, 11)]
    assert read({"epoch": epochs}).estimated_end is None


def test_an_empty_run_has_nothing() -> None:
    seen = metrics.snapshot({})
    assert (seen.newest, seen.percent, seen.current_epoch, seen.epochs) == (None, None, None, None)
    assert metrics.reading({}, seen, None, False) == Reading(points=[])


@given(st.lists(st.tuples(st.sampled_from(["loss", "eval_loss"]), st.integers(0, 30)), max_size=60))
def test_every_value_is_told_once_however_often_one_looks(logged: list[tuple[str, int]]) -> None:
    """What is logged step by step, a metric at a time, and looked at in between."""
    histories: dict[str, list[dict[str, Any]]] = {"loss": [], "eval_loss": []}
    told: dict[int, dict[str, float]] = {}
    after: int | None = None
    for moment, (key, step) in enumerate(sorted(set(logged), key=lambda one: one[1])):
        histories[key].append(metric(key, step, float(step), moment))
        found = read(histories, after, ended=False)
        assert not told.keys() & steps(found).keys()
        told |= steps(found)
        after = max(told, default=None)
    told |= steps(read(histories, after, ended=True))
    expected: dict[int, dict[str, float]] = {}
    for key, step in logged:
        expected.setdefault(step, {})[NAMES[key]] = float(step)
    assert told == expected
    assert all(math.isfinite(value) for values in told.values() for value in values.values())
