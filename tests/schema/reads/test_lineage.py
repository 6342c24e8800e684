"""Lineage: from a model down to each pair, and from anything it was made of back to the jobs."""

from datetime import timedelta
from typing import Any

import pytest

from server.storage import tables
from tests.schema.conftest import Api
from tests.schema.rows import NEWEST, Row, add, curated, job, lineage
from tests.schema.world import EMPTY, LAST, RICH, World

pytestmark = pytest.mark.database

SIDES = {"TRAIN": 6, "VALIDATION": 2}


def frozen(world: World, number: int) -> list[Row]:
    job_id = world.jobs[number]["id"]
    return [row for row in world.frozen if row["job_id"] == job_id]


async def of_job(api: Api, world: World, number: int, selection: str) -> Any:  # noqa: ANN401  (an object or None)
    query = f"query ($id: ID!) {{ trainingJob(id: $id) {{ lineage {{ {selection} }} }} }}"
    return (await api.ask(query, id=world.jobs[number]["id"]))["trainingJob"]["lineage"]


async def test_names_are_those_of_then(api: Api, world: World) -> None:
    found = await of_job(
        api,
        world,
        RICH,
        "jobId trainingSheetId trainingSheetName sheetId sheetName templateId templateName templateVersion modelName"
        " modelVersion job { id status }",
    )
    assert found == {
        "jobId": world.jobs[RICH]["id"],
        "trainingSheetId": world.training_sheet,
        "trainingSheetName": "as it was called then",
        "sheetId": world.sheet,
        "sheetName": "its sheet then",
        "templateId": world.templates[0],
        "templateName": "its template then",
        "templateVersion": 1,
        "modelName": "model 1",
        "modelVersion": "4",
        "job": {"id": world.jobs[RICH]["id"], "status": "SUCCEEDED"},
    }
    assert await of_job(api, world, LAST, "jobId") is None


async def test_pairs_are_named_in_file_order(api: Api, world: World) -> None:
    """Not in the order in which they were added, nor in that of their ids."""
    assert (await of_job(api, world, RICH, "qaPairIds"))["qaPairIds"] == world.pairs[::-1]
    assert (await of_job(api, world, 9, "qaPairIds"))["qaPairIds"] == world.pairs[1::-1]
    assert (await of_job(api, world, EMPTY, "qaPairIds"))["qaPairIds"] == []


async def test_labels_are_named_once_in_order_of_first_use(api: Api, world: World) -> None:
    old, new, _strict = world.labels
    assert (await of_job(api, world, RICH, "canonicalLabelIds"))["canonicalLabelIds"] == [old, new]
    assert (await of_job(api, world, 9, "canonicalLabelIds"))["canonicalLabelIds"] == [old]
    assert (await of_job(api, world, EMPTY, "canonicalLabelIds"))["canonicalLabelIds"] == []


@pytest.mark.parametrize("side", [None, "TRAIN", "VALIDATION"])
async def test_frozen_pairs_come_in_file_order_page_by_page(api: Api, world: World, side: str | None) -> None:
    query = """query ($id: ID!, $side: DataSplit, $after: String) { trainingJob(id: $id) { lineage {
      pairs(first: 3, split: $side, after: $after) {
        totalCount
        nodes { qaPairId split position digest canonicalLabelId canonicalLabelVersion qaPair { id } }
        pageInfo { hasNextPage endCursor }
      }
    } } }"""
    wanted = [row for row in frozen(world, RICH) if side in {None, row["split"]}]
    seen, after, more = [], None, True
    while more:
        found = await api.ask(query, id=world.jobs[RICH]["id"], side=side, after=after)
        page = found["trainingJob"]["lineage"]["pairs"]
        assert page["totalCount"] == len(wanted) == (8 if side is None else SIDES[side])
        seen += page["nodes"]
        after, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
    assert seen == [
        {
            "qaPairId": row["qa_pair_id"],
            "split": row["split"],
            "position": row["position"],
            "digest": row["digest"],
            "canonicalLabelId": row["canonical_label_id"],
            "canonicalLabelVersion": row["canonical_label_version"],
            "qaPair": {"id": row["qa_pair_id"]},
        }
        for row in wanted
    ]


async def test_a_frozen_pair_keeps_the_version_that_backed_it(api: Api, world: World) -> None:
    """The pair itself has moved on to the next version of its label."""
    selection = "pairs(first: 100) { nodes { canonicalLabelVersion qaPair { id canonicalLabel { version } } } }"
    nodes = (await of_job(api, world, 9, selection))["pairs"]["nodes"]
    assert nodes == [
        {"canonicalLabelVersion": None, "qaPair": {"id": world.pairs[1], "canonicalLabel": None}},
        {"canonicalLabelVersion": 1, "qaPair": {"id": world.pairs[0], "canonicalLabel": {"version": 2}}},
    ]


USES = "{ trainingJobs(first: 100) { totalCount nodes { id } } }"


async def uses(api: Api, node_id: str) -> list[str]:
    kinds = ("Sheet", "Template", "CanonicalLabel", "TrainingSheet", "QaPair")
    fragments = " ".join(f"... on {kind} {USES}" for kind in kinds)
    found = (await api.ask(f"query ($id: ID!) {{ node(id: $id) {{ {fragments} }} }}", id=node_id))["node"]
    assert found["trainingJobs"]["totalCount"] == len(found["trainingJobs"]["nodes"])
    return [node["id"] for node in found["trainingJobs"]["nodes"]]


async def test_everything_a_model_was_made_of_leads_back_to_its_jobs(api: Api, world: World) -> None:
    newest = world.newest_first()

    def made_of(**columns: str) -> list[str]:
        return [row["id"] for row in newest if columns.items() <= world.lineages.get(row["id"], {}).items()]

    def used(name: str, value: str) -> list[str]:
        jobs = {row["job_id"] for row in world.frozen if row[name] == value}
        return [row["id"] for row in newest if row["id"] in jobs]

    assert await uses(api, world.sheet) == made_of(sheet_id=world.sheet)
    assert await uses(api, world.empty_sheet) == []
    assert await uses(api, world.training_sheet) == world.job_ids(training_sheet_id=world.training_sheet)
    assert await uses(api, world.other_training_sheet) == world.job_ids(training_sheet_id=world.other_training_sheet)
    for template in world.templates:
        assert await uses(api, template) == made_of(template_id=template)
    for label in world.labels:
        assert await uses(api, label) == used("canonical_label_id", label)
    for pair in world.pairs:
        assert await uses(api, pair) == used("qa_pair_id", pair)
    assert len(await uses(api, world.pairs[0])) == 2
    assert len(await uses(api, world.labels[0])) == 2
    assert len(await uses(api, world.labels[2])) == 0


async def test_jobs_below_something_come_page_by_page(api: Api, world: World) -> None:
    query = """query ($id: ID!, $after: String) { node(id: $id) { ... on Template {
      trainingJobs(first: 3, after: $after) { totalCount nodes { id } pageInfo { endCursor hasNextPage } }
    } } }"""
    wanted = [row["id"] for row in world.newest_first() if row["training_sheet_id"] == world.other_training_sheet]
    wanted.remove(world.jobs[LAST]["id"])  # it has no lineage
    first = (await api.ask(query, id=world.templates[1]))["node"]["trainingJobs"]
    rest = await api.ask(query, id=world.templates[1], after=first["pageInfo"]["endCursor"])
    assert [node["id"] for node in first["nodes"] + rest["node"]["trainingJobs"]["nodes"]] == wanted
    assert (first["totalCount"], first["pageInfo"]["hasNextPage"]) == (4, True)


MODEL = """query ($name: String!, $version: String) {
  modelLineage(modelName: $name, modelVersion: $version) { jobId modelName modelVersion qaPairIds }
}"""


async def test_a_model_leads_to_the_jobs_that_trained_it(api: Api, world: World) -> None:
    mine = [row["id"] for row in world.newest_first() if row["id"] in world.lineages and row["model_name"] == "model 1"]
    found = (await api.ask(MODEL, name="model 1"))["modelLineage"]
    assert [entry["jobId"] for entry in found] == mine
    assert {entry["modelName"] for entry in found} == {"model 1"}
    pairs = {entry["jobId"]: entry["qaPairIds"] for entry in found}
    assert pairs[world.jobs[RICH]["id"]] == world.pairs[::-1]
    for name, version in [("model 1", "5"), ("model 0", "4"), ("no such", None), ("", None), ("model", None)]:
        assert await api.ask(MODEL, name=name, version=version) == {"modelLineage": []}


async def test_a_version_of_a_model_leads_to_the_one_job_that_made_it(api: Api, world: World) -> None:
    [found] = (await api.ask(MODEL, name="model 1", version="4"))["modelLineage"]
    assert found == {
        "jobId": world.jobs[RICH]["id"],
        "modelName": "model 1",
        "modelVersion": "4",
        "qaPairIds": world.pairs[::-1],
    }


async def test_a_model_s_lineage_is_that_of_its_hundred_newest_jobs(own: Api) -> None:
    sheet, template, training_sheet = await curated(own.database.engine)
    jobs = [
        job(
            number,
            training_sheet,
            id=f"job_{100 - number:03}",
            model_name="m",
            created_at=NEWEST + timedelta(hours=number),
        )
        for number in range(101)
    ]
    async with own.database.engine.begin() as connection:
        await add(connection, tables.training_jobs, jobs)
        await add(
            connection,
            tables.training_job_lineage,
            [lineage(row, sheet_id=sheet, template_id=template) for row in jobs],
        )
    found = (await own.ask('{ modelLineage(modelName: "m") { jobId job { modelName } } }'))["modelLineage"]
    assert found == [{"jobId": f"job_{number:03}", "job": {"modelName": "m"}} for number in range(100)]


async def test_the_way_from_a_pair_to_its_models_and_down_again(api: Api, world: World) -> None:
    query = """query ($id: ID!) { qaPair(id: $id) { trainingJobs(first: 1) { nodes { lineage {
      pairs(first: 1, split: VALIDATION) { nodes { qaPair { id trainingJobs { totalCount nodes { id } } } } }
    } } } } }"""
    found = (await api.ask(query, id=world.pairs[7]))["qaPair"]["trainingJobs"]["nodes"]
    rich, nine = world.jobs[RICH]["id"], world.jobs[9]["id"]
    last = {"id": world.pairs[1], "trainingJobs": {"totalCount": 2, "nodes": [{"id": rich}, {"id": nine}]}}
    assert found == [{"lineage": {"pairs": {"nodes": [{"qaPair": last}]}}}]
