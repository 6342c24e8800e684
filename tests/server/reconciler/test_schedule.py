"""When runs are observed: in their interval, together with others, and at once when something is new."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.domain.status import JobStatus, TrainerKind
from server.reconciler.schedule import SETTLED_AFTER_SECONDS, Schedule, interval_seconds, longer_while_quiet, next_tick
from server.storage.claims import Claim
from server.trainers.trainer import Capabilities

CAPABLE = Capabilities(30.0, 1_000, idempotent_submit=True, quick_interval=5.0, queue_interval=120.0)
TIMES = st.floats(0, 1e7)


def claim(**changes: Any) -> Claim:  # noqa: ANN401  (fields of the claim)
    fields: dict[str, Any] = dict.fromkeys(Claim.__dataclass_fields__)
    known = {"job_id": "job_1", "trainer": TrainerKind.FMAPI, "status": JobStatus.RUNNING, "settled_age": 1e6}
    return Claim(**{**fields, **known, **changes})


@pytest.mark.parametrize(
    ("changes", "waits", "begins", "seconds"),
    [
        ({}, False, False, 30.0),
        ({"settled_age": SETTLED_AFTER_SECONDS}, False, False, 30.0),
        ({"settled_age": SETTLED_AFTER_SECONDS - 1}, False, False, 5.0),
        ({}, False, True, 5.0),
        ({"estimated_end_in": 59.0}, False, False, 5.0),
        ({"estimated_end_in": -59.0}, False, False, 5.0),
        ({"estimated_end_in": 61.0}, False, False, 30.0),
        ({"estimated_end_in": -61.0}, False, False, 30.0),
        ({"status": JobStatus.QUEUED}, False, False, 30.0),
        ({"status": JobStatus.QUEUED, "settled_age": 1.0}, True, False, 120.0),
        ({"settled_age": 1e6}, True, False, 30.0),
    ],
)
def test_new_and_ending_runs_are_observed_more_often_and_those_in_a_told_line_rarely(
    changes: dict[str, Any], seconds: float, *, waits: bool, begins: bool
) -> None:
    assert interval_seconds(claim(**changes), CAPABLE, waits=waits, begins=begins) == seconds


@pytest.mark.parametrize("waits", [False, True])
def test_a_trainer_may_have_one_interval_for_all(*, waits: bool) -> None:
    capable = Capabilities(0.5, 1_000, idempotent_submit=True)
    new = claim(status=JobStatus.QUEUED, settled_age=1.0)
    assert interval_seconds(new, capable, waits=waits, begins=False) == 0.5


@given(now=TIMES, interval=st.sampled_from([0.5, 5.0, 10.0, 30.0, 120.0]))
def test_the_next_tick_comes_within_an_interval_and_is_the_same_for_all_that_share_it(
    now: float, interval: float
) -> None:
    tick = next_tick(now, interval)
    assert now < tick <= now + interval
    assert tick / interval == math.floor(tick / interval)
    assert next_tick(math.nextafter(tick, 0), interval) == tick


def test_runs_that_were_first_observed_at_any_time_are_soon_observed_together() -> None:
    schedule = Schedule()
    for number in range(100):
        schedule.follow([f"job_{job}" for job in range(number + 1)], 7.3 + number / 10)
    now = 18.0
    taken = schedule.take(now, 1_000)
    assert len(taken) == 100
    for number, job_id in enumerate(taken):
        schedule.put_back(job_id, next_tick(now + number / 100, 30.0), now)
    assert schedule.next_due() == 30.0
    assert schedule.take(29.9, 1_000) == []
    assert len(schedule.take(30.0, 1_000)) == 100


def test_the_longest_due_comes_first_and_nothing_is_taken_twice() -> None:
    schedule = Schedule()
    for now, job_ids in ((1.0, ["c"]), (2.0, ["c", "a"]), (3.0, ["c", "a", "b"])):
        schedule.follow(job_ids, now)
    assert schedule.take(2.5, 10) == ["c", "a"]
    assert schedule.take(9.0, 10) == ["b"]
    assert (schedule.take(9.0, 10), schedule.next_due()) == ([], None)


def test_what_is_told_of_a_run_makes_it_due_at_once_also_while_it_is_observed() -> None:
    schedule = Schedule()
    schedule.follow(["a", "b"], 0.0)
    assert schedule.take(0.0, 10) == ["a", "b"]
    schedule.hasten(["a", "unknown"], 1.0)
    schedule.put_back("a", 30.0, 2.0)
    schedule.put_back("b", 30.0, 2.0)
    assert schedule.take(2.0, 10) == ["a"]
    schedule.put_back("a", 30.0, 3.0)
    assert schedule.take(3.0, 10) == []
    schedule.hasten(["b"], 4.0)
    assert schedule.take(4.0, 10) == ["b"]


def test_jobs_that_are_observed_no_more_are_forgotten_once_they_are_not_under_way() -> None:
    schedule = Schedule()
    schedule.follow(["a", "b"], 0.0)
    schedule.take(0.0, 1)
    schedule.follow([], 1.0)
    assert list(schedule.turns) == ["a"]
    schedule.put_back("a", 5.0, 1.0)
    schedule.put_back("b", 5.0, 1.0)
    schedule.follow([], 2.0)
    assert schedule.turns == {}
    schedule.drop("a")


@pytest.mark.parametrize(("quiet", "seconds"), [(0, 0.5), (1, 1.0), (2, 2.0), (3, 4.0), (4, 4.0), (10_000, 4.0)])
def test_a_run_that_shows_nothing_new_is_observed_ever_more_rarely(quiet: int, seconds: float) -> None:
    assert longer_while_quiet(0.5, quiet, Capabilities(0.5, 1, idempotent_submit=True, quiet_interval=4.0)) == seconds


def test_an_interval_without_a_longer_one_stays_as_it_is() -> None:
    assert longer_while_quiet(30.0, 7, CAPABLE) == 30.0
    assert longer_while_quiet(30.0, 7, Capabilities(30.0, 1, idempotent_submit=True, quiet_interval=4.0)) == 30.0
