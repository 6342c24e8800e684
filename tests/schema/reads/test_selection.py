"""Selections: whatever names a client chooses and however it composes them, each key of the answer is right."""

import json

import pytest

from tests.schema.conftest import Api
from tests.schema.world import RICH, World

pytestmark = pytest.mark.database

HOSTILE = [
    *("x1", "r", "r1", "n", "value", "place", "cursor", "o", "p1", "one", "label", "used", "frozen", "lineage"),
    *(
        "select",
        "from",
        "where",
        "order",
        "group",
        "limit",
        "user",
        "table",
        "all",
        "null",
        "true",
        "case",
        "end",
        "by",
    ),
    *("json_agg", "row_to_json", "count", "training_jobs", "id_", "_", "__", "_1", "ID", "Id", "iD", "created_at"),
    *("A", "a", "aA", "Aa", "x" * 63, "x" * 64, "x" * 63 + "y", "x" * 63 + "Y", "y" * 200),
]


@pytest.fixture
def rich(world: World) -> str:
    job_id: str = world.jobs[RICH]["id"]
    return job_id


async def test_the_answer_has_the_order_of_the_selection(api: Api, rich: str) -> None:
    query = """query ($id: ID!) { trainingJob(id: $id) {
      status ...Last id lineage { sheetId jobId } modelName id
    } } fragment Last on TrainingJob { valPairs id trainPairs }"""
    found = (await api.ask(query, id=rich))["trainingJob"]
    assert list(found) == ["status", "valPairs", "id", "trainPairs", "lineage", "modelName"]
    assert list(found["lineage"]) == ["sheetId", "jobId"]


@pytest.mark.parametrize("alias", HOSTILE)
async def test_any_name_is_a_key(api: Api, world: World, rich: str, alias: str) -> None:
    """In each place that SQL names: an object, a list, a page, an edge, a to-one, an array, beside its namesakes."""
    query = f"""query ($id: ID!) {{ {alias}: trainingJob(id: $id) {{
      {alias}: id
      l: lineage {{ {alias}: jobId m: modelName }}
      x: excluded {{ {alias}: count verdict }}
      e: events(first: 1) {{ {alias}: nodes {{ {alias}: sequence }} e: edges {{ {alias}: node {{ {alias}: id }} }} }}
      p: events(first: 1) {{ {alias}: pageInfo {{ {alias}: hasNextPage }} t: totalCount }}
    }} }}"""
    found = (await api.ask(query, id=rich))[alias]
    assert found == {
        alias: rich,
        "l": {alias: rich, "m": "model 1"},
        "x": [
            {alias: 3, "verdict": "NOT_LABELED"},
            {alias: 2, "verdict": "USE_NOT_ALLOWED"},
            {alias: 1, "verdict": "MALFORMED"},
        ],
        "e": {alias: [{alias: 1}], "e": [{alias: {alias: world.events[0]["id"]}}]},
        "p": {alias: {alias: True}, "t": 12},
    }


async def test_names_that_differ_in_case_or_beyond_63_bytes_stay_apart(api: Api, rich: str) -> None:
    fields = ("id", "modelName", "baseModel", "createdBy", "status", "trainer")
    chosen = [alias for alias in HOSTILE if not alias.startswith("__")]
    selection = " ".join(f"{alias}: {fields[place % 6]}" for place, alias in enumerate(chosen))
    job = "trainingJob(id: $id)"
    query = f"query ($id: ID!) {{ a: {job} {{ {' '.join(fields)} }} b: {job} {{ {selection} }} }}"
    found = await api.ask(query, id=rich)
    values = list(found["a"].values())
    assert list(found["b"].items()) == [(alias, values[place % 6]) for place, alias in enumerate(chosen)]


@pytest.mark.parametrize("count", [60, 1_600, 1_700])
async def test_an_object_may_have_any_number_of_keys(api: Api, world: World, count: int) -> None:
    selection = " ".join(f"k{number}: {('id', 'status')[number % 2]}" for number in range(count))
    found = (await api.ask(f"{{ trainingJobs(first: 1) {{ nodes {{ {selection} }} }} }}"))["trainingJobs"]["nodes"]
    newest = world.newest_first()[0]
    assert found == [{f"k{number}": newest[("id", "status")[number % 2]] for number in range(count)}]


async def test_fields_of_one_key_are_merged(api: Api, rich: str) -> None:
    query = """query ($id: ID!) {
      trainingJob(id: $id) { lineage { jobId } ...A }
      trainingJob(id: $id) { lineage { sheetName job { id } } id }
      ...Root
    }
    fragment A on TrainingJob { lineage { job { modelName ...B } } events(first: 1) { nodes { sequence } } }
    fragment B on TrainingJob { lineage { modelName } events(first: 1) { totalCount } }
    fragment Root on Query { trainingJob(id: $id) { status events(first: 1) { nodes { eventType } } } }"""
    assert await api.ask(query, id=rich) == {
        "trainingJob": {
            "lineage": {
                "jobId": rich,
                "job": {
                    "modelName": "model 1",
                    "lineage": {"modelName": "model 1"},
                    "events": {"totalCount": 12},
                    "id": rich,
                },
                "sheetName": "its sheet then",
            },
            "events": {"nodes": [{"sequence": 1, "eventType": "CREATED"}]},
            "id": rich,
            "status": "SUCCEEDED",
        }
    }


async def test_a_type_says_its_name_anywhere_and_under_any_key(api: Api, world: World, rich: str) -> None:
    query = """query ($id: ID!, $sheet: ID!) {
      root: __typename
      trainingJob(id: $id) {
        __typename t: __typename
        lineage { __typename job { __typename } pairs(first: 1) { __typename nodes { __typename qaPair {
          __typename messages { __typename } canonicalLabel { __typename } } } } }
        metrics { __typename } metricHistory { __typename } excluded { __typename }
        events(first: 1) { __typename edges { __typename node { __typename } } pageInfo { __typename } }
      }
      trainingSheet(id: $sheet) { __typename eligibility { __typename excluded { __typename } } sheet { __typename } }
      templates(first: 1) { __typename edges { __typename node { __typename } } }
    }"""
    found = await api.ask(query, id=rich, sheet=world.training_sheet)
    job = found["trainingJob"]
    assert found["root"] == "Query"
    assert (job["__typename"], job["t"]) == ("TrainingJob", "TrainingJob")
    lineage = {"__typename": "TrainingJobLineage", "job": {"__typename": "TrainingJob"}}
    pair = {
        "__typename": "QaPair",
        "messages": [{"__typename": "ChatMessage"}] * 2,
        "canonicalLabel": {"__typename": "CanonicalLabel"},
    }
    frozen = {"__typename": "LineagePairConnection", "nodes": [{"__typename": "LineagePair", "qaPair": pair}]}
    assert job["lineage"] == {**lineage, "pairs": frozen}
    assert (job["metrics"], job["metricHistory"]) == ({"__typename": "TrainingJobMetrics"}, [])
    assert job["excluded"] == [{"__typename": "ExclusionCount"}] * 3
    assert job["events"] == {
        "__typename": "TrainingJobEventConnection",
        "edges": [{"__typename": "TrainingJobEventEdge", "node": {"__typename": "TrainingJobEvent"}}],
        "pageInfo": {"__typename": "PageInfo"},
    }
    assert found["trainingSheet"] == {
        "__typename": "TrainingSheet",
        "eligibility": {"__typename": "EligibilityReport", "excluded": [{"__typename": "ExclusionCount"}] * 4},
        "sheet": {"__typename": "Sheet"},
    }
    assert found["templates"] == {
        "__typename": "TemplateConnection",
        "edges": [{"__typename": "TemplateEdge", "node": {"__typename": "Template"}}],
    }


async def test_the_deepest_document_is_read(api: Api, world: World) -> None:
    deep = "trainingJobs(first: 1) { edges { node { trainingSheet {"
    query = f"{{ trainingSheets(first: 1) {{ edges {{ node {{ {deep * 5} id {'} } } }' * 5} }} }} }} }}"
    found = json.dumps(await api.ask(query))
    assert found.count('trainingSheet"') == 5
    assert len(api.statements) == 1
    assert world.other_training_sheet in found
