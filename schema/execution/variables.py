"""The values of an operation's variables."""

from collections.abc import Mapping
from types import EllipsisType
from typing import Any, Final

from graphql import (
    GraphQLError,
    GraphQLNonNull,
    GraphQLSchema,
    OperationDefinitionNode,
    VariableDefinitionNode,
    specified_scalar_types,
    type_from_ast,
)
from graphql.execution.values import VariableValues, get_variable_values

AS_THEY_ARE: Final[Mapping[object, type]] = {
    specified_scalar_types["ID"]: str,
    specified_scalar_types["String"]: str,
    specified_scalar_types["Boolean"]: bool,
}


class Variables:
    """Coerces what clients send for the variables of one operation.

    Most operations take a few texts, which are their own values: for these, graphql-core need not go over the types.
    """

    def __init__(self, schema: GraphQLSchema, operation: OperationDefinitionNode) -> None:
        self._schema = schema
        self._definitions = operation.variable_definitions or ()
        self._plain = [(definition.variable.name.value, _plain(schema, definition)) for definition in self._definitions]

    def coerced(self, given: Mapping[str, Any]) -> VariableValues | list[GraphQLError]:
        """The values, or what is wrong with them."""
        found = {}
        for name, types in self._plain:
            value = given.get(name, ...)
            if type(value) not in types:
                return get_variable_values(self._schema, self._definitions, dict(given))
            if value is not ...:
                found[name] = value
        return VariableValues({}, found)


def _plain(schema: GraphQLSchema, definition: VariableDefinitionNode) -> tuple[type, ...]:
    """The types of the values that stay as they are; that of the ellipsis stands for a value that is left out."""
    type_ = type_from_ast(schema, definition.type)
    own = AS_THEY_ARE.get(type_.of_type if isinstance(type_, GraphQLNonNull) else type_)
    if own is None:
        return ()
    nothing = (
        ()
        if isinstance(type_, GraphQLNonNull)
        else (type(None),)
        if definition.default_value
        else (type(None), EllipsisType)
    )
    return (own, *nothing)
