"""The statements of subscriptions: one reads all that a wake-up has to tell, as rows with their payloads.

Each is written for many jobs at once, so that followers of different jobs with the same document share a statement.
The values that the program fills in are its arrays, in the order of `Request.key`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

from graphql import FieldNode, GraphQLField, GraphQLObjectType, get_named_type
from sqlalchemy import (
    ARRAY,
    Boolean,
    ColumnElement,
    DateTime,
    Integer,
    Select,
    TableValuedAlias,
    Text,
    and_,
    case,
    column,
    exists,
    func,
    literal_column,
    or_,
    select,
    true,
)
from sqlalchemy.types import TypeEngine

from schema.reads import render
from schema.reads.arguments import Arguments, Request
from schema.reads.compiler import Compiler
from schema.reads.declare import Followed, Row, Stream
from server.domain.status import TERMINAL, EventType
from server.storage import tables

T = TypeVar("T")

EVENTS_AT_ONCE: Final = 50  # of one job in one statement
STILL_MATCHES: Final = "still$matches"
WITH_MOVES: Final = [event for event in EventType if event not in {EventType.PROGRESS_UPDATE, EventType.METRIC_UPDATE}]


@dataclass(frozen=True, slots=True)
class Selected:
    """What a subscription selects: its field, and the field nodes that are merged in it."""

    definition: GraphQLField
    nodes: Sequence[FieldNode]
    read: Followed

    @property
    def type(self) -> GraphQLObjectType:
        """What its payloads are."""
        return cast("GraphQLObjectType", get_named_type(self.definition.type))

    @property
    def key(self) -> str:
        """The response key of a payload."""
        node = self.nodes[0]
        return (node.alias or node.name).value


def statement(compiler: Compiler, selected: Selected, *, whole: bool) -> Select[Any]:
    """The statement of a stream; `whole` as in `Compiler.payload`. Raises `BadArgument`, `NotCompiled`."""
    match selected.read.stream:
        case Stream.EVENTS:
            return _events(compiler, selected, whole=whole)
        case Stream.JOB:
            return _job(compiler, selected, whole=whole)
        case Stream.JOBS:
            return _jobs(compiler, selected, whole=whole)


def _events(compiler: Compiler, selected: Selected, *, whole: bool) -> Select[Any]:
    """Key: ids of jobs, and behind which sequence of each.

    Rows: place in the arrays (from 1), when the job changed last, whether it is terminal, sequence, payload; the last
    two are null where there is no event.
    """
    asked = _asked(compiler, column("job_id", Text), column("after", Integer))
    job, event = compiler.rows(tables.training_jobs), compiler.rows(tables.training_job_events)
    page = (
        select(event)
        .where(event.c.job_id == asked.c.job_id, event.c.sequence > asked.c.after)
        .correlate(asked)
        .order_by(event.c.sequence)
        .limit(render.number(EVENTS_AT_ONCE))
        .lateral(compiler.name())
    )
    payload = compiler.payload(selected.type, selected.nodes, page, whole=whole)
    return (
        select(asked.c.place, job.c.updated_at, _is_terminal(job), page.c.sequence, render.as_bytes(payload))
        .select_from(asked.join(job, job.c.id == asked.c.job_id).outerjoin(page, true()))
        .order_by(asked.c.place, page.c.sequence)
    )


def _job(compiler: Compiler, selected: Selected, *, whole: bool) -> Select[Any]:
    """Key: ids of jobs.

    Rows: place in the array (from 1), when the job changed last, whether it is terminal, payload.
    """
    asked = _asked(compiler, column("job_id", Text))
    job = compiler.rows(tables.training_jobs)
    payload = compiler.payload(selected.type, selected.nodes, job, whole=whole)
    return (
        select(asked.c.place, job.c.updated_at, _is_terminal(job), render.as_bytes(payload))
        .select_from(asked.join(job, job.c.id == asked.c.job_id))
        .order_by(asked.c.place)
    )


def _jobs(compiler: Compiler, selected: Selected, *, whole: bool) -> Select[Any]:
    """Key: ids of jobs, and since when a job counts as one that has just left the filter.

    Rows: id, when the job changed last, whether it passes the filter, payload; the one that changed longest ago first.
    The payload is null for a job that does not pass, and did not before.
    """
    arguments = Arguments(compiler.recorder, selected.definition, selected.nodes[0])
    ids, since = _key(compiler, 0, ARRAY(Text)), _key(compiler, 1, DateTime(timezone=True))
    every = compiler.rows(tables.training_jobs)
    passes = _all(selected.read.status, every.c.status, arguments)
    among = _all(selected.read.unchanging, every, arguments)
    job = select(every, passes.label(STILL_MATCHES)).where(every.c.id == func.any(ids), among).subquery(compiler.name())
    matches = job.c[STILL_MATCHES]
    payload = compiler.payload(selected.type, selected.nodes, job, whole=whole)
    told = case((or_(matches, _left(compiler, selected, job, arguments, since)), render.as_bytes(payload)))
    return select(job.c.id, job.c.updated_at, matches, told).order_by(job.c.updated_at, job.c.id)


def _left(
    compiler: Compiler, selected: Selected, job: Row, arguments: Arguments, since: ColumnElement[Any]
) -> ColumnElement[bool]:
    """Whether a job passed the conditions on its status before a move that came at or after a moment."""
    event = compiler.rows(tables.training_job_events)
    moved = (
        event.c.job_id == job.c.id,
        render.among(event.c.event_type, WITH_MOVES),
        event.c.old_status.is_not(None),
        event.c.created_at >= since,
        _all(selected.read.status, event.c.old_status, arguments),
    )
    return exists(select(literal_column("1")).select_from(event).where(*moved).correlate(job))


def _all(
    conditions: Callable[[T, Arguments], Iterable[ColumnElement[bool]]] | None, on: T, arguments: Arguments
) -> ColumnElement[bool]:
    return and_(literal_column("true", Boolean), *(() if conditions is None else conditions(on, arguments)))


def _is_terminal(job: Row) -> ColumnElement[bool]:
    return render.among(job.c.status, TERMINAL)


def _asked(compiler: Compiler, *columns: Any) -> TableValuedAlias:  # noqa: ANN401  (columns)
    arrays = [_key(compiler, index, ARRAY(each.type)) for index, each in enumerate(columns)]
    return func.unnest(*arrays).table_valued(*columns, with_ordinality="place").render_derived(name=compiler.name())


def _key(compiler: Compiler, index: int, type_: TypeEngine[Any]) -> ColumnElement[Any]:
    def fill(request: Request) -> object:
        return cast("Sequence[object]", request.key)[index]

    return compiler.recorder.bind(fill, type_)
