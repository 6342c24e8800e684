"""Jobs of which it is not known yet whether they have a run, and since when."""

from time import monotonic
from typing import Final

FORGOTTEN_AFTER_SECONDS: Final = 3_600.0  # nobody asks for such a job any longer; else its wait begins anew
MOST_DOUBTS: Final = 10_000


class Doubts:
    """Moments by job id, by this process's clock; bounded, for jobs may end while they are in doubt."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}  # the longest ago first

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._since

    def __len__(self) -> int:
        return len(self._since)

    def begin(self, job_id: str) -> None:
        """The job is in doubt from now on."""
        self._since.pop(job_id, None)
        now = self._since[job_id] = monotonic()
        for other in list(self._since):
            if now - self._since[other] < FORGOTTEN_AFTER_SECONDS and len(self._since) <= MOST_DOUBTS:
                break
            del self._since[other]

    def seconds(self, job_id: str) -> float:
        """For how long the job has been in doubt; from now on, when it was not."""
        if job_id not in self._since:
            self.begin(job_id)
        return monotonic() - self._since[job_id]

    def end(self, job_id: str) -> None:
        """It is known."""
        self._since.pop(job_id, None)
