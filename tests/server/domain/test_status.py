"""The moves of a job: no path leaves a terminal status, and a trainer's word leads only where a move goes."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from server.domain.status import (
    ACTIVE,
    CANCELLABLE,
    MOVES,
    TERMINAL,
    JobStatus,
    RunState,
    route,
    target,
)

PENDING, QUEUED, RUNNING, SUCCEEDED, FAILED, CANCELLED = JobStatus

statuses = some.sampled_from(JobStatus)


def test_every_status_is_active_or_terminal() -> None:
    assert MOVES.keys() == set(JobStatus) == ACTIVE | TERMINAL
    assert ACTIVE == {PENDING, QUEUED, RUNNING} == CANCELLABLE
    assert not ACTIVE & TERMINAL


@given(statuses, some.lists(statuses, max_size=6))
def test_no_path_leaves_a_terminal_status_or_comes_back(start: JobStatus, path: list[JobStatus]) -> None:
    here, seen = start, [start]
    for following in path:
        if following in MOVES[here]:
            assert here not in TERMINAL
            assert following not in seen
            here = following
            seen.append(here)


@given(statuses, statuses)
def test_a_route_is_a_chain_of_moves_to_its_end(status: JobStatus, to: JobStatus) -> None:
    steps = route(status, to)
    for here, following in zip((status, *steps), steps, strict=False):
        assert following in MOVES[here]
    if steps:
        assert steps[-1] == to


@pytest.mark.parametrize(
    ("status", "to", "steps"),
    [
        (QUEUED, SUCCEEDED, (RUNNING, SUCCEEDED)),
        (PENDING, SUCCEEDED, (QUEUED, RUNNING, SUCCEEDED)),
        (RUNNING, SUCCEEDED, (SUCCEEDED,)),
        (QUEUED, FAILED, (FAILED,)),
        (PENDING, CANCELLED, (CANCELLED,)),
        (RUNNING, QUEUED, ()),
        (RUNNING, RUNNING, ()),
        (SUCCEEDED, CANCELLED, ()),
    ],
)
def test_the_shortest_route_is_taken(status: JobStatus, to: JobStatus, steps: tuple[JobStatus, ...]) -> None:
    assert route(status, to) == steps


@given(statuses.filter(lambda status: status in TERMINAL), statuses)
def test_there_is_no_route_out_of_a_terminal_status(status: JobStatus, to: JobStatus) -> None:
    assert route(status, to) == ()


def test_each_word_of_a_trainer_but_the_unknown_one_is_a_status() -> None:
    assert {state: target(state) for state in RunState} == {
        RunState.QUEUED: QUEUED,
        RunState.RUNNING: RUNNING,
        RunState.SUCCEEDED: SUCCEEDED,
        RunState.FAILED: FAILED,
        RunState.CANCELLED: CANCELLED,
        RunState.UNKNOWN: None,
    }
