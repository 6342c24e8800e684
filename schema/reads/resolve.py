"""Compiled reads under graphql-core: a field that returns a mapped type reads its selection with one statement."""

import inspect
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from graphql import (
    FieldNode,
    GraphQLAbstractType,
    GraphQLField,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    OperationType,
    get_named_type,
    is_abstract_type,
    is_introspection_type,
    is_object_type,
)
from graphql.execution.values import VariableValues

from schema.reads.arguments import Request
from schema.reads.compiler import TYPE, declared, is_read
from schema.reads.context import Context
from schema.reads.declare import Computed, Followed, Lookup, Relation
from schema.reads.plans import Place, Plan, TooLarge, Value
from schema.reads.selection import Document
from schema.strawberry_internals import field_definition

MOST_BYTES_IN_PYTHON = 4 * 1024 * 1024

ResolveInfo: TypeAlias = GraphQLResolveInfo[Context]


@dataclass(frozen=True, slots=True)
class Ref:
    """An object to read: the name of its type, and its key (an id, or the ids of what was written)."""

    type: str
    key: object


def attach(schema: GraphQLSchema) -> None:
    """Let every declared field of a schema be read by compiled statements. Called once, when the schema is built."""
    roots = {schema.query_type, schema.mutation_type, schema.subscription_type}
    for type_ in schema.type_map.values():
        if is_introspection_type(type_):
            continue
        if is_object_type(type_):
            if is_read(type_):
                type_.is_type_of = None
            for field in type_.fields.values():
                _attach_field(field, root=type_ in roots)
        elif is_abstract_type(type_):
            _attach_abstract(type_)


def _attach_field(field: GraphQLField, *, root: bool) -> None:
    read = declared(field)
    if root and isinstance(read, Relation | Lookup):
        field.resolve = _resolve_declared
    elif isinstance(read, Followed):
        field.resolve = _resolve_payload
    elif root:
        field.resolve = _following_refs(cast("Callable[..., Any]", field.resolve))
    elif read is not None and not isinstance(read, Computed):
        field.resolve = _resolve_key


def _attach_abstract(type_: GraphQLAbstractType) -> None:
    otherwise = type_.resolve_type

    def resolve_type(value: Any, info: ResolveInfo, abstract: GraphQLAbstractType) -> Any:  # noqa: ANN401
        if isinstance(value, dict):
            return value[TYPE]
        return otherwise(value, info, abstract) if otherwise is not None else None

    type_.resolve_type = resolve_type


def _resolve_key(source: Any, info: ResolveInfo, **_arguments: Any) -> Any:  # noqa: ANN401
    """A field of an object that SQL assembled, under its response key; or of one that Python made."""
    if isinstance(source, dict):
        return source[info.path.key]
    definition = field_definition(info.parent_type.fields[info.field_name])
    return getattr(source, definition.python_name) if definition is not None else None


def _resolve_payload(source: Any, _info: ResolveInfo, **_arguments: Any) -> Any:  # noqa: ANN401
    """What is told of a stream: the object that a statement read, with what Python still has to complete."""
    return source


async def _resolve_declared(_source: object, info: ResolveInfo, **_arguments: Any) -> Any:  # noqa: ANN401
    parent = info.parent_type
    definition = parent.fields[info.field_name]
    return await run_plan(info, parent.name, None, lambda compiler: compiler.field(definition, info.field_nodes))


def _following_refs(resolve: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """A Python resolver that may answer with a `Ref`, which is then read."""

    async def resolved(source: Any, info: ResolveInfo, **arguments: Any) -> Any:  # noqa: ANN401
        if info.operation.operation is OperationType.MUTATION:
            await _refuse_bad_arguments(info)
        value = resolve(source, info, **arguments)
        if inspect.isawaitable(value):
            value = await value
        return await read(info, value) if isinstance(value, Ref) else value

    return resolved


async def _refuse_bad_arguments(info: ResolveInfo) -> None:
    """Raise `BadArgument` for what is selected of a mutation's result, before anything is written."""
    result = get_named_type(info.return_type)
    for type_ in info.schema.get_possible_types(result) if is_abstract_type(result) else ():
        if is_read(type_):
            plan, request = await _planned(info, type_.name, None, _of_ref(info, type_.name))
            plan.filled(request)


async def read(info: ResolveInfo, ref: Ref) -> dict[str, Any] | None:
    """An object as the field's selection asks for it; None when there is none."""
    found: dict[str, Any] | None = await run_plan(info, ref.type, ref.key, _of_ref(info, ref.type))
    return found


def _of_ref(info: ResolveInfo, type_name: str) -> Value:
    type_ = cast("GraphQLObjectType", info.schema.type_map[type_name])
    return lambda compiler: compiler.written(type_, info.field_nodes)


async def run_plan(info: ResolveInfo, type_name: str, key: object, value: Value) -> Any:  # noqa: ANN401
    """The value of one statement. Its plan is kept for the field nodes that were merged, and for `type_name`.

    Raises `TooLarge`: graphql-core goes over all of it on the event loop.
    """
    plan, request = await _planned(info, type_name, key, value)
    found = await plan.run(info.context.services.database.reads, plan.filled(request))
    if found is None:
        return None
    if len(found) > MOST_BYTES_IN_PYTHON:
        raise TooLarge(len(found), MOST_BYTES_IN_PYTHON)
    return json.loads(found)


async def _planned(info: ResolveInfo, type_name: str, key: object, value: Value) -> tuple[Plan, Request]:
    variables = info.variable_values
    coerced = variables if isinstance(variables, VariableValues) else VariableValues({}, dict(variables))
    request = Request(info.context.caller, coerced, key)
    document = Document(info.schema, cast("Mapping[str, Any]", info.fragments))
    place = _place(info.field_nodes, type_name)
    return await info.context.plans.find(place, info.field_nodes, request, document, value), request


def _place(nodes: Sequence[FieldNode], type_name: str) -> Place:
    locations = [node.loc for node in nodes if node.loc is not None]  # a parsed node always has one
    return Place(locations[0].source.body, tuple(location.start for location in locations), type_name)
