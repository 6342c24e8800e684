"""Executing an operation, whichever way it came in: the same context, the same errors."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any, TypeAlias, cast

from graphql import ExecutionResult, GraphQLError, GraphQLSchema, OperationType, execute, subscribe

from schema.context import Context
from schema.documents import Documents, Operation, Refusal
from schema.errors import masked

Payload: TypeAlias = Mapping[str, Any]
Answer: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Prepared:
    """An operation with the values of its variables."""

    operation: Operation
    variables: Mapping[str, Any]


class Execution:
    """One schema at work."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._documents = Documents(schema)

    def prepare(self, payload: object) -> Prepared:
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
        result = execute(
            self._schema,
            prepared.operation.document,
            context_value=context,
            variable_values=dict(prepared.variables),
            operation_name=_name(prepared.operation),
        )
        return formatted(await result if isawaitable(result) else result)

    async def answers(self, prepared: Prepared, context: Context) -> AsyncGenerator[Answer]:
        """The answers of any operation: a subscription has many. Closing the iterator ends the subscription."""
        try:
            if prepared.operation.type is not OperationType.SUBSCRIPTION:
                yield await self.answer(prepared, context)
                return
            results = await self._subscribed(prepared, context)
            if isinstance(results, ExecutionResult):
                yield unexecuted(results.errors or ())
                return
            async with aclosing(results):
                async for result in results:
                    yield formatted(result)
        except Exception as error:  # noqa: BLE001  (it is logged and masked, and ends this stream alone)
            yield failed(error)

    async def _subscribed(
        self, prepared: Prepared, context: Context
    ) -> AsyncGenerator[ExecutionResult] | ExecutionResult:
        """The results of each event, or the one that says why there are none."""
        stream = subscribe(
            self._schema,
            prepared.operation.document,
            context_value=context,
            variable_values=dict(prepared.variables),
            operation_name=_name(prepared.operation),
        )
        return cast(
            "AsyncGenerator[ExecutionResult] | ExecutionResult", await stream if isawaitable(stream) else stream
        )


def formatted(result: ExecutionResult) -> Answer:
    """A result as clients get it: errors masked, and no `data` where nothing was executed."""
    errors = result.errors or ()
    if not errors:
        return {"data": result.data}
    executed = result.data is not None or any(error.path for error in errors)
    return unexecuted(errors) | ({"data": result.data} if executed else {})


def unexecuted(errors: Sequence[GraphQLError]) -> Answer:
    """The answer of an operation that ended outside any of its fields."""
    return {"errors": [masked(error).formatted for error in errors]}


def failed(error: Exception) -> Answer:
    """The answer of an operation that something unforeseen ended."""
    worded = error if isinstance(error, GraphQLError) else GraphQLError(str(error), original_error=error)
    return unexecuted([worded])


def refused(refusal: Refusal) -> Answer:
    """The answer to a request that was not executed."""
    return {"errors": refusal.errors}


def _refusal(message: str) -> Refusal:
    return Refusal([{"message": message, "extensions": {"code": "BAD_REQUEST"}}])


def _name(operation: Operation) -> str | None:
    return operation.definition.name.value if operation.definition.name else None
