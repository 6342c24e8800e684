"""Documents that were read, weighed and validated once, and are kept."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    get_operation_ast,
    parse,
    validate,
)

from schema.limits import MOST_TOKENS, refuse_too_much

KEPT = 512
LONGEST_KEPT = 64 * 1024  # characters; a longer one is read anew each time
MOST_ERRORS = 10


class Refusal(Exception):
    """A request that was not executed, and why."""

    def __init__(self, errors: Sequence[GraphQLError]) -> None:
        super().__init__("; ".join(error.message for error in errors))
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
    """The documents of one schema, the least recently used given up first. Refusals are kept too."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._kept: OrderedDict[str, DocumentNode | Refusal] = OrderedDict()

    def operation(self, text: str, name: str | None) -> Operation:
        """The operation to execute. Raises `Refusal` for a text that is no valid document, or names none."""
        document = self._document(text)
        definition = get_operation_ast(document, name)
        if definition is None:
            raise Refusal([GraphQLError(_which(document, name))])
        return Operation(document, definition)

    def _document(self, text: str) -> DocumentNode:
        known = self._kept.get(text)
        if known is None:
            known = self._read(text)
            if len(text) <= LONGEST_KEPT:
                self._kept[text] = known
                if len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(text)
        if isinstance(known, Refusal):
            raise Refusal(known.errors)
        return known

    def _read(self, text: str) -> DocumentNode | Refusal:
        try:
            document = parse(text, max_tokens=MOST_TOKENS)
            refuse_too_much(document)
        except GraphQLError as error:
            return Refusal([error])
        except RecursionError:
            return Refusal([GraphQLError("the document is nested too deeply")])
        errors = validate(self._schema, document, max_errors=MOST_ERRORS)
        return Refusal(errors) if errors else document


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
