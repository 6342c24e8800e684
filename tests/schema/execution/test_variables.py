"""The values of variables: what is its own value is taken as it is, and all else is what graphql-core makes of it."""

import threading
from typing import Any

import pytest
from graphql import GraphQLError, GraphQLSchema, OperationDefinitionNode, Undefined, build_schema, parse
from graphql.execution.values import VariableValues, get_variable_values
from hypothesis import given
from hypothesis import strategies as st

from schema.execution.documents import Refusal
from schema.execution.operations import Execution
from schema.execution.variables import FEW_ENTRIES, LONGEST_LIST, MOST_ERRORS, MOST_WORDS, Variables, is_large
from schema.offload import Offload

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
    if not isinstance(found, VariableValues):
        return [error.message for error in found]
    sent = {name: source.value for name, source in found.sources.items() if source.value is not Undefined}
    return found.coerced, sent


@pytest.mark.parametrize("definitions", [DEFINITIONS, *DEFINITIONS.split(", ")])
@given(data=st.data())
def test_values_are_those_of_graphql_core(definitions: str, data: st.DataObject) -> None:
    names = [part.split(":")[0].removeprefix("$") for part in definitions.split(", ")]
    values = data.draw(st.dictionaries(st.sampled_from([*names, "other"]), ANY))
    asked = operation(definitions)
    expected = get_variable_values(SCHEMA, asked.variable_definitions or (), values, max_errors=MOST_ERRORS)
    assert outcome(Variables(SCHEMA, asked).coerced(values)) == outcome(expected)


@pytest.mark.parametrize("type_", ["ID", "String", "Boolean"])
def test_the_scalars_of_our_schema_are_the_specified_ones(schema: GraphQLSchema, type_: str) -> None:
    """Otherwise values would be taken as they are that a scalar of our own might refuse."""
    assert Variables(schema, operation(f"$a: {type_}"))._plain[0][1] != ()


STATUSES = "query($n:[TrainingJobStatus!]){trainingJobs(filter:{status:$n}){totalCount}}"
FILTER = "query($n:TrainingJobFilter){trainingJobs(filter:$n){totalCount}}"


async def refusal(schema: GraphQLSchema, query: str, n: object) -> list[Any]:
    with pytest.raises(Refusal) as refused:
        await Execution(schema, Offload()).prepare({"query": query, "variables": {"n": n}})
    return refused.value.errors


@pytest.mark.parametrize("kind", ["query", "mutation", "subscription"])
async def test_so_many_errors_are_told_and_no_more(schema: GraphQLSchema, kind: str) -> None:
    query = {
        "query": STATUSES,
        "mutation": "mutation($n:[DataUse!]){reviewQaPairs(input:{qaPairIds:[],allowedUses:$n}){__typename}}",
        "subscription": "subscription($n:[TrainingJobStatus!]){trainingJobsUpdated(filter:{status:$n}){id}}",
    }[kind]
    errors = await refusal(schema, query, [1] * MOST_WORDS)
    assert len(errors) == MOST_ERRORS + 1
    assert errors[0]["message"] == (
        f"Variable '$n' has invalid value at [0]: Enum '{'DataUse' if kind == 'mutation' else 'TrainingJobStatus'}'"
        " cannot represent non-string value: 1."
    )
    assert errors[-1]["message"] == "Too many errors processing variables, error limit reached. Execution aborted."


@pytest.mark.parametrize("value", [1, "FAILED"])
async def test_a_long_list_is_refused_whatever_is_in_it(schema: GraphQLSchema, value: object) -> None:
    errors = await refusal(schema, STATUSES, [value] * (MOST_WORDS + 1))
    assert errors == [
        {
            "message": "Variable '$n' has a list of more than 10,000 items, or of more than 1,000 words; send less"
            " at once.",
            "locations": [{"line": 1, "column": 7}],
            "extensions": {"code": "TOO_LARGE"},
        }
    ]
    assert await refusal(schema, FILTER, {"status": [value] * (MOST_WORDS + 1)}) == errors


async def test_a_list_in_a_value_of_any_form_may_be_long(schema: GraphQLSchema) -> None:
    query = """mutation($n:JSON){createTrainingJob(
        input:{trainingSheetId:1,modelName:"",baseModel:"",trainingConfig:$n}){__typename}}"""
    given = {"query": query, "variables": {"n": {"rates": [0.1] * (LONGEST_LIST + 1)}}}
    assert (await Execution(schema, Offload()).prepare(given)).coerced.coerced == given["variables"]


async def test_what_a_client_sent_is_quoted_in_part(schema: GraphQLSchema) -> None:
    for sent in (
        {f"unknown{number}": 1 for number in range(4_900)},
        {"x" * 100_000: 1},
        {"createdAfter": "x" * 100_000},
    ):
        errors = await refusal(schema, FILTER, sent)
        assert len(errors) <= MOST_ERRORS + 1
        assert max(len(error["message"]) for error in errors) <= 501


@pytest.mark.parametrize(
    ("given_", "large"),
    [
        ({}, False),
        ({"a": "x" * 100_000}, False),
        ({"a": [1] * (FEW_ENTRIES - 1)}, False),
        ({"a": [1] * FEW_ENTRIES}, True),
        ({"a": [[{"b": [1] * 99}] * 1] * 5}, True),
        ({str(number): number for number in range(FEW_ENTRIES)}, False),
        ({str(number): number for number in range(FEW_ENTRIES + 1)}, True),
    ],
)
def test_large_is_more_than_so_many_values_wherever_they_are(given_: dict[str, Any], *, large: bool) -> None:
    assert is_large(given_) is large


async def test_many_values_are_coerced_beside_the_event_loop(
    schema: GraphQLSchema, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[bool] = []
    coerced = Variables.coerced

    def noting(self: Variables, given: Any) -> VariableValues | list[GraphQLError]:  # noqa: ANN401
        threads.append(threading.current_thread() is threading.main_thread())
        return coerced(self, given)

    monkeypatch.setattr(Variables, "coerced", noting)
    execution = Execution(schema, Offload())
    for size in (3, MOST_WORDS):
        await execution.prepare({"query": STATUSES, "variables": {"n": ["FAILED"] * size}})
    assert threads == [True, False]
