"""Executing an operation, whichever way it came in: the same context, the same errors.

A query that SQL can answer alone is one statement, whose bytes are the answer. All else runs under graphql-core, and
so does whatever ends in an error of the client's: graphql-core words it.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from inspect import isawaitable
from typing import Any

from graphql import (
    ExecutionResult,
    GraphQLError,
    GraphQLFormattedError,
    GraphQLSchema,
    OperationType,
    execute,
)
from graphql.execution.values import VariableValues

from schema.execution.documents import Documents, Operation, Refusal
from schema.execution.errors import masked
from schema.execution.json_text import encode
from schema.execution.subscribers import Payload, Subscriber
from schema.execution.subscriptions import Subscriptions
from schema.reads.arguments import Request
from schema.reads.context import Context
from schema.reads.selection import Document


@dataclass(frozen=True, slots=True)
class Prepared:
    """An operation with the values of its variables."""

    operation: Operation
    variables: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as JSON. `unexecuted` has the errors of an operation that ended outside any of its fields."""

    json: bytes
    unexecuted: Sequence[GraphQLFormattedError] = ()


class Execution:
    """One schema at work."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._documents = Documents(schema)
        self.subscriptions = Subscriptions(schema, self._completed)

    async def prepare(self, payload: object) -> Prepared:
        """What a client's JSON asks for. Raises `Refusal`."""
        if not isinstance(payload, dict):
            raise _refusal("the request must be a JSON object with a query")
        text, name, variables = payload.get("query"), payload.get("operationName"), payload.get("variables")
        if not isinstance(text, str):
            raise _refusal("query must be a string")
        if name is not None and not isinstance(name, str):
            raise _refusal("operationName must be a string")
        if variables is not None and not isinstance(variables, dict):
            raise _refusal("variables must be an object")
        if not isinstance(payload.get("extensions"), dict | None):
            raise _refusal("extensions must be an object")
        return Prepared(self._documents.operation(text, name), variables or {})

    async def answer(self, prepared: Prepared, context: Context) -> Answer:
        """The answer to a query or a mutation."""
        if prepared.operation.type is OperationType.QUERY:
            answer = await self._compiled(prepared, context)
            if answer is not None:
                return answer
        return await self._executed(prepared, context)

    async def _compiled(self, prepared: Prepared, context: Context) -> Answer | None:
        """The answer of one statement; None where graphql-core has to answer."""
        operation = prepared.operation
        variables = operation.variables.coerced(prepared.variables)
        if not isinstance(variables, VariableValues):
            return None
        request = Request(context.caller, variables)
        try:
            plan = await context.plans.find(
                operation.place,
                request,
                Document(self._schema, operation.fragments),
                lambda compiler: compiler.query(operation.definition),
            )
            values = plan.filled(request)
            if not plan.answers:
                return None
            data = await plan.run(context.services.database.reads, values)
        except GraphQLError:
            return None
        except Exception as error:  # noqa: BLE001  (it is logged and masked)
            return failed(error, executed=True)
        return Answer(b'{"data":%b}' % (data or b"null"))

    async def _executed(self, prepared: Prepared, context: Context) -> Answer:
        """The answer of graphql-core. Introspection takes long, and stays beside the event loop."""
        operation = prepared.operation
        run = partial(
            execute,
            self._schema,
            operation.document,
            context_value=context,
            variable_values=dict(prepared.variables),
            operation_name=_name(operation),
        )
        result = await asyncio.to_thread(run) if operation.introspects else run()
        return formatted(await result if isawaitable(result) else result)

    async def answers(self, prepared: Prepared, context: Context) -> AsyncGenerator[Answer]:
        """The answers of any operation: a subscription has many. Closing the iterator ends the subscription."""
        if prepared.operation.type is not OperationType.SUBSCRIPTION:
            yield await self.answered(prepared, context)
            return
        woken = asyncio.Event()
        subscriber = await self.subscribe(prepared, context, woken.set)
        try:
            while True:
                item = subscriber.take()
                if item is None:
                    await woken.wait()
                    woken.clear()
                elif isinstance(item, Payload):
                    yield Answer(item.json)
                else:
                    if item.errors:
                        yield refused(item.errors)
                    return
        finally:
            subscriber.close()

    async def answered(self, prepared: Prepared, context: Context) -> Answer:
        """The answer to a query or a mutation; whatever goes wrong is an answer too."""
        try:
            return await self.answer(prepared, context)
        except Exception as error:  # noqa: BLE001  (it is logged and masked)
            return failed(error)

    async def subscribe(self, prepared: Prepared, context: Context, wake: Callable[[], None]) -> Subscriber:
        """A subscriber of a subscription; `wake` is called when there is something to take. It must be closed.

        One that can't be followed has its ending right away.
        """
        try:
            return await self.subscriptions.join(prepared.operation, prepared.variables, context, wake)
        except Refusal as refusal:
            errors: Sequence[GraphQLFormattedError] = refusal.errors
        except Exception as error:  # noqa: BLE001  (it is logged and masked, and ends this subscription alone)
            errors = failed(error).unexecuted
        subscriber = Subscriber(wake)
        subscriber.end(errors)
        return subscriber

    async def _completed(
        self, operation: Operation, variables: Mapping[str, Any], context: Context, root: object
    ) -> bytes:
        """The result of an operation on what was read for it."""
        result = execute(
            self._schema,
            operation.document,
            root_value=root,
            context_value=context,
            variable_values=dict(variables),
            operation_name=_name(operation),
        )
        return formatted(await result if isawaitable(result) else result).json


def formatted(result: ExecutionResult) -> Answer:
    """A result as clients get it: errors masked, and no `data` where nothing was executed."""
    errors = result.errors or ()
    if not errors:
        return Answer(encode({"data": result.data}))
    if result.data is None and not any(error.path for error in errors):
        return unexecuted(errors)
    return Answer(encode({"errors": _formatted(errors), "data": result.data}))


def unexecuted(errors: Sequence[GraphQLError]) -> Answer:
    """The answer of an operation that ended outside any of its fields."""
    return refused(_formatted(errors))


def failed(error: Exception, *, executed: bool = False) -> Answer:
    """The answer of an operation that something unforeseen ended; `executed` when it was at work in the database."""
    worded = error if isinstance(error, GraphQLError) else GraphQLError(str(error), original_error=error)
    return Answer(encode({"errors": _formatted([worded]), "data": None})) if executed else unexecuted([worded])


def refused(errors: Sequence[GraphQLFormattedError]) -> Answer:
    """The answer to a request that was not executed."""
    return Answer(encode({"errors": errors}), errors)


def _formatted(errors: Sequence[GraphQLError]) -> list[GraphQLFormattedError]:
    return [masked(error).formatted for error in errors]


def _refusal(message: str) -> Refusal:
    return Refusal([{"message": message, "extensions": {"code": "BAD_REQUEST"}}])


def _name(operation: Operation) -> str | None:
    return operation.definition.name.value if operation.definition.name else None
