"""Whether a job has a run, of which only the name is known."""

import re
from collections.abc import Mapping
from typing import Final

from server.databricks.errors import ApiError
from server.databricks.workspace import Workspace
from server.domain.errors import Unavailable
from server.trainers.databricks.ai_runtime import calls
from server.trainers.databricks.ai_runtime.run_spec import run_name
from server.trainers.databricks.doubts import Doubts
from server.trainers.trainer import TrainerJobId

MOST_PAGES: Final = 100
CLOCK_SKEW_MILLISECONDS: Final = 3_600_000
TIMED: Final = re.compile(r"job_([0-9a-f]{12})7[0-9a-f]{3}[89ab][0-9a-f]{15}")


async def search(workspace: Workspace, job_id: str) -> TrainerJobId | None:
    """The run of a job, among all that are active and those that have ended since the job was made.

    Raises `Unavailable` when not all of them could be listed.
    """
    ended: dict[str, object] = {"completed_only": True}
    if (made := _made(job_id)) is not None:
        ended["start_time_from"] = made - CLOCK_SKEW_MILLISECONDS
    # one that ends in between is found the second time
    for query in ({"active_only": True}, ended):
        if (run_id := await _among(workspace, job_id, query)) is not None:
            return run_id
    return None


class Absences:
    """Jobs for which no run was listed, and since when.

    A submission that was not answered may still be on its way, and lists may lag behind: only a run that is not there
    `settle` seconds later either is certainly none.
    """

    def __init__(self, settle: float) -> None:
        self._settle = settle
        self._doubts = Doubts()

    def confirm(self, job_id: str) -> None:
        """Raise `Unavailable` until the absence is certain."""
        left = self._settle - self._doubts.seconds(job_id)
        if left > 0:
            message = f"AI Runtime has no run of the job yet; in {left:.0f} seconds it is certain that there is none"
            raise Unavailable(message, retry_after=left)
        self._doubts.end(job_id)

    def forget(self, job_id: str) -> None:
        """The job has a run after all."""
        self._doubts.end(job_id)


async def _among(workspace: Workspace, job_id: str, query: Mapping[str, object]) -> TrainerJobId | None:
    name, pages = run_name(job_id), 0
    try:
        async for page in calls.pages(workspace, **query):
            for run in page:
                if run.get("run_name") == name and run.get("run_id"):
                    return TrainerJobId(str(run["run_id"]))
            pages += 1
            if pages == MOST_PAGES:
                raise Unavailable("there are more runs in the workspace than can be searched for that of the job")
    except ApiError as error:
        raise Unavailable(f"the workspace's runs can't be searched for that of the job: {error}") from error
    return None


def _made(job_id: str) -> int | None:
    """When a job was made, in milliseconds since 1970: its id begins with it."""
    match = TIMED.fullmatch(job_id)
    return None if match is None else int(match[1], 16)
