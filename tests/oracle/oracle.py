"""Answers queries as the API does, from the schema's text and rows alone."""

import asyncio
import json
from collections.abc import AsyncIterable, Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import CoroutineType
from typing import Any, TypeGuard, cast

import asyncpg
import orjson
from graphql import (
    DocumentNode,
    ExecutionResult,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLObjectType,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    build_schema,
    execute,
    get_operation_ast,
    parse,
    validate,
)
from graphql.execution.values import VariableValues, get_variable_values

from tests.oracle.arguments import Refused, Selections
from tests.oracle.curation import bind_curation
from tests.oracle.errors import formatted, refused
from tests.oracle.jobs import bind_jobs
from tests.oracle.loading import Row, Session
from tests.oracle.queries import bind_queries
from tests.oracle.scalars import bind_scalars

DOCUMENTS = 1_024
MOST_ERRORS = 10
AWAITABLE = (asyncio.Future, CoroutineType)


@dataclass(frozen=True, slots=True)
class Document:
    """A text that was parsed and validated."""

    parsed: DocumentNode | None
    errors: tuple[Mapping[str, Any], ...] = ()
    fragments: Mapping[str, FragmentDefinitionNode] = field(default_factory=dict)


class Oracle:
    """A schema over a database. `base_models` are rows with the columns of a BaseModel, such as display_name."""

    def __init__(self, sdl: str, pool: "asyncpg.Pool[Row]", base_models: Sequence[Mapping[str, Any]] = ()) -> None:
        self._schema = build_schema(sdl)
        self._pool = pool
        self._base_models = base_models
        self._documents = lru_cache(DOCUMENTS)(self._read)
        for bind in (bind_scalars, bind_curation, bind_jobs, bind_queries):
            bind(self._schema)

    async def answer(
        self, text: str, variables: Mapping[str, Any] | None = None, operation_name: str | None = None
    ) -> dict[str, Any]:
        """The answer as a client reads it: `data`, `errors` or both."""
        read: dict[str, Any] = json.loads(await self.body(text, variables, operation_name))
        return read

    async def body(
        self, text: str, variables: Mapping[str, Any] | None = None, operation_name: str | None = None
    ) -> bytes:
        """The answer as it is sent: JSON values of the database stand in it as they are stored."""
        answer = await self._answer(text, variables or {}, operation_name)
        if "errors" in answer:  # they may quote what orjson does not write, such as lone surrogates
            answer["errors"] = orjson.Fragment(json.dumps(answer["errors"]))
        return orjson.dumps(answer)

    async def _answer(self, text: str, variables: Mapping[str, Any], name: str | None) -> dict[str, Any]:
        document = self._documents(text)
        parsed = document.parsed
        if parsed is None:
            return refused("", document.errors)
        operation = get_operation_ast(parsed, name)
        if operation is None:
            return refused(_which(parsed, name))
        if operation.operation is not OperationType.QUERY:
            return refused("only queries are answered here")
        found = self._refused(document, operation, variables)
        errors: dict[str | int, Exception] = {key: refused_field.error for key, refused_field in found.items()}
        if not all(refused_field.nullable for refused_field in found.values()):
            parsed = _reduced(parsed, operation, found.values())
        result = execute(
            self._schema,
            parsed,
            context_value=Session(self._pool, self._base_models, errors),
            variable_values=dict(variables),
            operation_name=operation.name.value if operation.name else None,
            is_awaitable=_is_awaitable,
            is_async_iterable=_is_async_iterable,
        )
        return formatted(await result if _is_awaitable(result) else cast("ExecutionResult", result))

    def _refused(
        self, document: Document, operation: OperationDefinitionNode, variables: Mapping[str, Any]
    ) -> Mapping[str, Refused]:
        coerced = get_variable_values(self._schema, operation.variable_definitions or (), dict(variables))
        if not isinstance(coerced, VariableValues):
            return {}  # which is what executing ends with
        selections = Selections(self._schema, document.fragments, coerced)
        return selections.refused(cast("GraphQLObjectType", self._schema.query_type), operation.selection_set)

    def _read(self, text: str) -> Document:
        try:
            parsed = parse(text)
        except GraphQLError as error:
            return Document(None, (error.formatted,))
        errors = tuple(error.formatted for error in validate(self._schema, parsed, max_errors=MOST_ERRORS))
        if errors:
            return Document(None, errors)
        fragments = (node for node in parsed.definitions if isinstance(node, FragmentDefinitionNode))
        return Document(parsed, fragments={fragment.name.value: fragment for fragment in fragments})


def _reduced(
    document: DocumentNode, operation: OperationDefinitionNode, refused_fields: Iterable[Refused]
) -> DocumentNode:
    """The document with the refused root fields alone: one of them makes the whole answer null."""
    nodes = tuple(node for refused_field in refused_fields for node in refused_field.nodes)
    alone = OperationDefinitionNode(
        operation=operation.operation,
        name=operation.name,
        variable_definitions=operation.variable_definitions,
        directives=operation.directives,
        selection_set=SelectionSetNode(selections=nodes),
    )
    return DocumentNode(definitions=tuple(alone if node is operation else node for node in document.definitions))


def _is_awaitable(value: object) -> TypeGuard[Awaitable[Any]]:
    """Quicker than graphql-core's own: no resolver gives anything else that can be awaited."""
    return isinstance(value, AWAITABLE)


def _is_async_iterable(_value: object) -> TypeGuard[AsyncIterable[Any]]:
    return False


def _which(document: DocumentNode, name: str | None) -> str:
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    names = ", ".join(node.name.value if node.name else "(unnamed)" for node in operations)
    if not operations:
        return "the document has no operation"
    if name is None:
        return f"the document has several operations; name one of them in operationName: {names}"
    return f"the document has no operation called {name[:100]!a}; it has {names}"
