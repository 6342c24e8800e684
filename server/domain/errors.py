"""Why a request is refused: a few kinds, each with a code that clients may rely on."""

from collections.abc import Mapping, Sequence

from server.domain.gates import Verdict
from server.domain.status import JobStatus


class Refused(Exception):
    """A request that changes nothing. `path` runs from the argument: ("input", "pairs", "1", "messages")."""

    code = "REFUSED"

    def __init__(self, message: str, path: Sequence[str] = ()) -> None:
        """Keep the message and the path of the argument."""
        super().__init__(message)
        self.message = message
        self.path = tuple(path)


class NotFound(Refused):
    """What an id names does not exist, or not for this caller."""

    code = "NOT_FOUND"


class InvalidInput(Refused):
    """A value that the client can correct."""

    code = "INVALID_INPUT"


class Forbidden(Refused):
    """The caller may not do this."""

    code = "FORBIDDEN"


class Conflict(Refused):
    """The request contradicts what is already stored."""

    code = "CONFLICT"


class InvalidTransition(Refused):
    """The job's status does not allow this."""

    code = "INVALID_TRANSITION"

    def __init__(self, message: str, status: JobStatus, path: Sequence[str] = ()) -> None:
        """Keep the status that stood in the way."""
        super().__init__(message, path)
        self.status = status


class NoEligiblePairs(Refused):
    """The gates refused every pair."""

    code = "NO_ELIGIBLE_PAIRS"

    def __init__(self, message: str, excluded: Mapping[Verdict, int], path: Sequence[str] = ()) -> None:
        """Keep how many pairs each rule refused."""
        super().__init__(message, path)
        self.excluded = dict(excluded)


class TrainerUnavailable(Refused):
    """The trainer takes no new runs at all; the message says what to do instead."""

    code = "TRAINER_UNAVAILABLE"


class Unavailable(Exception):
    """An outside service could not be reached or did not answer sensibly; says nothing about the job itself.

    `retry_after` is in seconds, when the other side gave one.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        """Keep what the other side asked for."""
        super().__init__(message)
        self.retry_after = retry_after
