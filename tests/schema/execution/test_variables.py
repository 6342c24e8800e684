"""The values of variables: what is its own value is taken as it is, and all else is what graphql-core makes of it."""

from typing import Any

import pytest
from graphql import GraphQLSchema, OperationDefinitionNode, build_schema, parse
from graphql.execution.values import VariableValues, get_variable_values
from hypothesis import given
from hypothesis import strategies as st

from schema.execution.variables import Variables

SCHEMA = build_schema("enum E { A } input I { a: Int! } type Query { f(e: E, i: I): Int }")
DEFINITIONS = (
    '$a: String, $b: ID!, $c: Boolean = true, $d: ID = null, $e: E, $f: [String], $g: Int = 3, $h: I, $i: String! = "x"'
)
VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.just("A")
ANY = VALUES | st.lists(VALUES, max_size=2) | st.dictionaries(st.sampled_from("ab"), VALUES)


def operation(definitions: str) -> OperationDefinitionNode:
    [found] = parse(f"query ({definitions}) {{ __typename }}").definitions
    assert isinstance(found, OperationDefinitionNode)
    return found


def outcome(found: VariableValues | list[Any]) -> object:
    return found.coerced if isinstance(found, VariableValues) else [error.message for error in found]


@pytest.mark.parametrize("definitions", [DEFINITIONS, *DEFINITIONS.split(", ")])
@given(data=st.data())
def test_values_are_those_of_graphql_core(definitions: str, data: st.DataObject) -> None:
    names = [part.split(":")[0].removeprefix("$") for part in definitions.split(", ")]
    values = data.draw(st.dictionaries(st.sampled_from([*names, "other"]), ANY))
    asked = operation(definitions)
    expected = get_variable_values(SCHEMA, asked.variable_definitions or (), values)
    assert outcome(Variables(SCHEMA, asked).coerced(values)) == outcome(expected)


@pytest.mark.parametrize("type_", ["ID", "String", "Boolean"])
def test_the_scalars_of_our_schema_are_the_specified_ones(schema: GraphQLSchema, type_: str) -> None:
    """Otherwise values would be taken as they are that a scalar of our own might refuse."""
    assert Variables(schema, operation(f"$a: {type_}"))._plain[0][1] != ()
