"""Making a document that differs smaller, as long as it still does."""

import re
from collections.abc import Iterator
from typing import Any

from graphql import (
    ArgumentNode,
    DirectiveNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    Node,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableDefinitionNode,
    VariableNode,
    Visitor,
    parse,
    validate,
    visit,
)

from tests.differential.compare import Difference
from tests.differential.operations import Request, schema
from tests.differential.sides import Sides

DROPPED = (OperationDefinitionNode, FieldNode, InlineFragmentNode, FragmentSpreadNode, ArgumentNode, DirectiveNode)
MOST_TRIES = 300


async def smaller(sides: Sides, text: str, request: Request, found: Difference) -> tuple[str, Difference]:
    """A document with one part after the other left out, and its difference."""
    tries, progress = 0, True
    while progress:
        progress = False
        for candidate in _without_one(text):
            tries += 1
            if tries > MOST_TRIES:
                return text, found
            given = {name: value for name, value in request.variables.items() if f"${name}:" in candidate}
            still, _ = await sides.compared(candidate, Request(request.operation_name, given))
            if still is not None:
                text, found, progress = candidate, still, True
                break
    return text, found


def _without_one(text: str) -> Iterator[str]:
    """The valid texts that are left without each of its parts in turn, outer parts first."""
    parts = _Parts()
    visit(parse(text), parts)
    for start, end in parts.dropped:
        candidate = _tidy(text[:start] + text[end:])
        if candidate is not None:
            yield candidate


def _tidy(text: str) -> str | None:
    """Without empty parentheses, and the fragments and variables that nothing uses; None when it is not valid."""
    while True:
        text = re.sub(r"\(\s*,?\s*\)", "", text)
        try:
            document = parse(text)
        except GraphQLError:
            return None
        parts = _Parts()
        visit(document, parts)
        unused = [
            span
            for definitions, used in ((parts.fragments, parts.spread), (parts.declared, parts.variables))
            for name, span in definitions
            if name not in used
        ]
        if not unused:
            return None if parts.empty or validate(schema(), document) else text
        start, end = unused[0]
        text = text[:start] + text[end:]


class _Parts(Visitor):
    """Where the parts of a document stand in its text."""

    def __init__(self) -> None:
        super().__init__()
        self.empty = False  # whether a selection set has no fields, which is no GraphQL but passes for it
        self.dropped: list[tuple[int, int]] = []
        self.fragments: list[tuple[str, tuple[int, int]]] = []
        self.declared: list[tuple[str, tuple[int, int]]] = []
        self.spread: set[str] = set()
        self.variables: set[str] = set()

    def enter(self, node: Node, _key: object, parent: object, *_: Any) -> None:  # noqa: ANN401
        assert node.loc is not None
        span = (node.loc.start, node.loc.end)
        if isinstance(node, DROPPED):
            self.dropped.append(span)
        match node:
            case SelectionSetNode():
                self.empty |= not node.selections
            case FragmentDefinitionNode():
                self.fragments.append((node.name.value, span))
            case FragmentSpreadNode():
                self.spread.add(node.name.value)
            case VariableDefinitionNode():
                self.declared.append((node.variable.name.value, span))
            case VariableNode() if not isinstance(parent, VariableDefinitionNode):
                self.variables.add(node.name.value)
