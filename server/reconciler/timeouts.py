"""How long each part of a job's work may take, and when it is tried again."""

import random
from dataclasses import dataclass, field

from server.domain import backoff


@dataclass(frozen=True, slots=True)
class Limits:
    """All in seconds.

    `lease`: how long a replica holds a job without renewing its claim. `trainer`, `logs`, `registry`: one call.
    `submitting`: a submission, with the upload of the files.
    `opening`: making an MLflow run, which only one replica may do at a time. `cancelling`: from the request until a
    trainer that does not confirm is left alone. `registering`: from the end of the training until registering the model
    is given up. `first_retry` doubles up to `longest_retry`. `out_of_sight`: how long a run that this process can't see
    is left to others.
    """

    lease: float = 30.0
    trainer: float = 30.0
    submitting: float = 600.0
    logs: float = 10.0
    registry: float = 180.0
    opening: float = 60.0
    cancelling: float = 300.0
    registering: float = 600.0
    first_retry: float = 1.0
    longest_retry: float = 60.0
    longest_wait: float = 3600.0
    out_of_sight: float = 30.0
    draw: random.Random = field(default_factory=random.Random)

    def retry_after(self, failures: int, requested_seconds: float | None = None) -> float:
        """Seconds until the next attempt after `failures` in a row; at least `requested_seconds`.

        Those are what the other side asked for; of them at most `longest_wait` counts.
        """
        delay = backoff.delay(failures, first=self.first_retry, longest=self.longest_retry, draw=self.draw)
        return delay if requested_seconds is None else max(delay, min(requested_seconds, self.longest_wait))
