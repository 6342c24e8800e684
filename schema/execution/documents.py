"""Documents that were read, weighed and validated once, and are kept."""

import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLFormattedError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    parse,
    validate,
)

from schema.execution.cost import MOST_COMMENTS, MOST_TOKENS, refuse_too_much
from schema.execution.variables import Variables
from schema.reads.plans import Place

MOST_KEPT = 256 * 1024  # characters of text; a document in memory is 50 to 400 times as many bytes
LONGEST_KEPT = 32 * 1024  # a longer one is read anew each time
MOST_ERRORS = 10
ABOUT_THE_SCHEMA: Final = re.compile(r"\b__(schema|type)\b")


class Refusal(Exception):
    """A request that was not executed, and why, in the form that clients get."""

    def __init__(self, errors: Sequence[GraphQLFormattedError]) -> None:
        super().__init__("; ".join(error["message"] for error in errors))
        self.errors = list(errors)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a valid document. `introspects` when the document may ask about the schema."""

    document: DocumentNode
    definition: OperationDefinitionNode
    fragments: Mapping[str, FragmentDefinitionNode]
    variables: Variables
    place: Place
    introspects: bool

    @property
    def type(self) -> OperationType:
        """Query, mutation or subscription."""
        return self.definition.operation


Operations: TypeAlias = Sequence[Operation]


class Documents:
    """The documents of one schema, the least recently used given up first. Refusals are kept too, as their errors."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._known: OrderedDict[str, Operations | Refusal] = OrderedDict()
        self._size = 0

    def operation(self, text: str, name: str | None) -> Operation:
        """The operation to execute. Raises `Refusal` for a text that is no valid document, or names none."""
        operations = self._operations(text)
        if name is None and len(operations) == 1:
            return operations[0]
        for operation in operations:
            if operation.definition.name is not None and operation.definition.name.value == name:
                return operation
        raise Refusal([{"message": _which(operations, name)}])

    def _operations(self, text: str) -> Operations:
        known = self._known.get(text)
        if known is None:
            known = self._read(text)
            self._keep(text, known)
        else:
            self._known.move_to_end(text)
        if isinstance(known, Refusal):
            raise Refusal(known.errors)
        return known

    def _keep(self, text: str, known: Operations | Refusal) -> None:
        if len(text) > LONGEST_KEPT:
            return
        self._known[text] = known
        self._size += len(text)
        while self._size > MOST_KEPT:
            oldest, _ = self._known.popitem(last=False)
            self._size -= len(oldest)

    def _read(self, text: str) -> Operations | Refusal:
        try:
            document = parse(text, max_lexical_tokens=MOST_TOKENS, max_comments=MOST_COMMENTS)
            refuse_too_much(document)
        except GraphQLError as error:
            return Refusal([error.formatted])
        errors = validate(self._schema, document, max_errors=MOST_ERRORS)
        return Refusal([error.formatted for error in errors]) if errors else self._operations_of(text, document)

    def _operations_of(self, text: str, document: DocumentNode) -> Operations:
        fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        introspects = ABOUT_THE_SCHEMA.search(text) is not None
        return [
            Operation(
                document,
                definition,
                fragments,
                Variables(self._schema, definition),
                Place(text, (place,), "operation"),
                introspects,
            )
            for place, definition in enumerate(document.definitions)
            if isinstance(definition, OperationDefinitionNode)
        ]


def _which(operations: Operations, name: str | None) -> str:
    names = [operation.definition.name.value if operation.definition.name else "(unnamed)" for operation in operations]
    if not names:
        return "the document has no operation"
    if name is None:
        return f"the document has several operations; name one of them in operationName: {', '.join(names)}"
    return f"the document has no operation called {name[:100]!a}; it has {', '.join(names)}"
