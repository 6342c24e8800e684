"""What can be followed. A stream starts with what is true now and tells each change."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import strawberry

from schema.reads.cursors import decode
from schema.reads.declare import Argument, Followed, Start, Stream, followed
from schema.roots.query import in_status, unchanging
from schema.types.events import EVENT, EVENTS, TrainingJobEvent
from schema.types.inputs import TrainingJobFilter
from schema.types.jobs import TrainingJob

JOB = "The job."


def _of_job(arguments: Mapping[str, Any]) -> Start:
    return Start(arguments["id"])


def _of_events(arguments: Mapping[str, Any]) -> Start:
    after = arguments.get("after")
    return Start(arguments["jobId"], decode(after, EVENTS, [EVENT.sequence.type], "after")[0] if after else 0)


def _of_jobs(arguments: Mapping[str, Any]) -> Start:
    return Start(after=arguments.get("since"))


@strawberry.type(description="What can be followed, over graphql-transport-ws or server-sent events.")
class Subscription:
    """The streams."""

    training_job_updated: TrainingJob = followed(
        Followed(Stream.JOB, _of_job),
        "The job as it is now, then whenever it changes; states that pass quickly may be merged. Completes"
        " by itself once the job is terminal.",
        (Argument("id", strawberry.ID, JOB),),
    )
    training_job_events: TrainingJobEvent = followed(
        Followed(Stream.EVENTS, _of_events),
        "The job's history from `after` or from its start, then each new event. Misses nothing and repeats"
        " nothing, however often it is resumed; completes by itself once the job is terminal.",
        (
            Argument("job_id", strawberry.ID, JOB),
            Argument("after", str | None, "Start behind the event of this cursor; at the first without."),
        ),
    )
    training_jobs_updated: TrainingJob = followed(
        Followed(Stream.JOBS, _of_jobs, unchanging, in_status),
        "Each job that changes and passes the filter; one that its status takes out of the filter is told once more,"
        " with `stillMatches` false. States that pass quickly may be merged. With `since`: first each job that changed"
        " at or after that moment, the one that changed longest ago first. A client that was cut off misses no job when"
        " it comes back with the `updatedAt` of the last job that it was told; a job may then be repeated. Never"
        " completes.",
        (
            Argument("filter", TrainingJobFilter | None, "Which jobs; all when it is left out."),
            Argument("since", datetime | None, "From which moment on; from now on without."),
        ),
    )
