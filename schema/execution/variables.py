"""The values of an operation's variables."""

from collections.abc import Mapping, Sequence
from types import EllipsisType
from typing import Any, Final

from graphql import (
    GraphQLEnumType,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLSchema,
    OperationDefinitionNode,
    VariableDefinitionNode,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    specified_scalar_types,
    type_from_ast,
)
from graphql.execution.get_variable_signature import GraphQLVariableSignature, get_variable_signature
from graphql.execution.values import VariableValues, VariableValueSource, get_variable_values

MOST_ERRORS: Final = 10
LONGEST_LIST: Final = 10_000  # items
MOST_WORDS: Final = 1_000  # in a list of enum values, each of which would do once
FEW_ENTRIES: Final = 500  # takes about a millisecond to coerce

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
        self._signatures = _signatures(schema, self._definitions)
        self._plain = [(definition.variable.name.value, _plain(schema, definition)) for definition in self._definitions]

    def coerced(self, given: Mapping[str, Any]) -> VariableValues | list[GraphQLError]:
        """The values, or what is wrong with them: ten errors at most, and one more that says so."""
        sources, values = {}, {}
        for name, types in self._plain:
            value = given.get(name, ...)
            if type(value) not in types:
                return self._coerced_by_type(given)
            if value is not ...:
                sources[name] = VariableValueSource(self._signatures[name], value)
                values[name] = value
        return VariableValues(sources, values)

    def _coerced_by_type(self, given: Mapping[str, Any]) -> VariableValues | list[GraphQLError]:
        for definition in self._definitions:
            name = definition.variable.name.value
            signature = self._signatures.get(name)
            if signature is not None and _has_long_list(given.get(name), signature.type):
                message = (
                    f"Variable '${name}' has a list of more than {LONGEST_LIST:,} items, or of more than"
                    f" {MOST_WORDS:,} words; send less at once."
                )
                return [GraphQLError(message, definition, extensions={"code": "TOO_LARGE"})]
        return get_variable_values(
            self._schema,
            self._definitions,
            dict(given),
            max_errors=MOST_ERRORS,
            hide_suggestions=is_large(given),
        )


def is_large(given: Mapping[str, Any], limit: int = FEW_ENTRIES) -> bool:
    """Whether variables hold more than `limit` values, however deep; it is not counted further."""
    if len(given) <= limit and not any(isinstance(value, list | dict) for value in given.values()):
        return False  # as most are
    count, waiting = 0, list(given.values())
    while waiting:
        value = waiting.pop()
        count += 1
        size = len(value) if isinstance(value, list | dict) else 0
        if count + len(waiting) + size > limit:
            return True
        if size:
            waiting += value.values() if isinstance(value, dict) else value
    return False


def _has_long_list(value: object, type_: GraphQLInputType) -> bool:
    """Whether a list that the type asks for is too long; the value of a scalar of any form is not looked into."""
    waiting: list[tuple[object, GraphQLInputType]] = [(value, type_)]
    while waiting:
        part, expected = waiting.pop()
        named = get_nullable_type(expected)
        if isinstance(named, GraphQLList) and isinstance(part, list):
            if len(part) > (MOST_WORDS if isinstance(get_named_type(named), GraphQLEnumType) else LONGEST_LIST):
                return True
            if not is_leaf_type(get_nullable_type(named.of_type)):
                waiting += [(item, named.of_type) for item in part]
        elif isinstance(named, GraphQLInputObjectType) and isinstance(part, dict):
            waiting += [(part[name], field.type) for name, field in named.fields.items() if name in part]
    return False


def _signatures(
    schema: GraphQLSchema, definitions: Sequence[VariableDefinitionNode]
) -> Mapping[str, GraphQLVariableSignature]:
    """What graphql-core makes of each definition; validation has seen to it that it is no error."""
    found = [get_variable_signature(schema, definition) for definition in definitions]
    return {signature.name: signature for signature in found if not isinstance(signature, GraphQLError)}


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
