"""Documents that were read, weighed and validated once, and are kept."""

import asyncio
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
    validate,
)

from schema.execution.cost import Costs
from schema.execution.document_limits import LONGEST_TEXT, refuse_too_much
from schema.execution.errors import clipped
from schema.execution.parsing import parsed
from schema.execution.variables import Variables
from schema.offload import Offload
from schema.reads.plans import Place
from schema.reads.selection import Document

MOST_KEPT_BYTES = 24 * 1024 * 1024
LARGEST_KEPT_BYTES = MOST_KEPT_BYTES // 2  # a larger one is read anew each time
TOKEN_BYTES = 490  # the most that a document was seen to take in memory for each of its tokens
QUICK_CHARACTERS = 4_096  # up to 40 ms on the machine that this was measured on; the longest takes 0.6 s
MOST_ERRORS = 10
MOST_NAMES = 20
ABOUT_THE_SCHEMA: Final = re.compile(r"\b__(schema|type)\b")


class Refusal(Exception):
    """A request that was not executed, and why, in the form that clients get."""

    def __init__(self, errors: Sequence[GraphQLFormattedError]) -> None:
        super().__init__("; ".join(error["message"] for error in errors))
        self.errors = list(errors)

    @classmethod
    def because(cls, errors: Sequence[GraphQLError]) -> "Refusal":
        """The refusal of a request for errors that are worded for clients."""
        return cls([clipped(error).formatted for error in errors])


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a valid document. `introspects` when the document may ask about the schema."""

    document: DocumentNode
    definition: OperationDefinitionNode
    fragments: Mapping[str, FragmentDefinitionNode]
    variables: Variables
    place: Place
    introspects: bool
    costs: Costs

    @property
    def type(self) -> OperationType:
        """Query, mutation or subscription."""
        return self.definition.operation


Operations: TypeAlias = Sequence[Operation]


@dataclass(frozen=True, slots=True)
class Reading:
    """What came of a text: the operations of a valid document, or why it is refused; and its size in memory."""

    outcome: Operations | Refusal
    size_bytes: int


class Documents:
    """The documents of one schema, the least recently used given up first. Refusals are kept too, as their errors.

    One that is not known is read beside the event loop, once for all who ask for it meanwhile.
    """

    def __init__(self, schema: GraphQLSchema, offload: Offload) -> None:
        self._schema = schema
        self._offload = offload
        self._known: OrderedDict[str, Reading] = OrderedDict()
        self._under_way: dict[str, asyncio.Task[Reading]] = {}
        self._size_bytes = 0

    def known(self, text: str, name: str | None) -> Operation | None:
        """The operation of a document that is known, without a wait. Raises `Refusal` as `operation` does."""
        known = self._known.get(text)
        if known is None:
            return None
        self._known.move_to_end(text)
        return _chosen(known, name)

    async def operation(self, text: str, name: str | None) -> Operation:
        """The operation to execute. Raises `Refusal` for a text that is no valid document, or names none."""
        known = self.known(text, name)
        if known is not None:
            return known
        _refuse_long(text)
        return _chosen(await self._read(text), name)

    async def _read(self, text: str) -> Reading:
        """The reading of a text. It goes on when who asked for it has gone: others may ask for the same."""
        reading = self._under_way.get(text)
        if reading is None:
            reading = self._under_way[text] = asyncio.create_task(self._read_offloaded(text), name="reading a document")
            reading.add_done_callback(lambda done: self._finish(text, done))
        try:
            return await asyncio.shield(reading)
        except GraphQLError as error:
            raise Refusal.because([error]) from None

    async def _read_offloaded(self, text: str) -> Reading:
        return await self._offload.run(read, self._schema, text, quick=len(text) <= QUICK_CHARACTERS)

    def _finish(self, text: str, done: "asyncio.Task[Reading]") -> None:
        del self._under_way[text]
        if not done.cancelled() and done.exception() is None:
            self._keep(text, done.result())

    def _keep(self, text: str, reading: Reading) -> None:
        if reading.size_bytes > LARGEST_KEPT_BYTES:
            return
        self._known[text] = reading
        self._size_bytes += reading.size_bytes
        while self._size_bytes > MOST_KEPT_BYTES:
            _, given_up = self._known.popitem(last=False)
            self._size_bytes -= given_up.size_bytes


def read(schema: GraphQLSchema, text: str) -> Reading:
    """Parse, weigh and validate a text. Takes up to a second for the longest: runs in a thread."""
    try:
        document = parsed(text)
        refuse_too_much(document)
    except GraphQLError as error:
        return _refused(text, [error])
    errors = validate(schema, document, max_errors=MOST_ERRORS)
    if errors:
        return _refused(text, errors)
    return Reading(_operations(schema, text, document), len(text) + document.token_count * TOKEN_BYTES)


def _refused(text: str, errors: Sequence[GraphQLError]) -> Reading:
    refusal = Refusal.because(errors)
    return Reading(refusal, len(text) + 1_000 * len(refusal.errors))


def _operations(schema: GraphQLSchema, text: str, document: DocumentNode) -> Operations:
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
            Variables(schema, definition),
            Place(text, (place,), "operation"),
            introspects,
            Costs(Document(schema, fragments), definition),
        )
        for place, definition in enumerate(document.definitions)
        if isinstance(definition, OperationDefinitionNode)
    ]


def _refuse_long(text: str) -> None:
    if len(text) > LONGEST_TEXT:
        message = (
            f"the document has {len(text):,} characters and may have {LONGEST_TEXT:,}; ask for less at once, and send"
            " long values as variables"
        )
        raise Refusal([{"message": message, "extensions": {"code": "TOO_LARGE"}}])


def _chosen(reading: Reading, name: str | None) -> Operation:
    operations = reading.outcome
    if isinstance(operations, Refusal):
        raise Refusal(operations.errors)
    if name is None and len(operations) == 1:
        return operations[0]
    for operation in operations:
        if operation.definition.name is not None and operation.definition.name.value == name:
            return operation
    raise Refusal([{"message": _which(operations, name)}])


def _which(operations: Operations, name: str | None) -> str:
    names = [operation.definition.name.value if operation.definition.name else "(unnamed)" for operation in operations]
    if not names:
        return "the document has no operation"
    if name is None:
        return f"the document has several operations; name one of them in operationName: {_listed(names)}"
    return f"the document has no operation called {name[:100]!a}; it has {_listed(names)}"


def _listed(names: Sequence[str]) -> str:
    shown = [name[:100] for name in names[:MOST_NAMES]]
    return ", ".join(shown) + (f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else "")
