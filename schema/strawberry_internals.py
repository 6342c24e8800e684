"""What this program uses of Strawberry that Strawberry does not document: all of it stands here, for upgrades."""

from collections.abc import Callable, Mapping
from typing import Any, Final, cast

import strawberry
from graphql import (
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    get_named_type,
    is_input_object_type,
)
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.field import StrawberryField

BACK_REFERENCE: Final = "strawberry-definition"  # in the extensions of graphql-core's types and fields


def core_schema(schema: strawberry.Schema) -> GraphQLSchema:
    """The schema as graphql-core has it."""
    return schema._schema  # noqa: SLF001


def core_info(info: "strawberry.Info[Any, Any]") -> GraphQLResolveInfo[Any]:
    """What graphql-core tells a resolver."""
    return info._raw_info  # noqa: SLF001


def field_definition(field: GraphQLField) -> StrawberryField | None:
    """The declaration of a field; None for those of introspection."""
    return cast("StrawberryField | None", field.extensions.get(BACK_REFERENCE))


def origin(type_: GraphQLObjectType | GraphQLInputObjectType) -> type | None:
    """The class that a type was declared as; None for those of introspection."""
    definition = _definition(type_)
    return None if definition is None else definition.origin


def build_inputs_when_coerced(schema: GraphQLSchema) -> None:
    """Let graphql-core make the objects of the inputs of mutations, as part of coercing their values.

    Strawberry makes them when a resolver is called, on the event loop, at 40 µs each: 0.2 s for a thousand pairs.
    """
    if schema.mutation_type is None:
        return
    for field in schema.mutation_type.fields.values():
        for argument in field.args.values():
            _build_when_coerced(argument.type)


def _build_when_coerced(type_: GraphQLInputType) -> None:
    named = get_named_type(type_)
    if not is_input_object_type(named) or (definition := _definition(named)) is None:
        return
    named.out_type = _builder(named, definition)  # type: ignore[method-assign, assignment]  # as its constructor would
    definition.from_input = _as_it_is
    for field in named.fields.values():
        _build_when_coerced(field.type)


def _builder(type_: GraphQLInputObjectType, definition: StrawberryObjectDefinition) -> Callable[[dict[str, Any]], Any]:
    """What makes an object of the coerced members of an input. A nullable member without a default is null."""
    names = {name: _python_name(field.extensions[BACK_REFERENCE]) for name, field in type_.fields.items()}
    return lambda members: definition.origin(**{names[name]: value for name, value in members.items()})


def _as_it_is(_type: type, value: Mapping[str, Any], _context: object) -> object:
    return value


def _python_name(field: StrawberryField) -> str:
    return field.python_name


def _definition(type_: GraphQLObjectType | GraphQLInputObjectType) -> StrawberryObjectDefinition | None:
    return cast("StrawberryObjectDefinition | None", type_.extensions.get(BACK_REFERENCE))
