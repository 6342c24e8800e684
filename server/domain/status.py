"""The life of a training job: its statuses, the moves between them, and what a trainer's word means for it."""

from enum import StrEnum
from types import MappingProxyType
from typing import assert_never


class JobStatus(StrEnum):
    """Stored as these words; each comment says who moves a job out of the status."""

    PENDING = "PENDING"  # the poller, once the trainer has accepted the job
    QUEUED = "QUEUED"  # the poller, when the trainer says that the run has begun
    RUNNING = "RUNNING"  # the poller, when the trainer is done and registration has ended
    SUCCEEDED = "SUCCEEDED"  # nobody: terminal
    FAILED = "FAILED"  # nobody: terminal
    CANCELLED = "CANCELLED"  # nobody: terminal


MOVES = MappingProxyType(
    {
        JobStatus.PENDING: frozenset({JobStatus.QUEUED, JobStatus.FAILED, JobStatus.CANCELLED}),
        JobStatus.QUEUED: frozenset({JobStatus.RUNNING, JobStatus.FAILED, JobStatus.CANCELLED}),
        JobStatus.RUNNING: frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED}),
        JobStatus.SUCCEEDED: frozenset[JobStatus](),
        JobStatus.FAILED: frozenset[JobStatus](),
        JobStatus.CANCELLED: frozenset[JobStatus](),
    }
)

TERMINAL = frozenset(status for status, following in MOVES.items() if not following)
ACTIVE = frozenset(MOVES) - TERMINAL
CANCELLABLE = frozenset(status for status, following in MOVES.items() if JobStatus.CANCELLED in following)


class TrainerKind(StrEnum):
    """Who trains."""

    LOCAL = "LOCAL"
    FMAPI = "FMAPI"
    AI_RUNTIME = "AI_RUNTIME"


class JobAction(StrEnum):
    """What a person may do with a job."""

    CANCEL = "CANCEL"


class EventType(StrEnum):
    """What an entry of a job's history is about."""

    CREATED = "CREATED"
    SUBMITTED = "SUBMITTED"
    STATUS_CHANGE = "STATUS_CHANGE"
    PROGRESS_UPDATE = "PROGRESS_UPDATE"
    METRIC_UPDATE = "METRIC_UPDATE"
    CANCEL_REQUESTED = "CANCEL_REQUESTED"
    MODEL_REGISTERED = "MODEL_REGISTERED"
    ERROR = "ERROR"


class RunState(StrEnum):
    """The state of a run in the port's vocabulary. UNKNOWN: the trainer used a word that the adapter does not know."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    UNKNOWN = "UNKNOWN"


def target(state: RunState) -> JobStatus | None:
    """Where a job heads when its trainer says `state`; None keeps it where it is."""
    match state:
        case RunState.QUEUED:
            return JobStatus.QUEUED
        case RunState.RUNNING:
            return JobStatus.RUNNING
        case RunState.SUCCEEDED:
            return JobStatus.SUCCEEDED
        case RunState.FAILED:
            return JobStatus.FAILED
        case RunState.CANCELLED:
            return JobStatus.CANCELLED
        case RunState.UNKNOWN:
            return None
    assert_never(state)


def route(status: JobStatus, to: JobStatus) -> tuple[JobStatus, ...]:
    """The moves that lead from `status` to `to`, shortest first: QUEUED to SUCCEEDED passes RUNNING.

    Empty when `to` is `status`, lies behind it, or `status` is terminal: a run that falls back to its trainer's queue
    does not move its job back.
    """
    frontier: list[tuple[JobStatus, ...]] = [()]
    while frontier:
        steps = frontier.pop(0)
        here = steps[-1] if steps else status
        if here == to:
            return steps
        frontier.extend((*steps, following) for following in sorted(MOVES[here]))
    return ()
