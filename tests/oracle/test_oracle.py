"""What the oracle answers, against the rows themselves."""

import base64
import json
from typing import Any

import pytest

from tests.oracle.asking import data
from tests.oracle.oracle import Oracle
from tests.schema.rows import NEWEST, rfc3339
from tests.schema.world import CONFIG, EMPTY, LABEL_DATA, LAST, RICH, World

pytestmark = pytest.mark.database


async def test_columns_are_shown_as_they_are_stored(oracle: Oracle, world: World) -> None:
    text = """query($id: ID!) { trainingJob(id: $id) {
        __typename id status isTerminal availableActions trainingConfig trainValSplit currentEpoch unreachableSince
        startedAt completedAt durationSeconds excluded { verdict count } registerToUc ucModelVersion
        metrics { valLoss trainAccuracy tokensProcessed customMetrics }
    } }"""
    found = await data(oracle, text, id=world.jobs[RICH]["id"])
    assert json.dumps(found["trainingJob"]) == json.dumps(
        {
            "__typename": "TrainingJob",
            "id": world.jobs[RICH]["id"],
            "status": "SUCCEEDED",
            "isTerminal": True,
            "availableActions": [],
            "trainingConfig": CONFIG,
            "trainValSplit": 0.75,
            "currentEpoch": 3,
            "unreachableSince": rfc3339(NEWEST),
            "startedAt": "2026-02-06T09:57:00.123456Z",
            "completedAt": "2026-02-06T09:58:00.123456Z",
            "durationSeconds": 60.0,
            "excluded": [
                {"verdict": "NOT_LABELED", "count": 3},
                {"verdict": "USE_NOT_ALLOWED", "count": 2},
                {"verdict": "MALFORMED", "count": 1},
            ],
            "registerToUc": True,
            "ucModelVersion": "4",
            "metrics": {
                "valLoss": 1e-09,
                "trainAccuracy": 1.0,
                "tokensProcessed": 9007199254740993,
                "customMetrics": {"zebra": 1, "a": {"x": [2**70]}},
            },
        }
    )


async def test_json_keeps_its_keys_in_order_and_its_numbers(oracle: Oracle, world: World) -> None:
    body = await oracle.body(
        "query($id: ID!) { node(id: $id) { ... on CanonicalLabel { labelData } } }", {"id": world.labels[1]}
    )
    assert json.dumps(json.loads(body)["data"]["node"]["labelData"]) == json.dumps(LABEL_DATA)


async def test_what_is_not_there_is_null(oracle: Oracle, world: World) -> None:
    text = """query($empty: ID!, $last: ID!) {
        empty: trainingJob(id: $empty) {
            metrics { valLoss } metricHistory { key } startedAt durationSeconds availableActions excluded { count }
            events { totalCount nodes { id } edges { cursor } pageInfo { startCursor endCursor hasNextPage } }
        }
        last: trainingJob(id: $last) { lineage { jobId } }
        missing: trainingJob(id: "job_0") { id } foreign: qaPair(id: $empty) { id } odd: node(id: "job_\\u00e9") { id }
    }"""
    found = await data(oracle, text, empty=world.jobs[EMPTY]["id"], last=world.jobs[LAST]["id"])
    assert found == {
        "empty": {
            "metrics": None,
            "metricHistory": [],
            "startedAt": None,
            "durationSeconds": None,
            "availableActions": ["CANCEL"],
            "excluded": [],
            "events": {
                "totalCount": 0,
                "nodes": [],
                "edges": [],
                "pageInfo": {"startCursor": None, "endCursor": None, "hasNextPage": False},
            },
        },
        "last": {"lineage": None},
        "missing": None,
        "foreign": None,
        "odd": None,
    }


PAGE = """query($first: Int, $after: String, $last: Int, $before: String, $order: TrainingJobOrder) {
    trainingJobs(first: $first, after: $after, last: $last, before: $before, orderBy: $order) {
        totalCount nodes { id } edges { cursor node { id } }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
}"""


def cursor(row: dict[str, Any]) -> str:
    return base64.b64encode(f'["jobs", "{rfc3339(row["created_at"])}", "{row["id"]}"]'.encode()).decode()


@pytest.mark.parametrize(
    ("arguments", "shown", "beyond"),
    [
        ({"first": 3}, slice(0, 3), (True, False)),
        ({"first": 100}, slice(0, 25), (False, False)),
        ({}, slice(0, 20), (True, False)),
        ({"first": None}, slice(0, 20), (True, False)),
        ({"first": 3, "after": 1}, slice(2, 5), (True, True)),
        ({"first": 3, "after": 21}, slice(22, 25), (False, True)),
        ({"first": 3, "before": 2}, slice(0, 2), (True, False)),
        ({"last": 3}, slice(22, 25), (False, True)),
        ({"last": 3, "before": 3}, slice(0, 3), (True, False)),
        ({"last": 2, "before": 3}, slice(1, 3), (True, True)),
        ({"after": 0, "before": 4}, slice(1, 4), (True, True)),
    ],
)
async def test_pages_in_both_directions(
    oracle: Oracle, world: World, arguments: dict[str, Any], shown: slice, beyond: tuple[bool, bool]
) -> None:
    jobs = world.newest_first()
    asked = {name: cursor(jobs[value]) if name in {"after", "before"} else value for name, value in arguments.items()}
    found = (await data(oracle, PAGE, **asked))["trainingJobs"]
    ids = [row["id"] for row in jobs[shown]]
    assert found == {
        "totalCount": 25,
        "nodes": [{"id": id_} for id_ in ids],
        "edges": [{"cursor": cursor(row), "node": {"id": row["id"]}} for row in jobs[shown]],
        "pageInfo": {
            "hasNextPage": beyond[0],
            "hasPreviousPage": beyond[1],
            "startCursor": cursor(jobs[shown][0]),
            "endCursor": cursor(jobs[shown][-1]),
        },
    }


async def test_an_empty_page_still_says_whether_there_is_more(oracle: Oracle) -> None:
    found = (await data(oracle, PAGE, first=0))["trainingJobs"]
    assert found["nodes"] == []
    assert found["pageInfo"] == {
        "hasNextPage": True,
        "hasPreviousPage": False,
        "startCursor": None,
        "endCursor": None,
    }


async def test_the_oldest_first(oracle: Oracle, world: World) -> None:
    oldest = world.newest_first()[::-1]
    found = (await data(oracle, PAGE, first=2, after=cursor(oldest[3]), order="CREATED_AT_ASC"))["trainingJobs"]
    assert found["nodes"] == [{"id": row["id"]} for row in oldest[4:6]]


@pytest.mark.parametrize(
    ("wanted", "columns"),
    [
        ({"status": ["RUNNING"]}, {"status": "RUNNING"}),
        ({"createdBy": "ben", "trainer": "LOCAL"}, {"created_by": "ben", "trainer": "LOCAL"}),
        ({"modelName": "model 1", "status": None}, {"model_name": "model 1"}),
        ({"status": []}, {"status": "none"}),
        ({"trainingSheetId": "tsheet_\x00"}, {"status": "none"}),
        ({}, {}),
        (None, {}),
    ],
)
async def test_filters(oracle: Oracle, world: World, wanted: object, columns: dict[str, Any]) -> None:
    text = "query($f: TrainingJobFilter) { trainingJobs(first: 100, filter: $f) { totalCount nodes { id } } }"
    ids = world.job_ids(**columns)
    expected = {"totalCount": len(ids), "nodes": [{"id": id_} for id_ in ids]}
    assert await data(oracle, text, f=wanted) == {"trainingJobs": expected}


async def test_moments_in_a_filter_have_any_zone_and_are_themselves_left_out(oracle: Oracle, world: World) -> None:
    text = """{ trainingJobs(filter: {
        createdAfter: "2026-02-06T09:50:00.123456Z", createdBefore: "2026-02-06T11:00:00.123456+01:00"
    }) { nodes { id } } }"""
    between = [row["id"] for row in world.newest_first()[4:10]]
    assert await data(oracle, text) == {"trainingJobs": {"nodes": [{"id": id_} for id_ in between]}}


async def test_the_type_of_a_node_is_in_its_id(oracle: Oracle, world: World) -> None:
    ids = {
        "Sheet": world.sheet,
        "Template": world.templates[0],
        "CanonicalLabel": world.labels[0],
        "TrainingSheet": world.training_sheet,
        "QaPair": world.pairs[0],
        "TrainingJob": world.jobs[0]["id"],
        "TrainingJobEvent": world.events[0]["id"],
    }
    asked = " ".join(f'{name}: node(id: "{id_}") {{ __typename id }}' for name, id_ in ids.items())
    expected = {name: {"__typename": name, "id": id_} for name, id_ in ids.items()}
    assert await data(oracle, f"{{ {asked} }}") == expected


async def test_one_statement_reads_one_level_for_all_parents(
    oracle: Oracle, world: World, statements: list[str]
) -> None:
    text = """{ trainingJobs(first: 9) { nodes {
        trainingSheet { name sheet { name } } lineage { sheetName }
        a: events(first: 2) { nodes { sequence } totalCount }
    } pageInfo { hasNextPage } } }"""
    jobs = (await data(oracle, text))["trainingJobs"]["nodes"]
    assert [
        sum(name in statement for statement in statements) for name in ("training_sheets", " sheets ", "lineage")
    ] == [1, 1, 1]
    assert len(statements) == 6  # jobs, training sheets, sheets, lineage, events and their counts
    rich = [row["id"] for row in world.newest_first()].index(world.jobs[RICH]["id"])
    assert jobs[rich] == {
        "trainingSheet": {"name": "invoice desk", "sheet": {"name": "invoices"}},
        "lineage": {"sheetName": "its sheet then"},
        "a": {"nodes": [{"sequence": 1}, {"sequence": 2}], "totalCount": 12},
    }
    assert [job["a"]["totalCount"] for job in jobs].count(12) == 1


async def test_the_models_that_are_given(oracle: Oracle) -> None:
    text = (
        "{ all: baseModels { name displayName trainer maxContextLength } remote: baseModels(trainer: FMAPI) { name } }"
    )
    assert await data(oracle, text) == {
        "all": [
            {"name": "local/small", "displayName": "Small", "trainer": "LOCAL", "maxContextLength": None},
            {"name": "remote/large", "displayName": "Large", "trainer": "FMAPI", "maxContextLength": 8192},
        ],
        "remote": [{"name": "remote/large"}],
    }
