"""From a selection to one SQL statement in which Postgres assembles the answer.

Facts about Postgres and SQLAlchemy that shape the code:
- a select that refers to its parent's row and is wrapped as a FROM needs `.correlate(parent)`, or SQLAlchemy adds the
  parent to its FROM, silently: a cross join;
- `row_to_json(x)` prefers a column called x over the row x, so no alias may equal a response key: all contain a "$";
- every Python literal becomes a bind, so words and numbers of ours are written as literals.

A whole query is compiled when SQL can answer all of it. Otherwise graphql-core runs it, and compiles what it comes to.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeAlias, cast

from graphql import FieldNode, GraphQLField, GraphQLObjectType, OperationDefinitionNode, get_named_type
from sqlalchemy import ColumnElement, FromClause, Select, Table, and_, func, select, true

from schema.reads import render, selection
from schema.reads.arguments import Arguments, Recorder
from schema.reads.declare import (
    READ,
    TYPE_SOURCE,
    Computed,
    Connection,
    Lookup,
    Many,
    One,
    Read,
    Relation,
    Row,
    Scalar,
    Scope,
    Where,
)
from schema.reads.selection import Document, Selecting
from schema.strawberry_internals import field_definition, origin

Pairs: TypeAlias = render.Pairs
Shaped: TypeAlias = Callable[..., Select[Any]]
TYPE = "$type"  # what an object read for an abstract type is; no response key contains a "$"


class NotCompiled(Exception):
    """Python has a part in the answer."""


def declared(field: GraphQLField) -> Read | None:
    """How a field is read; None for one that Python answers."""
    definition = field_definition(field)
    return cast("Read | None", definition.metadata.get(READ)) if definition is not None else None


def is_read(type_: GraphQLObjectType) -> bool:
    """Whether objects of a type are read by their key."""
    return hasattr(origin(type_), TYPE_SOURCE)


CompileConnection: TypeAlias = Callable[["Compiler", Connection, "Site"], ColumnElement[Any]]


class Compiler:
    """Compiles one selection; made anew for each."""

    def __init__(self, document: Document, recorder: Recorder, connection: CompileConnection) -> None:
        self.document = document
        self.recorder = recorder
        self._connection = connection
        self._names = count(1)
        self._whole = False

    def query(self, operation: OperationDefinitionNode) -> ColumnElement[Any] | bytes:
        """The JSON value of a whole query; the JSON itself where there is nothing to read. Raises `NotCompiled`."""
        self._whole = True
        type_ = cast("GraphQLObjectType", self.document.schema.query_type)
        merged = selection.fields(self.document, self.recorder, type_, [operation])
        if all(nodes[0].name.value == "__typename" for nodes in merged.values()):
            return json.dumps(dict.fromkeys(merged, type_.name)).encode()
        rows, item = self.json(self.pairs(type_, [operation], None), select)
        return select(render.as_json(item)).select_from(rows).scalar_subquery()

    def field(self, definition: GraphQLField, nodes: Sequence[FieldNode]) -> ColumnElement[Any]:
        """The JSON value of a declared field that has no parent, as graphql-core completes it."""
        return self._value(definition, nodes, None)

    def written(self, type_: GraphQLObjectType, nodes: Sequence[FieldNode]) -> ColumnElement[Any]:
        """The JSON value of the object of a type that the request's key names, as graphql-core completes it."""
        return self._object(type_, nodes, Arguments(self.recorder), _named_by_key)

    def payload(
        self, type_: GraphQLObjectType, nodes: Sequence[FieldNode], row: Row, *, whole: bool
    ) -> ColumnElement[Any]:
        """The JSON value of one row; with `whole` as clients get it, else as graphql-core completes it.

        Raises `NotCompiled` when `whole` is asked for and Python has a part in it.
        """
        self._whole = whole
        pairs = self.pairs(type_, nodes, row)
        if not whole:
            pairs.append((TYPE, render.word(type_.name)))
        rows, item = self.json(pairs, lambda *columns: select(*columns).correlate(row))
        return select(render.as_json(item)).select_from(rows).scalar_subquery()

    def rows(self, table: Table) -> FromClause:
        """The rows of a table that the caller may see, under a name of their own. Nothing else names a table."""
        return table.alias(self.name())

    def name(self) -> str:
        """A name that can't equal a response key."""
        return f"r${next(self._names)}"

    def pairs(self, type_: GraphQLObjectType, nodes: Sequence[Selecting], row: Row | None) -> Pairs:
        """What a selection asks of one row, or of no row: response key and value, in the order of the answer."""
        pairs: Pairs = []
        hidden: dict[str, ColumnElement[Any]] = {}
        for key, merged in selection.fields(self.document, self.recorder, type_, nodes).items():
            name = merged[0].name.value
            definition = type_.fields.get(name)
            if name == "__typename":
                pairs.append((key, render.word(type_.name)))
            elif definition is None:
                raise NotCompiled(f"{name} is about the schema")
            elif isinstance(computed := declared(definition), Computed) and row is not None and not self._whole:
                hidden |= {need: render.value(expression(row)) for need, expression in computed.needs.items()}
            else:
                pairs.append((key, self._value(definition, merged, row)))
        return pairs + list(hidden.items())

    def json(self, pairs: Pairs, shaped: Shaped, *, lateral: bool = False) -> tuple[FromClause, ColumnElement[Any]]:
        """A FROM with one row for each object, and that row: whole, or as JSON where its keys can't be column names."""
        if fits := render.fits_a_row([key for key, _ in pairs]):
            statement = shaped(*(value.label(key) for key, value in pairs))
        else:
            statement = shaped(render.json_object(pairs).label("o$"))
        rows = statement.lateral(self.name()) if lateral else statement.subquery(self.name())
        return rows, rows.table_valued() if fits else rows.c["o$"]

    def narrowed(self, relation: Relation, site: "Site") -> tuple[FromClause, ColumnElement[bool]]:
        """A relation's rows, and the condition on them."""
        source = relation.source
        if isinstance(source, Table):
            row = self.rows(source)
        else:
            row = source(Scope(site.parent, site.arguments, self.rows, self.name))
        conditions = list(relation.where(row, site.arguments)) if relation.where is not None else []
        if relation.on is not None and site.parent is not None:
            conditions.insert(0, relation.on(site.parent, row))
        return row, and_(true(), *conditions)

    def _value(self, definition: GraphQLField, nodes: Sequence[FieldNode], row: Row | None) -> ColumnElement[Any]:
        read = declared(definition)
        if isinstance(read, Scalar) and row is not None:
            return render.value(read.expression(row))
        if isinstance(read, Relation):
            return self._relation(read, definition, nodes, row)
        if isinstance(read, Lookup):
            return self._lookup(read, definition, nodes)
        raise NotCompiled(f"Python answers {nodes[0].name.value}")

    def _lookup(self, read: Lookup, definition: GraphQLField, nodes: Sequence[FieldNode]) -> ColumnElement[Any]:
        arguments = Arguments(self.recorder, definition, nodes[0])
        name = read.type_name(arguments)
        if name is None:
            return render.null()
        return self._object(
            cast("GraphQLObjectType", self.document.schema.type_map[name]), nodes, arguments, read.where
        )

    def _object(
        self, type_: GraphQLObjectType, nodes: Sequence[FieldNode], arguments: Arguments, where: Where
    ) -> ColumnElement[Any]:
        """An object that is looked up by its type's own key; other types have none to look up, and a row is made."""
        source = getattr(origin(type_), TYPE_SOURCE)
        relation = One(source, None, where if isinstance(source, Table) else None)
        return self._one(relation, Site(type_, nodes, None, arguments), typed=not self._whole)

    def _relation(
        self, relation: Relation, definition: GraphQLField, nodes: Sequence[FieldNode], parent: Row | None
    ) -> ColumnElement[Any]:
        type_ = cast("GraphQLObjectType", get_named_type(definition.type))
        site = Site(type_, nodes, parent, Arguments(self.recorder, definition, nodes[0]))
        match relation:
            case One():
                return self._one(relation, site)
            case Many():
                return self._many(relation, site)
            case Connection():
                return self._connection(self, relation, site)
        raise TypeError(f"{type(relation).__name__} is not a kind of relation")

    def _one(self, relation: One, site: "Site", *, typed: bool = False) -> ColumnElement[Any]:
        row, condition = self.narrowed(relation, site)
        hidden: Pairs = [(TYPE, render.word(site.type.name))] if typed else []
        rows, item = self.json(
            self.pairs(site.type, site.nodes, row) + hidden,
            lambda *columns: site.below(select(*columns).select_from(row).where(condition)),
        )
        return select(render.as_json(item)).select_from(rows).scalar_subquery()

    def _many(self, relation: Many, site: "Site") -> ColumnElement[Any]:
        row, condition = self.narrowed(relation, site)
        limit = render.number(relation.limit(site.arguments)) if relation.limit is not None else None
        rows, item = self.json(
            self.pairs(site.type, site.nodes, row),
            lambda *columns: site.below(
                select(*columns).select_from(row).where(condition).order_by(*relation.order(row)).limit(limit)
            ),
        )
        return select(func.coalesce(func.json_agg(item), render.empty_list())).select_from(rows).scalar_subquery()


@dataclass(frozen=True, slots=True)
class Site:
    """Where in an operation a relation is read: of which type, for which field nodes, below which row."""

    type: GraphQLObjectType
    nodes: Sequence[FieldNode]
    parent: Row | None
    arguments: Arguments

    def below(self, statement: Select[Any]) -> Select[Any]:
        """A select that may refer to the parent's row."""
        return statement if self.parent is None else statement.correlate(self.parent)


def _named_by_key(row: Row, arguments: Arguments) -> list[ColumnElement[bool]]:
    return [row.c.id == arguments.key(row.c.id.type)]
