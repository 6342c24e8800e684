"""Documents that were read, weighed and validated once, and are kept."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLFormattedError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    get_operation_ast,
    parse,
    validate,
)

from schema.limits import MOST_COMMENTS, MOST_TOKENS, refuse_too_much

MOST_KEPT = 256 * 1024  # characters of text; a document in memory is 50 to 400 times as many bytes
LONGEST_KEPT = 32 * 1024  # a longer one is read anew each time
MOST_ERRORS = 10


class Refusal(Exception):
    """A request that was not executed, and why, in the form that clients get."""

    def __init__(self, errors: Sequence[GraphQLFormattedError]) -> None:
        super().__init__("; ".join(error["message"] for error in errors))
        self.errors = list(errors)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a valid document."""

    document: DocumentNode
    definition: OperationDefinitionNode

    @property
    def type(self) -> OperationType:
        """Query, mutation or subscription."""
        return self.definition.operation


class Documents:
    """The documents of one schema, the least recently used given up first. Refusals are kept too, as their errors."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._known: OrderedDict[str, DocumentNode | tuple[GraphQLFormattedError, ...]] = OrderedDict()
        self._size = 0

    def operation(self, text: str, name: str | None) -> Operation:
        """The operation to execute. Raises `Refusal` for a text that is no valid document, or names none."""
        document = self._document(text)
        definition = get_operation_ast(document, name)
        if definition is None:
            raise Refusal([{"message": _which(document, name)}])
        return Operation(document, definition)

    def _document(self, text: str) -> DocumentNode:
        known = self._known.get(text)
        if known is None:
            known = self._read(text)
            self._keep(text, known)
        else:
            self._known.move_to_end(text)
        if isinstance(known, tuple):
            raise Refusal(known)
        return known

    def _keep(self, text: str, known: DocumentNode | tuple[GraphQLFormattedError, ...]) -> None:
        if len(text) > LONGEST_KEPT:
            return
        self._known[text] = known
        self._size += len(text)
        while self._size > MOST_KEPT:
            oldest, _ = self._known.popitem(last=False)
            self._size -= len(oldest)

    def _read(self, text: str) -> DocumentNode | tuple[GraphQLFormattedError, ...]:
        try:
            document = parse(text, max_lexical_tokens=MOST_TOKENS, max_comments=MOST_COMMENTS)
            refuse_too_much(document)
        except GraphQLError as error:
            return (error.formatted,)
        errors = validate(self._schema, document, max_errors=MOST_ERRORS)
        return tuple(error.formatted for error in errors) or document


def _which(document: DocumentNode, name: str | None) -> str:
    names = [
        definition.name.value if definition.name else "(unnamed)"
        for definition in document.definitions
        if isinstance(definition, OperationDefinitionNode)
    ]
    if not names:
        return "the document has no operation"
    if name is None:
        return f"the document has several operations; name one of them in operationName: {', '.join(names)}"
    return f"the document has no operation called {name[:100]!a}; it has {', '.join(names)}"
