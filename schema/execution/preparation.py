"""From a client's JSON to an operation that may be executed: its document, its variables, its cost."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from graphql import GraphQLError, GraphQLSchema
from graphql.execution.values import VariableValues

from schema.execution.cost import Cost
from schema.execution.documents import QUICK_CHARACTERS, Documents, Operation, Refusal
from schema.execution.variables import is_large
from schema.limits import Limits
from schema.offload import Offload

QUICK_ENTRIES: Final = 5_000  # values of variables; up to 30 ms to coerce


@dataclass(frozen=True, slots=True)
class Prepared:
    """An operation with the values of its variables: as they were sent, and as the schema's types have them."""

    operation: Operation
    variables: Mapping[str, Any]
    coerced: VariableValues
    cost: Cost


class Preparation:
    """What comes before an operation is executed. What takes long is done beside the event loop."""

    def __init__(self, schema: GraphQLSchema, offload: Offload, limits: Limits) -> None:
        self._offload = offload
        self._limits = limits
        self._documents = Documents(schema, offload)

    async def prepare(self, payload: object) -> Prepared:
        """What a client's JSON asks for. Raises `Refusal`."""
        text, name, given = _asked(payload)
        operation = self._documents.known(text, name) or await self._documents.operation(text, name)
        try:
            large = is_large(given)
            variables = await self._coerced(operation, given) if large else operation.variables.coerced(given)
            if not isinstance(variables, VariableValues):
                raise Refusal.because(variables)
            cost = operation.costs.known(variables) or await self._cost(operation, variables)
            cost.refuse_beyond(self._limits)
        except GraphQLError as error:
            raise Refusal.because([error]) from None
        return Prepared(operation, given, variables, cost)

    async def _coerced(self, operation: Operation, given: Mapping[str, Any]) -> VariableValues | list[GraphQLError]:
        quick = not is_large(given, QUICK_ENTRIES)
        return await self._offload.run(operation.variables.coerced, given, quick=quick)

    async def _cost(self, operation: Operation, variables: VariableValues) -> Cost:
        if len(operation.place.text) <= QUICK_CHARACTERS:
            return operation.costs.compute(variables)
        return await self._offload.run(operation.costs.compute, variables, quick=False)


def _asked(payload: object) -> tuple[str, str | None, Mapping[str, Any]]:
    """Text, operation name and variables of a request. Raises `Refusal`."""
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
    return text, name, variables or {}


def _refusal(message: str) -> Refusal:
    return Refusal([{"message": message, "extensions": {"code": "BAD_REQUEST"}}])
