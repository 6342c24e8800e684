"""Joining a subscription to the feed of those who ask the same."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from json import loads
from typing import Final, TypeAlias, cast

from graphql import GraphQLError, GraphQLObjectType, GraphQLSchema, located_error
from graphql.execution.values import VariableValues

from schema.execution.channels import EventFeed, JobFeed, no_job
from schema.execution.documents import Operation, Refusal
from schema.execution.errors import masked
from schema.execution.feed import Feed, Reading
from schema.execution.jobs_feed import JobsFeed
from schema.execution.subscribers import Subscriber, Write
from schema.reads import selection
from schema.reads.arguments import Recorder, Request, plain
from schema.reads.compiler import declared
from schema.reads.context import Context
from schema.reads.declare import Followed, Stream
from schema.reads.plans import Plan
from schema.reads.selection import Document
from schema.reads.streams import Selected, statement
from server.domain.examples import unstorable_text

Complete: TypeAlias = Callable[[Operation, VariableValues, Context, object], Awaitable[bytes]]

NO_KEY: Final[Mapping[Stream, tuple[object, ...]]] = {
    Stream.EVENTS: ((), ()),
    Stream.JOB: ((),),
    Stream.JOBS: ((), None),
}
FEEDS: Final[Mapping[Stream, Callable[[Reading, Callable[[], None]], Feed]]] = {
    Stream.EVENTS: EventFeed,
    Stream.JOB: JobFeed,
    Stream.JOBS: JobsFeed,
}


class Subscriptions:
    """The feeds of one schema. Equal are subscriptions with one plan, equal values to run it with, and equal rights.

    `complete` makes the result of an operation in which Python has a part, of the object that was read for it.
    """

    def __init__(self, schema: GraphQLSchema, complete: Complete) -> None:
        self._schema = schema
        self._complete = complete
        self._feeds: dict[object, Feed] = {}

    @property
    def feeds(self) -> int:
        """How many statements are shared now."""
        return len(self._feeds)

    @property
    def subscribers(self) -> int:
        """How many subscriptions there are now."""
        return sum(len(feed.subscribers) for feed in self._feeds.values())

    async def join(
        self,
        operation: Operation,
        variables: VariableValues,
        context: Context,
        wake: Callable[[], None],
        write: Write,
    ) -> Subscriber:
        """A subscriber with the `wake` and `write` of its client. Raises `Refusal` for what the client got wrong."""
        request = Request(context.caller, variables)
        selected = self._selected(operation, request)
        try:
            start = selected.read.start(request.arguments(selected.definition, selected.nodes[0]))
            request.key = NO_KEY[selected.read.stream]
            plan, whole = await self._planned(operation, request, context, selected)
            values = plain(plan.filled(request))
        except GraphQLError as error:
            raise Refusal.because([masked(located_error(error, selected.nodes, [selected.key]))]) from None
        if start.job_id is not None and unstorable_text(start.job_id):
            raise Refusal([no_job(start.job_id)])
        complete = None if whole else partial(self._completed, operation, variables, context)
        reading = Reading(plan, request, context.services.following, selected.key, complete)
        return self._feed((id(plan), context.caller, values), selected.read.stream, reading).join(wake, write, start)

    def _feed(self, key: object, stream: Stream, reading: Reading) -> Feed:
        def forget() -> None:
            del self._feeds[key]

        feed = self._feeds.get(key)
        if feed is None:
            feed = self._feeds[key] = FEEDS[stream](reading, forget)
        return feed

    def _selected(self, operation: Operation, request: Request) -> Selected:
        """What a subscription selects: one field, and never one that is skipped, as validation has made sure."""
        root = cast("GraphQLObjectType", self._schema.subscription_type)
        document = Document(self._schema, operation.fragments)
        [nodes] = selection.fields(document, Recorder(request), root, [operation.definition]).values()
        definition = root.fields[nodes[0].name.value]
        return Selected(definition, nodes, cast("Followed", declared(definition)))

    async def _planned(
        self, operation: Operation, request: Request, context: Context, selected: Selected
    ) -> tuple[Plan, bool]:
        """The statement, and whether all of the result is in it. Raises `BadArgument`."""
        starts = [node.loc.start for node in selected.nodes if node.loc is not None]
        place = replace(operation.place, starts=(*operation.place.starts, *starts), type="stream")
        document = Document(self._schema, operation.fragments)
        plan = await context.plans.find(
            place, selected.nodes, request, document, partial(statement, selected=selected, whole=True)
        )
        if plan.is_runnable:
            return plan, True
        parts = replace(place, type="stream of parts")
        value = partial(statement, selected=selected, whole=False)
        return await context.plans.find(parts, selected.nodes, request, document, value), False

    async def _completed(self, operation: Operation, variables: VariableValues, context: Context, json: bytes) -> bytes:
        return await self._complete(operation, variables, context, loads(json))
