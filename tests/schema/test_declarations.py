"""What the compiled path can't check when it runs, proved of every field when the schema is built."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, cast

import pytest
from graphql import GraphQLEnumType, get_named_type, get_nullable_type, is_list_type
from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    DateTime,
    Float,
    Integer,
    String,
    Table,
    TypeDecorator,
)

from schema.reads.compiler import declared
from schema.reads.declare import Assembled, Computed, Connection, Followed, Lookup, Many, One, Relation, Scalar
from tests.schema.declarations import (
    FIELDS,
    READ,
    SOURCES,
    Field,
    column_of,
    compared,
    narrowed,
    one_of,
    origin,
    referred,
    table_of,
    unique,
)

MADE_BY_PYTHON = {
    "EligibilityReport",
    "DefectCount",
    "BaseModel",
    "NotFound",
    "InvalidInput",
    "Forbidden",
    "Conflict",
    "InvalidTransition",
    "NoEligiblePairs",
}
NEVER_NULL = {
    "TrainingJob.isTerminal": "the status is never null",
    "TrainingJob.availableActions": "each branch is an array",
    "TrainingJob.stillMatches": "a condition on the status, which is never null, or true itself",
    "TrainingJobLineage.qaPairIds": "ARRAY of no rows is the empty array, and no frozen pair is without its pair",
    "TrainingJobLineage.canonicalLabelIds": "the same; pairs without a label are left out",
    "TrainingJobEvent.cursor": "the sequence is never null",
    "QaPair.verdict": "the CASE has an ELSE",
    "PairDefect.code": "there is no row where it would be null",
    "PairDefect.message": "each code has a reason, and no number is no text",
    "ChatMessage.role": "messages without a role are refused at the door",
    "ChatMessage.content": "messages without content are refused at the door",
    "ExclusionCount.verdict": "a word of ours",
    "ExclusionCount.count": "a column that is never null",
    "MetricSeries.key": "part of the primary key",
    "MetricSeries.steps": "part of the primary key, and no group is without rows",
    "MetricSeries.values": "no group is without rows",
    "MetricSeries.timestamps": "never null, and no group is without rows",
    "QaPairsPayload.count": "the length of an array that the program gives",
}
SQL_TYPES: dict[str, type[Any]] = {
    "ID": String,
    "String": String,
    "Boolean": Boolean,
    "Float": Float,
    "BigInt": BigInteger,
    "DateTime": DateTime,
    "JSON": JSON,
}


def joins(kind: type[Relation]) -> Iterator[Any]:
    for field in READ:
        read = declared(field.definition)
        if isinstance(read, kind) and read.on is not None and isinstance(read.source, Table):
            yield pytest.param(field, read, id=field.place)


def test_the_proofs_below_see_the_whole_schema() -> None:
    assert len(FIELDS) > 200
    assert len(READ) > 150
    assert {type_ for type_ in SOURCES if SOURCES[type_]} >= {"TrainingJob", "QaPair", "LineagePair", "MetricSeries"}


def test_each_field_of_what_is_read_says_how() -> None:
    of_read_types = [field for field in FIELDS if SOURCES[field.type.name]]
    assert [field.place for field in of_read_types if declared(field.definition) is None] == []


def test_each_other_field_is_assembled_or_answered_by_python() -> None:
    for field in FIELDS:
        if SOURCES[field.type.name] or field.type.name in MADE_BY_PYTHON:
            continue
        read = declared(field.definition)
        if field.type.name in {"Query", "Mutation", "Subscription"}:
            assert isinstance(read, Relation | Lookup | Followed) or field.strawberry.base_resolver is not None, (
                field.place
            )
        else:
            assert isinstance(read, Assembled), field.place


def test_what_python_makes_is_never_read() -> None:
    assert {name for name in MADE_BY_PYTHON if SOURCES[name]} == set()


def test_nothing_is_declared_that_the_compiled_path_would_skip() -> None:
    for field in READ:
        assert field.strawberry.permission_classes == [], field.place
        assert field.strawberry.extensions == [], field.place
        assert field.strawberry.directives in ([], ()), field.place
        answered_by_python = field.strawberry.base_resolver is not None
        assert answered_by_python is isinstance(declared(field.definition), Computed), field.place


def test_a_required_field_is_never_null() -> None:
    expressions = set()
    for field in READ:
        if not field.required or not isinstance(declared(field.definition), Scalar):
            continue
        column = column_of(field)
        if column is None:
            expressions.add(field.place)
        else:
            assert not column.nullable, field.place
    assert expressions == set(NEVER_NULL)


@pytest.mark.parametrize("field", [pytest.param(f, id=f.place) for f in READ if column_of(f) is not None])
def test_a_column_holds_what_its_field_promises(field: Field) -> None:
    column, promised = column_of(field), get_nullable_type(field.definition.type)
    assert column is not None
    stored = column.type
    if is_list_type(promised):
        assert isinstance(stored, ARRAY)
        stored = stored.item_type
    else:
        assert not isinstance(stored, ARRAY)
    if isinstance(stored, TypeDecorator):
        stored = stored.impl_instance
    named = get_named_type(promised)
    if isinstance(named, GraphQLEnumType):
        assert isinstance(stored, String)
        assert one_of(column.table, column.name) == set(named.values)
    elif named.name == "Int":
        assert isinstance(stored, Integer)
        assert not isinstance(stored, BigInteger)
    else:
        assert isinstance(stored, SQL_TYPES[named.name])
    if isinstance(stored, DateTime):
        assert stored.timezone


def test_an_enum_is_one_word_for_clients_python_and_the_database() -> None:
    for type_ in {get_named_type(field.definition.type) for field in FIELDS}:
        if isinstance(type_, GraphQLEnumType):
            for name, value in type_.values.items():
                assert getattr(value.value, "value", value.value) == name, f"{type_.name}.{name}"


def test_a_float_column_holds_finite_numbers_only() -> None:
    for field in READ:
        column = column_of(field)
        if column is not None and isinstance(column.type, Float):
            name = column.name
            bounds = {f"{name} > '-Infinity' AND {name} < 'Infinity'", f"{name} BETWEEN 0.1 AND 0.95"}
            checks = {str(c.sqltext) for c in column.table.constraints if isinstance(c, CheckConstraint)}
            assert bounds & checks, field.place


@pytest.mark.parametrize(("field", "read"), list(joins(One)))
def test_a_to_one_joins_on_a_unique_key(field: Field, read: One) -> None:
    parent, child = table_of(field.type), cast("Table", read.source)
    assert parent is not None
    assert read.on is not None
    parent_row, child_row = parent.alias("parent$"), child.alias("child$")
    mine, theirs = compared(read.on(parent_row, child_row), child_row)
    assert theirs.table is parent_row
    assert unique(child, mine)
    if field.required:
        there = parent.c[theirs.name]
        assert not there.nullable
        assert [key.column for key in there.foreign_keys] == [child.c[mine]]


def test_a_root_that_answers_one_object_looks_it_up_by_its_primary_key() -> None:
    for field in READ:
        read = declared(field.definition)
        if isinstance(read, One) and field.type.name == "Query":
            assert read.on is None
            assert isinstance(read.source, Table)
            assert [column.name for column in read.source.primary_key] == ["id"], field.place
            assert not field.required, field.place
            assert set(field.definition.args) == {"id"}, field.place


def test_pages_are_ordered_by_columns_that_are_never_null_and_unique_together() -> None:
    tags: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for field in READ:
        read = declared(field.definition)
        if not isinstance(read, Connection):
            continue
        row, conditions = narrowed(field, read)
        columns = [origin(row.c[name]) for name in read.order.columns]
        [table] = {column.table for column in columns}
        assert not any(column.nullable for column in columns), field.place
        tags[read.order.tag].add(tuple(str(referred(column)) for column in columns))
        names = {column.name for column in columns}
        if not unique(table, *names):
            names |= {compared(condition, row)[0] for condition, row in conditions}
        assert unique(table, *names), field.place
    assert {tag for tag, orders in tags.items() if len(orders) > 1} == set(), "a tag marks cursors of one order"


def test_a_list_has_an_order() -> None:
    assert [f.place for f in READ if isinstance(r := declared(f.definition), Many) and r.order is None] == []
