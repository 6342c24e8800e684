"""Abstract types: `node(id)` finds every type by its id, and fragments apply where their type does."""

from typing import Any

import pytest

from server.domain.ids import Kind, new
from tests.schema.conftest import Api
from tests.schema.rows import stable_id
from tests.schema.world import RICH, World

pytestmark = pytest.mark.database

NODE = """
query ($id: ID!) {
  node(id: $id) {
    __typename
    id
    ... on Node { again: id }
    ... on Sheet { name source jobs: trainingJobs(first: 1) { totalCount } }
    ... on Template { name version jobs: trainingJobs(first: 1) { totalCount } }
    ... on CanonicalLabel { version sheet { id } jobs: trainingJobs(first: 1) { totalCount } }
    ... on TrainingSheet { name template { version } eligibility { totalPairs } qaPairs(first: 1) { totalCount } }
    ... on QaPair { verdict ...InPair }
    ... on TrainingJob { modelName events(last: 1) { nodes { sequence } } }
    ... on TrainingJobEvent { sequence jobId }
    ...Everywhere
  }
}
fragment InPair on QaPair { trainingSheet { name } }
fragment Everywhere on Node { ... on QaPair { jobs: trainingJobs(first: 1) { totalCount } } t: __typename }
"""


async def found(api: Api, node_id: str) -> Any:  # noqa: ANN401  (an object or None)
    return (await api.ask(NODE, id=node_id))["node"]


def node(type_name: str, node_id: str, **fields: object) -> dict[str, object]:
    return {"__typename": type_name, "id": node_id, "again": node_id, **fields, "t": type_name}


async def test_every_type_is_found_by_its_id(api: Api, world: World) -> None:
    """One document for all of them, twice: a plan of one type never serves another."""
    job, event = world.jobs[RICH]["id"], world.events[0]["id"]
    for _ in range(2):
        assert await found(api, world.sheet) == node(
            "Sheet", world.sheet, name="invoices", source="UC_TABLE", jobs={"totalCount": 24}
        )
        assert await found(api, world.templates[1]) == node(
            "Template", world.templates[1], name="desk", version=2, jobs={"totalCount": 4}
        )
        assert await found(api, world.labels[1]) == node(
            "CanonicalLabel", world.labels[1], version=2, sheet={"id": world.sheet}, jobs={"totalCount": 1}
        )
        assert await found(api, world.training_sheet) == node(
            "TrainingSheet",
            world.training_sheet,
            name="invoice desk",
            template={"version": 1},
            eligibility={"totalPairs": 8},
            qaPairs={"totalCount": 8},
        )
        assert await found(api, world.pairs[3]) == node(
            "QaPair",
            world.pairs[3],
            verdict="USE_PROHIBITED",
            trainingSheet={"name": "invoice desk"},
            jobs={"totalCount": 1},
        )
        assert await found(api, job) == node(
            "TrainingJob", job, modelName="model 1", events={"nodes": [{"sequence": 12}]}
        )
        assert await found(api, event) == node("TrainingJobEvent", event, sequence=1, jobId=job)


@pytest.mark.parametrize("kind", list(Kind))
async def test_an_id_of_nothing_is_not_found(api: Api, kind: Kind) -> None:
    assert await found(api, new(kind)) is None
    assert await found(api, f"{kind}_") is None
    assert await found(api, kind) is None


MALFORMED = [
    "",
    " ",
    "_",
    "x",
    "x_y",
    "job",
    "JOB_1",
    "job_\0",
    "job_a\0b",
    "job_é",
    "job_\ud800",
    "job_\n",
    "job_'; DROP TABLE training_jobs; --",
    'job_"quoted"',
    "job_%",
    "job_" + "x" * 10_000,
    "évt_1",
    "\0",
    "1",
    "jobs_1",
    "job_1_2",
]


@pytest.mark.parametrize("malformed", MALFORMED, ids=[ascii(text[:30]) for text in MALFORMED])
async def test_a_malformed_id_is_not_found_either(api: Api, malformed: str) -> None:
    query = """query ($id: ID!) {
      node(id: $id) { id } trainingJob(id: $id) { id } trainingSheet(id: $id) { id } qaPair(id: $id) { id }
    }"""
    assert await api.ask(query, id=malformed) == {
        "node": None,
        "trainingJob": None,
        "trainingSheet": None,
        "qaPair": None,
    }


async def test_an_id_of_another_type_is_not_found(api: Api, world: World) -> None:
    query = "query ($id: ID!) { trainingJob(id: $id) { id } trainingSheet(id: $id) { id } qaPair(id: $id) { id } }"
    own = {"trainingJob": world.jobs[0]["id"], "trainingSheet": world.training_sheet, "qaPair": world.pairs[0]}
    others = [world.sheet, world.templates[0], world.labels[0], world.events[0]["id"], stable_id(Kind.JOB, 999)]
    for node_id in [*own.values(), *others]:
        expected = {field: {"id": node_id} if node_id == its_id else None for field, its_id in own.items()}
        assert await api.ask(query, id=node_id) == expected


async def test_a_number_is_an_id_too(api: Api) -> None:
    assert await api.ask("{ node(id: 5) { id } trainingJob(id: 5) { id } }") == {"node": None, "trainingJob": None}


async def test_a_fragment_of_another_type_leaves_nothing(api: Api, world: World) -> None:
    query = "query ($id: ID!) { node(id: $id) { ... on Sheet { name } ... on TrainingSheet { name } } }"
    assert await api.ask(query, id=world.jobs[0]["id"]) == {"node": {}}
    assert await api.ask(query, id=world.sheet) == {"node": {"name": "invoices"}}
    assert await api.ask(query, id=world.training_sheet) == {"node": {"name": "invoice desk"}}


async def test_a_fragment_on_an_interface_applies_inside_an_object(api: Api, world: World) -> None:
    query = """query ($id: ID!) { trainingJob(id: $id) {
      ... on Node { id ... on TrainingJob { modelName } ... on Sheet { name } }
      trainingSheet { ...Any sheet { ...Any } template { ...Any ... on Node { ...Any } } }
      events(first: 1) { nodes { ...Any } edges { node { ...Any } } }
    } }
    fragment Any on Node { __typename id }"""
    job, event = world.jobs[RICH]["id"], world.events[0]["id"]
    assert (await api.ask(query, id=job))["trainingJob"] == {
        "id": job,
        "modelName": "model 1",
        "trainingSheet": {
            "__typename": "TrainingSheet",
            "id": world.training_sheet,
            "sheet": {"__typename": "Sheet", "id": world.sheet},
            "template": {"__typename": "Template", "id": world.templates[0]},
        },
        "events": {
            "nodes": [{"__typename": "TrainingJobEvent", "id": event}],
            "edges": [{"node": {"__typename": "TrainingJobEvent", "id": event}}],
        },
    }


async def test_several_nodes_of_several_types_in_one_operation(api: Api, world: World) -> None:
    query = """query ($a: ID!, $b: ID!, $c: ID!) {
      a: node(id: $a) { ...One } b: node(id: $b) { ...One } c: node(id: $c) { ...One }
    }
    fragment One on Node { id __typename ... on TrainingJob { status } ... on Sheet { name } }"""
    job, sheet = world.jobs[RICH]["id"], world.sheet
    expected = {
        job: {"id": job, "__typename": "TrainingJob", "status": "SUCCEEDED"},
        sheet: {"id": sheet, "__typename": "Sheet", "name": "invoices"},
        "job_x": None,
    }
    for a, b, c in [(job, sheet, "job_x"), (sheet, "job_x", job), ("job_x", job, sheet)]:
        assert await api.ask(query, a=a, b=b, c=c) == {"a": expected[a], "b": expected[b], "c": expected[c]}


WRITTEN = """
mutation ($input: CreateSheetInput!) {
  first: createSheet(input: $input) { ...Result }
  again: createSheet(input: $input) { ...Result }
}
fragment Result on SheetResult {
  t: __typename
  ... on Node { id }
  ... on Sheet { name sourceLocation trainingJobs { totalCount } }
  ... on Problem { code path }
  ... on Conflict { message }
}
"""


async def test_the_result_of_a_mutation_is_read_as_the_member_that_it_became(own: Api) -> None:
    answer = await own.ask(WRITTEN, input={"name": "s", "source": "EXTERNAL"})
    [sheet_id] = await own.database.reads.value("SELECT array_agg(id) FROM sheets")
    assert answer == {
        "first": {"t": "Sheet", "id": sheet_id, "name": "s", "sourceLocation": None, "trainingJobs": {"totalCount": 0}},
        "again": {
            "t": "Conflict",
            "code": "CONFLICT",
            "path": ["input", "name"],
            "message": "there is already a sheet called 's'",
        },
    }
