"""Executing an operation, whichever way it came in: the same context, the same errors.

A query that SQL can answer alone is one statement, whose bytes are the response. All else runs under graphql-core, and
so does whatever ends in an error of the client's: graphql-core words it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from inspect import isawaitable
from typing import Final, cast

from graphql import (
    ExecutionResult,
    GraphQLError,
    GraphQLFormattedError,
    GraphQLSchema,
    OperationType,
)
from graphql.execution import default_field_resolver, default_type_resolver
from graphql.execution.collect_fields import FragmentDetails
from graphql.execution.executor_throwing_on_incremental import ExecutorThrowingOnIncremental
from graphql.execution.values import VariableValues

from schema.execution.documents import Operation, Refusal
from schema.execution.errors import clipped, masked
from schema.execution.json_text import encode
from schema.execution.preparation import Preparation, Prepared
from schema.execution.subscribers import Subscriber, Write, queued
from schema.execution.subscriptions import Subscriptions
from schema.limits import LIMITS, Limits
from schema.offload import LONGEST_SECONDS, Offload, Overloaded
from schema.reads.arguments import Request
from schema.reads.context import Context
from schema.reads.plans import Place, TooLarge
from schema.reads.selection import Document

HEAVY_VALUES: Final = 100_000
HEAVY_AT_ONCE: Final = 2
MOST_INTROSPECTIONS: Final = 8  # results that are kept; tools have a few queries between them
LARGEST_KEPT_BYTES: Final = 512 * 1024


@dataclass(frozen=True, slots=True)
class Response:
    """An response as JSON. `unexecuted` has the errors of an operation that ended outside any of its fields."""

    json: bytes
    unexecuted: Sequence[GraphQLFormattedError] = ()


class Execution:
    """One schema at work."""

    def __init__(self, schema: GraphQLSchema, offload: Offload, limits: Limits = LIMITS) -> None:
        self._schema = schema
        self.offload = offload
        self.limits = limits
        self.subscriptions = Subscriptions(schema, self._completed)
        self._preparation = Preparation(schema, offload, limits)
        self._heavy = asyncio.Semaphore(HEAVY_AT_ONCE)
        self._introspections: dict[Place, Response] = {}

    async def prepare(self, payload: object) -> Prepared:
        """What a client's JSON asks for. Raises `Refusal`."""
        return await self._preparation.prepare(payload)

    async def execute(self, prepared: Prepared, context: Context) -> Response:
        """The response to a query or a mutation."""
        try:
            if prepared.cost.values <= HEAVY_VALUES:
                return await self._execute(prepared, context)
            async with self._turn():
                return await self._execute(prepared, context)
        except Overloaded as error:
            return failed(error)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Let few operations at once come to much: their results are large. Raises `Overloaded` after a while."""
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                await self._heavy.acquire()
        except TimeoutError:
            raise Overloaded from None
        try:
            yield
        finally:
            self._heavy.release()

    async def _execute(self, prepared: Prepared, context: Context) -> Response:
        if prepared.operation.type is OperationType.QUERY:
            response = await self._compiled(prepared, context)
            if response is not None:
                return response
        return await self._executed(prepared, context)

    async def _compiled(self, prepared: Prepared, context: Context) -> Response | None:
        """The response of one statement; None where graphql-core has to answer."""
        operation = prepared.operation
        request = Request(context.caller, prepared.coerced)
        try:
            plan = await context.plans.find(
                operation.place,
                [operation.definition],
                request,
                Document(self._schema, operation.fragments),
                lambda compiler: compiler.query(operation.definition),
            )
            values = plan.filled(request)
            if not plan.is_runnable:
                return None
            data = await plan.run(context.services.database.reads, values)
        except Overloaded:
            raise
        except TooLarge as error:
            return failed(error, executed=True)
        except GraphQLError:
            return None
        except Exception as error:  # noqa: BLE001  (it is logged and masked)
            return failed(error, executed=True)
        return Response(b'{"data":%b}' % (data or b"null"))

    async def _executed(self, prepared: Prepared, context: Context) -> Response:
        """The response of graphql-core."""
        if prepared.operation.introspects:
            return await self._introspected(prepared, context)
        result = self._executor(prepared.operation, prepared.coerced, context).execute_operation()
        return self._formatted(await result if isawaitable(result) else result)

    async def _introspected(self, prepared: Prepared, context: Context) -> Response:
        """The response to what asks about the schema, which takes up to a second, and is the same each time."""
        place = prepared.operation.place
        fixed = prepared.cost.is_meta and not prepared.operation.definition.variable_definitions
        if fixed and (known := self._introspections.get(place)) is not None:
            return known
        result = await self.offload.run(
            self._executor(prepared.operation, prepared.coerced, context).execute_operation, quick=False
        )
        response = self._formatted(await result if isawaitable(result) else result)
        if fixed and len(response.json) <= LARGEST_KEPT_BYTES:
            self._introspections[place] = response
            if len(self._introspections) > MOST_INTROSPECTIONS:
                del self._introspections[next(iter(self._introspections))]
        return response

    def _formatted(self, result: object) -> Response:
        response = formatted(cast("ExecutionResult", result))
        if len(response.json) > self.limits.result_bytes:
            return failed(TooLarge(len(response.json), self.limits.result_bytes), executed=True)
        return response

    def _executor(
        self, operation: Operation, variables: VariableValues, context: Context, root: object = None
    ) -> ExecutorThrowingOnIncremental:
        """What executes an operation whose variables are coerced already; `graphql.execute` would do it again."""
        fragments = dict(operation.fragments)
        return ExecutorThrowingOnIncremental(
            self._schema,
            fragments,
            {name: FragmentDetails(definition) for name, definition in fragments.items()},
            root,
            context,
            operation.definition,
            variables,
            default_field_resolver,
            default_type_resolver,
            default_field_resolver,
        )

    def with_cost(self, response: Response, prepared: Prepared) -> bytes:
        """The response, with what the operation might have come to, and what any may, in its extensions."""
        cost = encode({"cost": {"requested": prepared.cost.values, "limit": prepared.cost.limit(self.limits)}})
        return b'%b,"extensions":%b}' % (response.json[:-1], cost)

    async def execute_masked(self, prepared: Prepared, context: Context) -> Response:
        """The response to a query or a mutation; whatever goes wrong is an response too."""
        try:
            return await self.execute(prepared, context)
        except Exception as error:  # noqa: BLE001  (it is logged and masked)
            return failed(error)

    async def subscribe(
        self, prepared: Prepared, context: Context, wake: Callable[[], None], write: Write = queued
    ) -> Subscriber:
        """A subscriber of a subscription; for `wake` and `write` see there. It must be closed.

        One that can't be followed has its ending right away.
        """
        try:
            return await self.subscriptions.join(prepared.operation, prepared.coerced, context, wake, write)
        except Refusal as refusal:
            errors: Sequence[GraphQLFormattedError] = refusal.errors
        except Exception as error:  # noqa: BLE001  (it is logged and masked, and ends this subscription alone)
            errors = failed(error).unexecuted
        subscriber = Subscriber(wake)
        subscriber.end(errors)
        return subscriber

    async def _completed(
        self, operation: Operation, variables: VariableValues, context: Context, root: object
    ) -> bytes:
        """The result of an operation on what was read for it."""
        result = self._executor(operation, variables, context, root).execute_operation()
        return self._formatted(await result if isawaitable(result) else result).json


def formatted(result: ExecutionResult) -> Response:
    """A result as clients get it: errors masked, and no `data` where nothing was executed."""
    errors = result.errors or ()
    if not errors:
        return Response(encode({"data": result.data}))
    if result.data is None and not any(error.path for error in errors):
        return unexecuted(errors)
    return Response(encode({"errors": _formatted(errors), "data": result.data}))


def unexecuted(errors: Sequence[GraphQLError]) -> Response:
    """The response of an operation that ended outside any of its fields."""
    return refused(_formatted(errors))


def failed(error: Exception, *, executed: bool = False) -> Response:
    """The response of an operation that something unforeseen ended; `executed` when it was at work in the database."""
    worded = error if isinstance(error, GraphQLError) else GraphQLError(str(error), original_error=error)
    return Response(encode({"errors": _formatted([worded]), "data": None})) if executed else unexecuted([worded])


def refused(errors: Sequence[GraphQLFormattedError]) -> Response:
    """The response to a request that was not executed."""
    return Response(encode({"errors": errors}), errors)


def _formatted(errors: Sequence[GraphQLError]) -> list[GraphQLFormattedError]:
    return [clipped(masked(error)).formatted for error in errors]
