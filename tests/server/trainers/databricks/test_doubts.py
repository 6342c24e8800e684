"""Jobs in doubt: since when, and never more than some."""

import pytest

from server.trainers.databricks import doubts
from server.trainers.databricks.doubts import Doubts


class Clock:
    now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(doubts, "monotonic", clock.monotonic)
    return clock


def test_a_doubt_lasts_from_its_beginning_until_it_is_known(clock: Clock) -> None:
    there = Doubts()
    assert there.seconds("job_1") == 0
    clock.now += 20
    assert there.seconds("job_1") == 20
    there.begin("job_1")
    clock.now += 5
    assert there.seconds("job_1") == 5
    there.end("job_1")
    there.end("job_1")
    assert "job_1" not in there
    assert there.seconds("job_1") == 0


def test_jobs_that_nobody_asks_for_any_longer_are_forgotten(clock: Clock) -> None:
    there = Doubts()
    there.begin("job_old")
    clock.now += doubts.FORGOTTEN_AFTER_SECONDS - 1
    there.begin("job_new")
    assert "job_old" in there
    clock.now += 1
    there.begin("job_newest")
    assert ["job_old" in there, "job_new" in there, len(there)] == [False, True, 2]


def test_there_are_never_more_than_some(clock: Clock) -> None:
    there = Doubts()
    for number in range(doubts.MOST_DOUBTS + 10):
        clock.now += 0.001
        there.begin(f"job_{number}")
    assert len(there) == doubts.MOST_DOUBTS
    assert "job_9" not in there
    assert "job_10" in there
