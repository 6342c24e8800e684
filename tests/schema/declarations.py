"""All fields of the schema with what is declared of them, and the tables behind them."""

import re
from collections import defaultdict
from typing import Any, NamedTuple, cast

from graphql import (
    GraphQLField,
    GraphQLNonNull,
    GraphQLObjectType,
    get_named_type,
    is_introspection_type,
    is_object_type,
)
from graphql.execution.values import VariableValues
from sqlalchemy import (
    BinaryExpression,
    CheckConstraint,
    Column,
    ColumnElement,
    FromClause,
    Select,
    Subquery,
    Table,
    UniqueConstraint,
)
from sqlalchemy.sql import operators
from strawberry.types.field import StrawberryField

from schema.api import build
from schema.reads.arguments import Arguments, Recorder, Request
from schema.reads.compiler import declared
from schema.reads.declare import TYPE_SOURCE, Connection, Relation, Scalar, Scope, Source
from schema.strawberry_internals import field_definition
from schema.strawberry_internals import origin as origin_of
from server.domain.caller import LOCAL


class Field(NamedTuple):
    type: GraphQLObjectType
    name: str
    definition: GraphQLField

    @property
    def place(self) -> str:
        return f"{self.type.name}.{self.name}"

    @property
    def strawberry(self) -> StrawberryField:
        found = field_definition(self.definition)
        assert found is not None
        return found

    @property
    def required(self) -> bool:
        return isinstance(self.definition.type, GraphQLNonNull)


def fields() -> list[Field]:
    core = build()
    return [
        Field(type_, name, definition)
        for type_ in core.type_map.values()
        if is_object_type(type_) and not is_introspection_type(type_)
        for name, definition in type_.fields.items()
    ]


FIELDS = fields()
READ = [field for field in FIELDS if declared(field.definition) is not None]


def sources() -> dict[str, set[Source]]:
    """Where the objects of each type are read from."""
    found: dict[str, set[Source]] = defaultdict(set)
    for field in FIELDS:
        own: Source | None = getattr(origin_of(field.type), TYPE_SOURCE, None)
        if own is not None:
            found[field.type.name].add(own)
        read = declared(field.definition)
        if isinstance(read, Relation):
            type_ = cast("GraphQLObjectType", get_named_type(field.definition.type))
            if isinstance(read, Connection):
                type_ = cast("GraphQLObjectType", get_named_type(type_.fields["nodes"].type))
            found[type_.name].add(read.source)
    return found


SOURCES = sources()


def table_of(type_: GraphQLObjectType) -> Table | None:
    tables = {source for source in SOURCES[type_.name] if isinstance(source, Table)}
    assert len(tables) <= 1, f"{type_.name} is read from {tables}"
    return tables.pop() if tables else None


def column_of(field: Field) -> "Column[Any] | None":
    """The table's column that a field is; None for an expression."""
    read, table = declared(field.definition), table_of(field.type)
    if not isinstance(read, Scalar) or table is None:
        return None
    row = table.alias("row$")
    element = read.expression(row)
    return table.c[element.name] if isinstance(element, Column) and element.table is row else None


def one_of(table: Table, column: str) -> set[str]:
    """The words that a table's constraints leave to a column."""
    for constraint in table.constraints:
        if isinstance(constraint, CheckConstraint):
            text = str(constraint.sqltext)
            if re.match(rf"{column} (IN|<@ ARRAY)\b", text):
                return set(re.findall(r"'(\w+)'", text))
    return set()


def unique(table: Table, *columns: str) -> bool:
    """Whether these columns together name at most one row."""
    keys = [{column.name for column in table.primary_key}]
    keys += [{c.name for c in found.columns} for found in table.constraints if isinstance(found, UniqueConstraint)]
    return any(key <= set(columns) for key in keys)


def compared(condition: ColumnElement[bool], child: FromClause) -> tuple[str, "Column[Any]"]:
    """The child's column and the parent's, of a condition that they are equal."""
    assert isinstance(condition, BinaryExpression)
    assert condition.operator is operators.eq
    sides = [side for side in (condition.left, condition.right) if isinstance(side, Column)]
    [mine] = [side for side in sides if side.table is child]
    [other] = [side for side in sides if side.table is not child]
    return mine.name, other


def narrowed(field: Field, read: Relation) -> tuple[FromClause, list[tuple[ColumnElement[bool], FromClause]]]:
    """The rows of a relation, and each condition that joins them to a row of its type, with the rows that it is on."""
    above = table_of(field.type)
    parent = above.alias("parent$") if above is not None else None
    made: list[FromClause] = []

    def rows(table: Table) -> FromClause:
        made.append(table.alias(f"{table.name}$"))
        return made[-1]

    if isinstance(read.source, Table):
        row = rows(read.source)
        return row, [(read.on(parent, row), row)] if parent is not None and read.on is not None else []
    recorder = Recorder(Request(LOCAL, VariableValues({}, {})))
    derived = read.source(Scope(parent, Arguments(recorder), rows, lambda: "derived$"))
    condition = cast("Select[Any]", cast("Subquery", derived).element).whereclause
    assert condition is not None
    return derived, [(condition, made[0])]


def origin(column: ColumnElement[Any]) -> "Column[Any]":
    """The table's column that a column of a FROM stands for."""
    [found] = column.base_columns
    assert isinstance(found, Column)
    return found


def referred(column: "Column[Any]") -> "Column[Any]":
    """The column whose values these are, by a foreign key; itself without one."""
    return next((key.column for key in column.foreign_keys), column)
