"""What the oracle refuses, and in which words."""

import base64
import json
from typing import Any

import asyncpg
import pytest

from tests.oracle.oracle import Oracle
from tests.schema.world import World

pytestmark = pytest.mark.database

NO_CURSOR = "is not a cursor of this list; use one that a page of it gave you"
NUL = "contains a NUL character (U+0000), which can't be stored"
SURROGATE = "contains a lone surrogate, which is not valid Unicode text"


def cursor(*values: object) -> str:
    return base64.b64encode(json.dumps(values).encode()).decode()


def refusal(message: str, column: int, *path: str) -> dict[str, Any]:
    return {
        "message": message,
        "locations": [{"line": 1, "column": column}],
        "path": list(path),
        "extensions": {"code": "INVALID_ARGUMENT"},
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("first: -1", "first must not be negative"),
        ("last: -1", "last must not be negative"),
        ("first: 1, last: 1", "first and last can't be combined; ask for one end of the list"),
        ('after: "x"', f"after {NO_CURSOR}"),
        ('before: ""', f"before {NO_CURSOR}"),
        ('after: "x", first: -1', "first must not be negative"),
        ('filter: {createdBy: "\\u0000"}', f"filter.createdBy {NUL}"),
        ('before: "x", filter: {createdBy: "\\u0000"}', f"filter.createdBy {NUL}"),
    ],
)
async def test_a_bad_argument_of_a_root_field(oracle: Oracle, arguments: str, message: str) -> None:
    answer = await oracle.answer(f"{{ jobs: trainingJobs({arguments}) {{ totalCount }} }}")
    assert answer == {"errors": [refusal(message, 3, "jobs")], "data": None}


@pytest.mark.parametrize(
    "values",
    [
        ("events", "2026-02-06T10:00:00.123456Z", "job_1"),
        ("jobs", "2026-02-06T10:00:00.123456Z"),
        ("jobs", "2026-02-06", "job_1"),
        ("jobs", "2026-02-06T10:00:00.123456Z", 1),
        ("jobs", 1, "job_1"),
    ],
)
async def test_a_cursor_of_another_list(oracle: Oracle, values: tuple[object, ...]) -> None:
    text = "query($c: String) { trainingJobs(after: $c) { totalCount } }"
    answer = await oracle.answer(text, {"c": cursor(*values)})
    assert answer == {"errors": [refusal(f"after {NO_CURSOR}", 21, "trainingJobs")], "data": None}


@pytest.mark.parametrize("sequence", ["1", 1.0, True, None, 2**31])
async def test_a_cursor_with_a_number_that_no_row_has(oracle: Oracle, sequence: object) -> None:
    text = 'query($c: String) { trainingJob(id: "x") { events(after: $c) { totalCount } } }'
    answer = await oracle.answer(text, {"c": cursor("events", sequence)})
    assert answer == {"errors": [refusal(f"after {NO_CURSOR}", 44, "trainingJob")], "data": {"trainingJob": None}}


async def test_nested_arguments_are_refused_for_the_root_field_even_below_nothing(oracle: Oracle) -> None:
    text = '{ lost: trainingJob(id: "job_0") { metricHistory(maxPoints: 1) { key } } sheets { totalCount } }'
    assert await oracle.answer(text) == {
        "errors": [refusal("maxPoints must be at least 2", 36, "lost")],
        "data": {"lost": None, "sheets": {"totalCount": 2}},
    }


async def test_nothing_is_read_for_a_refused_field(oracle: Oracle, statements: list[str]) -> None:
    await oracle.answer('{ trainingJobs { nodes { metricHistory(keys: ["\\u0000"]) { key } } } }')
    assert statements == []


async def test_the_type_of_a_node_decides_which_fragments_are_looked_at(oracle: Oracle, world: World) -> None:
    text = """query($id: ID!) { node(id: $id) {
        ... on TrainingJob { events(first: -1) { totalCount } } ... on Sheet { trainingJobs(first: -2) { totalCount } }
    } }"""
    found = [await oracle.answer(text, {"id": id_}) for id_ in ("job_0", "sheet_0", world.pairs[0], "zebra_0", "job_")]
    assert [[error["message"] for error in answer.get("errors", ())] for answer in found] == [
        ["first must not be negative"],
        ["first must not be negative"],
        [],
        [],
        [],
    ]
    assert [answer["errors"][0]["locations"][0]["column"] for answer in found[:2]] == [30, 80]
    assert [answer["data"] for answer in found] == [{"node": None}, {"node": None}, {"node": {}}, *[{"node": None}] * 2]


async def test_what_is_skipped_is_not_looked_at(oracle: Oracle) -> None:
    text = """query($no: Boolean!) { trainingJob(id: "x") {
        id events(first: -1) @include(if: $no) { totalCount } ...More @skip(if: true)
    } } fragment More on TrainingJob { metricHistory(maxPoints: 0) { key } }"""
    assert await oracle.answer(text, {"no": False}) == {"data": {"trainingJob": None}}


async def test_texts_in_variables_are_looked_at_last(oracle: Oracle) -> None:
    text = """query($a: String) { trainingJobs(after: $a) { nodes { events(before: "y") { totalCount } } } }"""
    answer = await oracle.answer(text, {"a": "x"})
    assert answer == {"errors": [refusal(f"before {NO_CURSOR}", 55, "trainingJobs")], "data": None}


async def test_a_share_that_no_job_can_have_is_an_error_of_its_field(oracle: Oracle, world: World) -> None:
    text = (
        "query($id: ID!) { node(id: $id) { ... on TrainingSheet { eligibility(trainValSplit: 0.96) { valPairs } } } }"
    )
    error = {
        "message": "trainValSplit: must be between 0.1 and 0.95",
        "locations": [{"line": 1, "column": 58}],
        "path": ["node", "eligibility"],
        "extensions": {"code": "INVALID_INPUT"},
    }
    answer = await oracle.answer(text, {"id": world.training_sheet})
    assert answer == {"errors": [error], "data": {"node": None}}


async def test_a_variable_that_fits_no_element(oracle: Oracle) -> None:
    text = 'query($k: String = "v") { trainingJob(id: "x") { metricHistory(keys: [$k]) { key } } }'
    answer = await oracle.answer(text, {"k": None})
    [error] = answer["errors"]
    assert (error["path"], error["extensions"]) == (["trainingJob"], {"code": "INVALID_ARGUMENT"})
    assert await oracle.answer(text) == {"data": {"trainingJob": None}}


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("{", None, "Syntax Error: Expected Name, found <EOF>."),
        ("{ nothing }", None, "Cannot query field 'nothing' on type 'Query'."),
        ("fragment F on Query { __typename }", None, "Fragment 'F' is never used."),
        (
            "query A { __typename } query B { __typename }",
            None,
            "the document has several operations; name one of them in operationName: A, B",
        ),
        ("query A { __typename }", "C", "the document has no operation called 'C'; it has A"),
        ('mutation { pollTrainingJob(jobId: "x") { __typename } }', None, "only queries are answered here"),
    ],
)
async def test_what_can_t_be_executed_has_no_data(oracle: Oracle, text: str, name: str | None, message: str) -> None:
    answer = await oracle.answer(text, None, name)
    assert [error["message"] for error in answer["errors"]] == [message]
    assert "data" not in answer


@pytest.mark.parametrize(
    ("member", "value", "message"),
    [
        ("createdAfter", "2026-01-01T00:00:00", "DateTime is RFC 3339 with a zone, such as 2026-02-06T10:00:00Z"),
        ("createdAfter", "0001-01-01T00:00:00+14:00", "DateTime lies outside the years 1 to 9999"),
        ("trainer", "\ud800", "Value '\ud800' does not exist in 'TrainerKind' enum."),
    ],
)
async def test_a_value_that_is_none_of_its_type(oracle: Oracle, member: str, value: str, message: str) -> None:
    text = "query($f: TrainingJobFilter) { trainingJobs(filter: $f) { totalCount } }"
    whole = f"Variable '$f' has invalid value at .{member}: {message}"
    answer = await oracle.answer(text, {"f": {member: value}})
    assert answer == {"errors": [{"message": whole, "locations": [{"line": 1, "column": 7}]}]}


async def test_a_text_that_is_not_unicode(oracle: Oracle) -> None:
    text = "query($f: TrainingJobFilter) { trainingJobs(filter: $f) { totalCount } }"
    answer = await oracle.answer(text, {"f": {"modelName": "\ud800"}})
    assert answer == {"errors": [refusal(f"filter.modelName {SURROGATE}", 32, "trainingJobs")], "data": None}


async def test_a_failure_of_the_database_is_masked(oracle: Oracle, caplog: pytest.LogCaptureFixture) -> None:
    oracle._pool.terminate()
    answer = await oracle.answer('{ trainingJob(id: "job_0") { id } }')
    assert answer == {
        "errors": [
            {
                "message": "Unexpected error. It was logged.",
                "locations": [{"line": 1, "column": 3}],
                "path": ["trainingJob"],
                "extensions": {"code": "INTERNAL_ERROR"},
            }
        ],
        "data": {"trainingJob": None},
    }
    [record] = caplog.records
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], asyncpg.InterfaceError)
