"""What a document may ask for, known before it is validated: one walk that gives up where it would get too long."""

from collections import Counter, defaultdict
from collections.abc import Iterator
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

LONGEST_TEXT = 100_000  # characters
MOST_TOKENS = 10_000
MOST_COMMENTS = 5_000
MOST_SELECTIONS = 5_000
MOST_ENTRIES = 1_000  # of lists and objects in arguments: graphql-core makes an error of each that is wrong
MOST_PLACES = 200  # objects and lists; to compile one takes some 3 ms
MOST_REPEATS = 20_000
MOST_META = 3  # fields __schema and __type; tools ask for one or two
DEEPEST = 24


@dataclass(frozen=True, slots=True)
class Opened:
    """A selection set, and the fragments that it stands in: one that comes again is a cycle, which validation words."""

    selections: SelectionSetNode
    within: frozenset[str] = frozenset()


def refuse_too_much(document: DocumentNode) -> None:
    """Raise a `GraphQLError` for a document beyond the limits.

    Fragments are opened wherever they are spread, and those that no operation spreads are weighed as well, because
    validation looks at them. Fields of one name in one place, and fragments in one place, count as often as
    validation compares them with each other.
    """
    _Walk(document).run()


class _Walk:
    def __init__(self, document: DocumentNode) -> None:
        self._fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        self._operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
        self._unused = set(self._fragments)
        self._selections = 0
        self._places = 0
        self._repeats = 0
        self._meta = 0

    def run(self) -> None:
        for operation in self._operations:
            self._descend(Opened(operation.selection_set))
        while self._unused:
            name = self._unused.pop()
            self._descend(Opened(self._fragments[name].selection_set, frozenset({name})))

    def _descend(self, root: Opened) -> None:
        """Look at places one by one: a place is all that is selected under one path of names, wherever it stands."""
        places = [(1, [root])]
        while places:
            depth, merged = places.pop()
            names: Counter[str] = Counter()
            below: defaultdict[str, list[Opened]] = defaultdict(list)
            for field, within in self._fields(merged, depth):
                name = (field.alias or field.name).value
                self._repeats += names[name]
                names[name] += 1
                if field.selection_set is not None:
                    below[name].append(Opened(field.selection_set, within))
            places += [(depth + 1, inner) for inner in below.values()]
            self._places += len(below)

    def _fields(self, merged: list[Opened], depth: int) -> Iterator[tuple[FieldNode, frozenset[str]]]:
        """The fields of one place, those of its fragments among them; each fragment once."""
        waiting, spread = list(merged), set[str]()
        while waiting:
            opened = waiting.pop()
            for node in opened.selections.selections:
                self._selections += 1
                self._refuse_beyond_limits(depth)
                if isinstance(node, FieldNode):
                    self._meta += node.name.value in {"__schema", "__type"}
                    yield node, opened.within
                elif isinstance(node, FragmentSpreadNode):
                    name = node.name.value
                    if name in self._fragments and name not in opened.within and name not in spread:
                        self._repeats += len(spread)
                        spread.add(name)
                        self._unused.discard(name)
                        waiting.append(Opened(self._fragments[name].selection_set, opened.within | {name}))
                elif isinstance(node, InlineFragmentNode):
                    waiting.append(Opened(node.selection_set, opened.within))

    def _refuse_beyond_limits(self, depth: int) -> None:
        if self._selections > MOST_SELECTIONS:
            excess = f"asks for more than {MOST_SELECTIONS} fields"
        elif self._places > MOST_PLACES:
            excess = f"asks for more than {MOST_PLACES} objects and lists"
        elif self._repeats > MOST_REPEATS:
            excess = "asks for too much in one place"
        elif self._meta > MOST_META:
            excess = f"asks for __schema and __type more than {MOST_META} times"
        elif depth > DEEPEST:
            excess = f"is more than {DEEPEST} levels deep"
        else:
            return
        raise GraphQLError(f"the document {excess}; ask for less at once", extensions={"code": "TOO_COMPLEX"})
