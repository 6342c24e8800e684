"""How fields get their resolvers: those that are named, and for all others the column of the same name."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import orjson
from graphql import GraphQLObjectType, GraphQLScalarType, GraphQLSchema, get_named_type, get_nullable_type, is_list_type

from tests.oracle.arguments import CHECK, Check, Info

Resolve: TypeAlias = Callable[..., Any]
CAPITAL = re.compile(r"(?<!^)([A-Z])")


@dataclass(frozen=True, slots=True)
class Field:
    """A resolver of a field, and what it refuses."""

    resolve: Resolve
    check: Check | None = None


def bind(type_: GraphQLObjectType, fields: Mapping[str, Field | Resolve]) -> None:
    """Give every field of a type its resolver. Raises KeyError for a name that the type does not have."""
    for name, chosen in fields.items():
        definition = type_.fields[name]
        whole = chosen if isinstance(chosen, Field) else Field(chosen)
        definition.resolve = whole.resolve
        definition.extensions = {**definition.extensions, CHECK: whole.check}
    for name, definition in type_.fields.items():
        if name not in fields:
            scalar = get_named_type(definition.type)
            single = not is_list_type(get_nullable_type(definition.type))
            definition.resolve = _column(CAPITAL.sub(r"_\1", name).lower(), scalar.name if single else "")


def object_type(schema: GraphQLSchema, name: str) -> GraphQLObjectType:
    """An object type that the schema must have."""
    found = schema.type_map[name]
    if not isinstance(found, GraphQLObjectType):
        raise TypeError(f"{name} is no object type")
    return found


def scalar_type(schema: GraphQLSchema, name: str) -> GraphQLScalarType:
    """A scalar that the schema must have."""
    found = schema.type_map[name]
    if not isinstance(found, GraphQLScalarType):
        raise TypeError(f"{name} is no scalar")
    return found


def _column(name: str, scalar: str) -> Resolve:
    def resolve(source: Any, _info: Info) -> Any:  # noqa: ANN401
        return source[name]

    def resolve_float(source: Any, _info: Info) -> float | None:  # noqa: ANN401
        return finite(source[name])

    def resolve_json(source: Any, _info: Info) -> orjson.Fragment | None:  # noqa: ANN401
        """As the database wrote it: with its own order of keys and its own numbers."""
        text = source[name]
        return None if text is None or text.strip() == "null" else orjson.Fragment(text)

    return {"Float": resolve_float, "JSON": resolve_json}.get(scalar, resolve)


def finite(value: float | None) -> float | None:
    """A number that JSON has, or None."""
    return value if value is not None and math.isfinite(value) else None


def of_row(table: str, column: str) -> Resolve:
    """The row of another table that a column names by its id."""

    def resolve(source: Any, info: Info) -> Any:  # noqa: ANN401
        key = source[column]
        return None if key is None else info.context.row(table, key)

    return resolve
