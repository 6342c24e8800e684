"""Executing an operation, whichever way it came in: the same context, the same errors."""

from collections.abc import AsyncGenerator, Mapping
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
        if prepared.operation.type is not OperationType.SUBSCRIPTION:
            yield await self.answer(prepared, context)
            return
        try:
            async with aclosing(await self._subscribed(prepared, context)) as results:
                async for result in results:
                    yield formatted(result)
        except GraphQLError as error:
            yield formatted(ExecutionResult(None, [error]))
        except Exception as error:  # noqa: BLE001  (it is logged and masked, and ends this stream alone)
            yield formatted(ExecutionResult(None, [GraphQLError(str(error), original_error=error)]))

    async def _subscribed(self, prepared: Prepared, context: Context) -> AsyncGenerator[ExecutionResult]:
        stream = subscribe(
            self._schema,
            prepared.operation.document,
            context_value=context,
            variable_values=dict(prepared.variables),
            operation_name=_name(prepared.operation),
        )
        results = await stream if isawaitable(stream) else stream
        if isinstance(results, ExecutionResult):
            return _only(results)
        return cast("AsyncGenerator[ExecutionResult]", results)


async def _only(result: ExecutionResult) -> AsyncGenerator[ExecutionResult]:
    yield result


def formatted(result: ExecutionResult) -> Answer:
    """A result as clients get it: errors masked, and no `data` where nothing was executed."""
    if not result.errors:
        return {"data": result.data}
    errors = [masked(error).formatted for error in result.errors]
    executed = result.data is not None or any(error.path for error in result.errors)
    return {"errors": errors, "data": result.data} if executed else {"errors": errors}


def refused(refusal: Refusal) -> Answer:
    """The answer to a request that was not executed."""
    return {"errors": [error.formatted for error in refusal.errors]}


def _refusal(message: str) -> Refusal:
    return Refusal([GraphQLError(message, extensions={"code": "BAD_REQUEST"})])


def _name(operation: Operation) -> str | None:
    return operation.definition.name.value if operation.definition.name else None
