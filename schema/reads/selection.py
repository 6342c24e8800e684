"""Walking a selection: fragments opened, conditions applied, fields with one response key merged."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLDirective,
    GraphQLIncludeDirective,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLSkipDirective,
    InlineFragmentNode,
    NamedTypeNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    is_abstract_type,
)

from schema.reads.arguments import Recorder, depends_on_variables

Selecting: TypeAlias = FieldNode | OperationDefinitionNode


@dataclass(frozen=True, slots=True)
class Document:
    """What a selection refers to."""

    schema: GraphQLSchema
    fragments: Mapping[str, FragmentDefinitionNode]


def fields(
    document: Document, recorder: Recorder, runtime_type: GraphQLObjectType, nodes: Iterable[Selecting]
) -> dict[str, list[FieldNode]]:
    """What the selections of merged fields, or of an operation, ask of one type.

    Response key → nodes, in the order of the answer.
    """
    merged: dict[str, list[FieldNode]] = {}
    opened: set[str] = set()
    for node in nodes:
        if node.selection_set is not None:
            for field in _opened(document, recorder, runtime_type, node.selection_set, opened):
                merged.setdefault((field.alias or field.name).value, []).append(field)
    return merged


def _opened(
    document: Document,
    recorder: Recorder,
    runtime_type: GraphQLObjectType,
    selections: SelectionSetNode,
    opened: set[str],
) -> Iterator[FieldNode]:
    for selection in selections.selections:
        if not _included(recorder, selection):
            continue
        if isinstance(selection, FieldNode):
            yield selection
        elif isinstance(selection, InlineFragmentNode):
            if _applies(document.schema, selection.type_condition, runtime_type):
                yield from _opened(document, recorder, runtime_type, selection.selection_set, opened)
        elif isinstance(selection, FragmentSpreadNode) and selection.name.value not in opened:
            opened.add(selection.name.value)
            fragment = document.fragments[selection.name.value]
            if _applies(document.schema, fragment.type_condition, runtime_type):
                yield from _opened(document, recorder, runtime_type, fragment.selection_set, opened)


def _included(recorder: Recorder, node: SelectionNode) -> bool:
    if not node.directives:
        return True
    fixed = not any(depends_on_variables(given.value) for used in node.directives for given in used.arguments or ())

    def condition(directive: GraphQLDirective) -> bool | None:
        value: bool | None = recorder.ask(lambda request: request.directive(directive, node), fixed=fixed)
        return value

    return condition(GraphQLSkipDirective) is not True and condition(GraphQLIncludeDirective) is not False


def _applies(schema: GraphQLSchema, condition: NamedTypeNode | None, runtime_type: GraphQLObjectType) -> bool:
    if condition is None or condition.name.value == runtime_type.name:
        return True
    named = schema.get_type(condition.name.value)
    return named is not None and is_abstract_type(named) and schema.is_sub_type(named, runtime_type)
