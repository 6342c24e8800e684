"""Arguments: each field node has its own, and bad ones are clear errors."""

import pytest

from tests.schema.conftest import Api
from tests.schema.world import EMPTY, RICH, World

pytestmark = pytest.mark.database

FILTERED = "query ($filter: TrainingJobFilter) { trainingJobs(filter: $filter) { totalCount } }"


async def test_each_alias_of_a_field_has_its_own_arguments(api: Api, world: World) -> None:
    query = """query ($id: ID!, $n: Int = 2) { trainingJob(id: $id) {
      a: events(first: 1) { nodes { sequence } }
      b: events(first: $n) { nodes { sequence } }
      c: events(last: 1) { nodes { sequence } }
      d: events(types: [ERROR]) { nodes { sequence } totalCount }
      e: events(first: 0) { nodes { sequence } totalCount }
      f: lineage { a: pairs(first: 1) { nodes { position } } b: pairs(split: VALIDATION) { nodes { position } } }
    } }"""
    found = (await api.ask(query, id=world.jobs[RICH]["id"]))["trainingJob"]
    assert found == {
        "a": {"nodes": [{"sequence": 1}]},
        "b": {"nodes": [{"sequence": 1}, {"sequence": 2}]},
        "c": {"nodes": [{"sequence": 12}]},
        "d": {"nodes": [{"sequence": 9}], "totalCount": 1},
        "e": {"nodes": [], "totalCount": 12},
        "f": {"a": {"nodes": [{"position": 0}]}, "b": {"nodes": [{"position": 6}, {"position": 7}]}},
    }


async def test_each_root_field_has_its_own_arguments(api: Api, world: World) -> None:
    query = """query ($x: ID!, $y: ID!) {
      x: trainingJob(id: $x) { id } y: trainingJob(id: $y) { id } z: trainingJob(id: "job_z") { id }
      failed: trainingJobs(filter: { status: [FAILED] }) { nodes { id } } two: trainingJobs(first: 2) { nodes { id } }
    }"""
    first, second = world.jobs[EMPTY]["id"], world.jobs[RICH]["id"]
    found = await api.ask(query, x=first, y=second)
    assert (found["x"], found["y"], found["z"]) == ({"id": first}, {"id": second}, None)
    assert [node["id"] for node in found["failed"]["nodes"]] == world.job_ids(status="FAILED")
    assert [node["id"] for node in found["two"]["nodes"]] == world.job_ids()[:2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("first: -1", "first must not be negative"),
        ("last: -1", "last must not be negative"),
        ("first: -2147483648", "first must not be negative"),
        ("first: 1, last: 1", "first and last can't be combined; ask for one end of the list"),
        ("first: 0, last: 0", "first and last can't be combined; ask for one end of the list"),
        ('after: "x"', "after is not a cursor of this list; use one that a page of it gave you"),
        ('last: 1, before: "x"', "before is not a cursor of this list; use one that a page of it gave you"),
        (
            'filter: { createdBy: "a\\u0000b" }',
            "filter.createdBy contains a NUL character (U+0000), which can't be stored",
        ),
        (
            'filter: { modelName: "a\\u0000b" }',
            "filter.modelName contains a NUL character (U+0000), which can't be stored",
        ),
    ],
)
async def test_arguments_that_a_field_can_t_use_are_clear_errors(api: Api, arguments: str, message: str) -> None:
    for selection in ("totalCount", "nodes { id }", "__typename", "pageInfo { __typename }"):
        refusals = await api.refusals(f"{{ trainingJobs({arguments}) {{ {selection} }} }}")
        assert refusals == [("INVALID_ARGUMENT", message)]
    assert api.statements == []


async def test_a_lone_surrogate_is_a_clear_error(api: Api) -> None:
    [(code, message)] = await api.refusals(FILTERED, filter={"createdBy": "\ud800"})
    assert code == "INVALID_ARGUMENT"
    assert message == "filter.createdBy contains a lone surrogate, which is not valid Unicode text"


async def test_a_bad_argument_below_the_root_fails_the_root_alone(api: Api, world: World) -> None:
    query = """query ($id: ID!) {
      good: trainingJob(id: $id) { id }
      bad: trainingJob(id: $id) { id events(first: -1) { totalCount } }
    }"""
    answer = await api.execute(query, id=world.jobs[RICH]["id"])
    assert answer["data"] == {"good": {"id": world.jobs[RICH]["id"]}, "bad": None}
    assert answer["errors"] == [
        {
            "message": "first must not be negative",
            "locations": [{"line": 3, "column": 38}],
            "path": ["bad"],
            "extensions": {"code": "INVALID_ARGUMENT"},
        }
    ]


async def test_a_mutation_whose_result_can_t_be_read_changes_nothing(own: Api) -> None:
    create = """mutation %s { createSheet(input: { name: "s", source: EXTERNAL }) {
      ... on Sheet { id trainingJobs(%s) { nodes { id } } } ... on Problem { code }
    } }"""
    for variables, arguments, message in [
        ("", "first: -1", "first must not be negative"),
        ("($c: String)", "after: $c", "after is not a cursor of this list; use one that a page of it gave you"),
    ]:
        answer = await own.execute(create % (variables, arguments), c="x")
        assert answer["data"] is None
        assert [(error["message"], error["path"]) for error in answer["errors"]] == [(message, ["createSheet"])]
    assert await own.ask("{ sheets { totalCount } }") == {"sheets": {"totalCount": 0}}
    assert (await own.ask(create % ("", "first: 1")))["createSheet"]["trainingJobs"] == {"nodes": []}
