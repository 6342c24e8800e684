"""What can be followed. A stream starts with what is true now and tells each change."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any

import strawberry
from sqlalchemy import ARRAY, ColumnElement, Text, func, select

from schema.execution.errors import refusal_as_error
from schema.reads.arguments import Arguments
from schema.reads.compiler import Compiler
from schema.reads.context import Info
from schema.reads.cursors import decode
from schema.reads.resolve import Ref, answer
from schema.roots.query import matching
from schema.types.events import EVENT, EVENTS, TrainingJobEvent
from schema.types.inputs import TrainingJobFilter
from schema.types.jobs import TrainingJob
from server.storage import tables

JOB = "The job."


async def training_job_updated(
    info: Info,
    id: Annotated[strawberry.ID, strawberry.argument(description=JOB)],  # noqa: A002  (the contract's name)
) -> AsyncGenerator[TrainingJob, None]:
    """The job now, and on each change."""
    with refusal_as_error():
        async with aclosing(info.context.services.following.changes(id)) as changes:
            async for job_id in changes:
                yield _reading("TrainingJob", job_id)


async def training_job_events(
    info: Info,
    job_id: Annotated[strawberry.ID, strawberry.argument(description=JOB)],
    after: Annotated[
        str | None,
        strawberry.argument(description="Start behind the event of this cursor; at the first without."),
    ] = strawberry.UNSET,
) -> AsyncGenerator[TrainingJobEvent, None]:
    """Each event once, in order."""
    start = decode(after, EVENTS, [EVENT.sequence.type], "after")[0] if after else 0
    with refusal_as_error():
        async with aclosing(info.context.services.following.events(job_id, start)) as events:
            async for event_id in events:
                yield _reading("TrainingJobEvent", event_id)


async def training_jobs_updated(
    info: Info,
    filter: Annotated[  # noqa: A002, ARG001  (compiled from the field's arguments)
        TrainingJobFilter | None, strawberry.argument(description="Which jobs; all when it is left out.")
    ] = strawberry.UNSET,
) -> AsyncGenerator[TrainingJob, None]:
    """Each job that changes and passes the filter."""
    async with aclosing(info.context.services.following.all_changes()) as batches:
        async for changed in batches:
            for job_id in await _passing(info, changed):
                yield _reading("TrainingJob", job_id)


async def _passing(info: Info, changed: list[str]) -> list[str]:
    """Those of the changed jobs that pass the field's filter, the one that changed first first."""
    raw = info._raw_info  # noqa: SLF001  (the filter's condition is compiled from the field's own arguments)

    def value(compiler: Compiler) -> ColumnElement[Any]:
        jobs = compiler.rows(tables.training_jobs)
        arguments = Arguments(compiler.recorder, raw.parent_type.fields[raw.field_name], raw.field_nodes[0])
        named = jobs.c.id == func.any(arguments.key(ARRAY(Text)))
        found = select(jobs.c.id).where(named, *matching(jobs, arguments)).order_by(jobs.c.updated_at, jobs.c.id)
        return func.array_to_json(func.array(found.scalar_subquery()))

    passing: list[str] = await answer(raw, "passing", changed, value)
    return passing


def _reading(type_: str, key: str) -> Any:  # noqa: ANN401  (read as the field's type)
    return Ref(type_, key)


@strawberry.type(description="What can be followed, over graphql-transport-ws or server-sent events.")
class Subscription:
    """The streams."""

    training_job_updated: AsyncIterator[TrainingJob] = strawberry.subscription(
        resolver=training_job_updated,
        description="The job as it is now, then whenever it changes; states that pass quickly may be merged. Completes"
        " by itself once the job is terminal.",
    )
    training_job_events: AsyncIterator[TrainingJobEvent] = strawberry.subscription(
        resolver=training_job_events,
        description="The job's history from `after` or from its start, then each new event. Misses nothing and repeats"
        " nothing, however often it is resumed; completes by itself once the job is terminal.",
    )
    training_jobs_updated: AsyncIterator[TrainingJob] = strawberry.subscription(
        resolver=training_jobs_updated,
        description="Each job that changes from now on and passes the filter. Never completes.",
    )
