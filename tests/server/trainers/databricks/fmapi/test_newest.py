"""What is concluded from the newest values of a run, and how many histories are read."""

import math
from datetime import UTC, datetime

import pytest

from server.domain.metrics import MetricPoint
from server.trainers.databricks.fmapi.newest import PAUSE_SECONDS, Allowance, Unread, conclude
from server.trainers.databricks.mlflow_runs import Newest, RunMetrics, Value

LOSS, EVAL = "loss/train/total", "metrics/eval/LanguageCrossEntropy"


def values(loss: int | None, held_out: int | None = None) -> Newest:
    """At which steps the two were last measured; each value is the step."""
    steps = {LOSS: loss, EVAL: held_out}
    return {key: Value(step, float(step), 1_000 * step) for key, step in steps.items() if step is not None}


def point(step: int, *names: str) -> MetricPoint:
    return MetricPoint(step, datetime.fromtimestamp(step, UTC), {name: float(step) for name in names})


@pytest.mark.parametrize(
    ("after", "before", "now", "points"),
    [
        (None, None, values(None), []),
        (None, None, values(1), []),
        (4, None, values(4), []),
        (4, None, values(5), [point(5, "train_loss")]),
        (4, values(5), values(6), [point(5, "train_loss"), point(6, "train_loss")]),
        # the held-out loss of step 5 came after the first search
        (4, values(5), values(6, 5), [point(5, "train_loss", "val_loss"), point(6, "train_loss")]),
        (4, values(5, 5), values(6, 6), [point(5, "train_loss", "val_loss"), point(6, "train_loss", "val_loss")]),
    ],
)
def test_what_two_searches_have_seen_needs_no_history(
    after: int | None, before: Newest | None, now: Newest, points: list[MetricPoint]
) -> None:
    assert conclude(after, before, now, ended=False) == RunMetrics(
        tuple(points), {key: one.value for key, one in now.items()}
    )


@pytest.mark.parametrize(
    ("after", "before", "now", "requests"),
    [
        (None, None, values(2), 2),
        (None, values(1), values(2), 2),  # there may be a step 0
        (4, None, values(6), 2),
        (4, values(5), values(7), 2),
        (4, values(6), values(7), 2),
        (4, values(5), values(6, 6), 3),  # it may have been measured at step 5 as well
        (4, values(5, 3), values(9, 3), 2),
    ],
)
def test_a_step_that_may_have_been_missed_is_looked_for_in_the_history(
    after: int | None, before: Newest | None, now: Newest, requests: int
) -> None:
    assert conclude(after, before, now, ended=False) == Unread(requests)


def test_of_a_run_that_has_ended_the_first_step_is_not_waited_for() -> None:
    assert conclude(None, None, values(1), ended=True) == Unread(2)
    assert conclude(0, None, values(1), ended=True) == RunMetrics((point(1, "train_loss"),), {LOSS: 1.0})


def test_requests_are_saved_up_for_a_while_and_then_made_at_their_rate() -> None:
    allowance, made = Allowance(3.0), 0
    for tick in range(1_000):
        made += 6 * allowance.take(6, tick / 10)
    assert 3.0 * 100 <= made <= 3.0 * (100 + PAUSE_SECONDS) + 6


def test_without_a_limit_all_are_made() -> None:
    assert all(Allowance(math.inf).take(1_000, 0.0) for _ in range(10))
