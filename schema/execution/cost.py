"""What an operation may come to at most, known before it is executed: one walk over its selection.

The unit is a value in the result: a scalar, an object or a list. How many rows a list has, and how many values a
scalar is worth, is declared beside each field (`schema.reads.declare`); pages count with the size that is asked for.
"""

from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from math import ceil
from typing import Final, cast

from graphql import (
    FieldNode,
    GraphQLError,
    GraphQLField,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    get_named_type,
    get_nullable_type,
    is_abstract_type,
    is_introspection_type,
    is_list_type,
    is_object_type,
)
from graphql.execution.values import VariableValues

from schema.limits import Limits
from schema.reads import connections, selection
from schema.reads.arguments import Arguments, BadArgument, Question, Recorder, Request
from schema.reads.compiler import declared
from schema.reads.declare import Assembled, Computed, Connection, Lookup, Many, Relation, Scalar
from schema.reads.selection import Document, Selecting
from server.domain.caller import Caller

LIST_IN_PYTHON: Final = 10  # items of a list that no declaration tells of
META_VALUE: Final = 5  # values that one of introspection is worth: graphql-core makes it, not Postgres
MOST_SHAPES: Final = 32  # of one operation, by the values that the cost depends on
ANYBODY: Final = Caller("")  # a cost does not depend on who asks


@dataclass(frozen=True, slots=True)
class Cost:
    """How many `values` a result may have, and the path of the field that most of them are at.

    `in_python` when graphql-core completes each of them on the event loop; `is_meta` when all are about the schema.
    """

    values: int
    path: tuple[str, ...] = ()
    in_python: bool = False
    is_meta: bool = False

    def limit(self, limits: Limits) -> int:
        """How many values the operation may ask for."""
        return min(limits.cost, limits.cost_in_python) if self.in_python else limits.cost

    def refuse_beyond(self, limits: Limits) -> None:
        """Raise a `GraphQLError` when the operation asks for more than it may."""
        most = self.limit(limits)
        if self.values <= most:
            return
        place = ".".join(self.path)
        raise GraphQLError(
            f"the operation asks for up to {self.values:,} values and may ask for {most:,}; what costs most is"
            f" {place}: ask for smaller pages (first) or fewer fields there",
            extensions={"code": "TOO_COMPLEX", "cost": self.values, "limit": most, "field": place},
        )


@dataclass(frozen=True, slots=True)
class Costs:
    """The costs of one operation, each kept with what it depends on."""

    document: Document
    operation: OperationDefinitionNode
    _known: list[tuple[Sequence[tuple[Question, Hashable]], Cost]] = field(default_factory=list)

    def known(self, variables: VariableValues) -> Cost | None:
        """The cost with these variables, if it was computed for such before."""
        if not self._known:
            return None
        asked, cost = self._known[0]
        if not asked:  # it depends on the document alone
            return cost
        request = Request(ANYBODY, variables)
        with suppress(BadArgument):
            for asked, cost in self._known:
                if all(question(request) == value for question, value in asked):
                    return cost
        return None

    def compute(self, variables: VariableValues) -> Cost:
        """The cost with these variables. Takes up to 0.1 s for the largest documents."""
        recorder = Recorder(Request(ANYBODY, variables))
        walk = _Walk(self.document, recorder)
        spent = walk.operation(self.operation)
        kind = self.operation.operation
        cost = Cost(spent.values, spent.path, walk.in_python(kind), walk.is_meta(kind))
        if not walk.refused:
            self._known.insert(0, (recorder.asked, cost))
            del self._known[MOST_SHAPES:]
        return cost


@dataclass(frozen=True, slots=True)
class _Spent:
    """The values of one place, and the path from there to where most of them are."""

    values: int
    path: tuple[str, ...] = ()


class _Walk:
    def __init__(self, document: Document, recorder: Recorder) -> None:
        self._document = document
        self._recorder = recorder
        self._sql = self._python = self._meta = False
        self.refused = False  # an argument was no good: execution says so, and the cost is for this request alone

    def operation(self, operation: OperationDefinitionNode) -> _Spent:
        root = self._document.schema.get_root_type(operation.operation)
        return self._selection(cast("GraphQLObjectType", root), [operation])

    def in_python(self, kind: OperationType) -> bool:
        """Whether graphql-core completes the values on the event loop. Introspection alone is completed beside it."""
        if kind is OperationType.QUERY:
            return self._python or (self._meta and self._sql)
        return kind is OperationType.MUTATION

    def is_meta(self, kind: OperationType) -> bool:
        """Whether all values are about the schema."""
        return kind is OperationType.QUERY and self._meta and not (self._sql or self._python)

    def _selection(self, type_: GraphQLObjectType, nodes: Sequence[Selecting], page: int = 1) -> _Spent:
        """What is selected of one object; `page` is how many items the lists of a connection have."""
        fields = selection.fields(self._document, self._recorder, type_, nodes)
        spent = {key: self._field(type_, merged, page) for key, merged in fields.items()}
        total = sum(one.values for one in spent.values())
        key = max(spent, key=lambda name: spent[name].values, default=None)
        return _Spent(total, () if key is None else (key, *spent[key].path))

    def _field(self, type_: GraphQLObjectType, nodes: list[FieldNode], page: int) -> _Spent:
        definition = self._document.schema.get_field(type_, nodes[0].name.value)
        if definition is None:  # validation has refused it
            return _Spent(0)
        try:
            times, own, below = self._size(type_, definition, nodes, page)
        except BadArgument:
            self.refused = True
            return _Spent(0)
        inner = self._below(definition.type, nodes, below)
        return _Spent(times * (own + inner.values), inner.path)

    def _size(
        self, type_: GraphQLObjectType, definition: GraphQLField, nodes: list[FieldNode], page: int
    ) -> tuple[int, int, int]:
        """How many times a field's value comes, what one is worth without its fields, and the page of a connection."""
        arguments = Arguments(self._recorder, definition, nodes[0])
        listed = is_list_type(get_nullable_type(definition.type))
        read = declared(definition)
        self._sql |= isinstance(read, Relation | Lookup)
        self._python |= isinstance(read, Computed)
        match read:
            case Scalar(weight=weight) | Computed(weight=weight):
                return 1, weight, 1
            case Assembled():
                return page if listed else 1, 1, 1
            case Connection(page=default):
                return 1, 1, connections.Page.of(arguments, default).size
            case Many():
                return read.length(arguments), 1, 1
            case None:
                return self._undeclared(type_, definition, nodes[0].name.value, listed=listed)
        return 1, 1, 1

    def _undeclared(
        self, type_: GraphQLObjectType, definition: GraphQLField, name: str, *, listed: bool
    ) -> tuple[int, int, int]:
        """The size of a field of introspection, or of an object that Python made."""
        meta = is_introspection_type(get_named_type(definition.type)) or is_introspection_type(type_)
        self._meta |= meta
        self._python |= not meta and name != "__typename"
        if meta:
            return self._meta_lists.get((type_.name, name), 1), META_VALUE, 1
        return LIST_IN_PYTHON if listed else 1, 1, 1

    @cached_property
    def _meta_lists(self) -> Mapping[tuple[str, str], int]:
        return _meta_lists(self._document.schema)

    def _below(self, type_: GraphQLOutputType, nodes: Sequence[FieldNode], page: int) -> _Spent:
        """What is selected of one object of a type: of an abstract one, what most is selected of."""
        named = get_named_type(type_)
        if is_object_type(named):
            return self._selection(named, nodes, page)
        if is_abstract_type(named):
            possible = self._document.schema.get_possible_types(named)
            return max((self._selection(one, nodes, page) for one in possible), key=lambda spent: spent.values)
        return _Spent(0)


def _meta_lists(schema: GraphQLSchema) -> Mapping[tuple[str, str], int]:
    """How long the lists of introspection are on average."""
    types = list(schema.type_map.values())
    fields = [one for type_ in types for one in getattr(type_, "fields", {}).values()]

    def average(count: int) -> int:
        return ceil(count / len(types))

    return {
        ("__Schema", "types"): len(types),
        ("__Schema", "directives"): len(schema.directives),
        ("__Type", "fields"): average(len(fields)),
        ("__Type", "inputFields"): average(len(fields)),
        ("__Type", "enumValues"): average(sum(len(getattr(type_, "values", ())) for type_ in types)),
        ("__Field", "args"): ceil(sum(len(getattr(one, "args", ())) for one in fields) / len(fields)),
    }
