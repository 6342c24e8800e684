"""When to look again: doubling, bounded, spread."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as some

from server.domain.backoff import delay


class Drawn(random.Random):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def random(self) -> float:
        return self.value


@pytest.mark.parametrize(
    ("failures", "longest_wait"), [(1, 1.0), (2, 2.0), (3, 4.0), (6, 32.0), (7, 60.0), (8, 60.0), (10_000, 60.0)]
)
def test_it_doubles_up_to_its_bound(failures: int, longest_wait: float) -> None:
    assert delay(failures, first=1.0, longest=60.0, draw=Drawn(1.0)) == longest_wait
    assert delay(failures, first=1.0, longest=60.0, draw=Drawn(0.0)) == longest_wait / 2


@given(some.integers(1, 10**9), some.floats(0.001, 100), some.floats(0.001, 10_000), some.integers())
def test_it_is_never_nothing_and_never_too_long(failures: int, first: float, longest: float, seed: int) -> None:
    wait = delay(failures, first=first, longest=longest, draw=random.Random(seed))  # noqa: S311  (it spreads retries)
    assert min(first, longest) / 2 <= wait <= longest
