"""What a document may ask for, known before it is validated: one walk, each fragment once."""

from dataclasses import dataclass

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

MOST_TOKENS = 15_000
MOST_FIELDS = 5_000
DEEPEST = 24


@dataclass(frozen=True, slots=True)
class Weight:
    """How many fields a selection has with its fragments opened, and how deep they lie."""

    fields: int
    depth: int


def refuse_too_much(document: DocumentNode) -> None:
    """Raise a `GraphQLError` for a document with an operation beyond the limits."""
    fragments = {
        definition.name.value: definition
        for definition in document.definitions
        if isinstance(definition, FragmentDefinitionNode)
    }
    known: dict[str, Weight] = {}
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            _refuse(_weigh(definition.selection_set, fragments, known), definition)


def _refuse(weight: Weight, operation: OperationDefinitionNode) -> None:
    if weight.fields > MOST_FIELDS:
        message = f"the operation asks for more than {MOST_FIELDS} fields; ask for less at once"
    elif weight.depth > DEEPEST:
        message = f"the operation is more than {DEEPEST} levels deep; ask for less at once"
    else:
        return
    raise GraphQLError(message, operation, extensions={"code": "TOO_COMPLEX"})


def _weigh(
    selections: SelectionSetNode, fragments: dict[str, FragmentDefinitionNode], known: dict[str, Weight]
) -> Weight:
    fields, depth = 0, 0
    for node in selections.selections:
        match node:
            case FieldNode(selection_set=SelectionSetNode() as inner):
                inside = _weigh(inner, fragments, known)
                below = Weight(inside.fields + 1, inside.depth + 1)
            case FieldNode():
                below = Weight(1, 1)
            case InlineFragmentNode(selection_set=inner):
                below = _weigh(inner, fragments, known)
            case FragmentSpreadNode(name=name):
                below = _fragment(name.value, fragments, known)
            case _:
                continue
        fields, depth = min(fields + below.fields, MOST_FIELDS + 1), max(depth, below.depth)
    return Weight(fields, depth)


def _fragment(name: str, fragments: dict[str, FragmentDefinitionNode], known: dict[str, Weight]) -> Weight:
    if name not in known:
        known[name] = Weight(0, 0)  # a cycle weighs nothing more: validation words the error
        if name in fragments:
            known[name] = _weigh(fragments[name].selection_set, fragments, known)
    return known[name]
