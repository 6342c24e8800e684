"""One statement for each query, however wide and deep: counted where asyncpg sends them."""

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest
from graphql import OperationDefinitionNode, OperationType, parse
from sqlalchemy import event

from server.storage import changes
from tests.schema.conftest import Api, read, results
from tests.schema.rows import curated
from tests.schema.world import RICH, World

pytestmark = pytest.mark.database

OPERATIONS = Path(__file__).parents[3] / "examples" / "operations.graphql"
DEADLINE = 20.0
BY_PYTHON = {"BaseModels": 0}


def queries() -> Iterator[tuple[str, str]]:
    """The name and the text of each query among the examples."""
    document = parse(OPERATIONS.read_text(encoding="utf-8"))
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode) and definition.operation is OperationType.QUERY:
            assert definition.name is not None
            assert definition.loc is not None
            yield definition.name.value, definition.loc.source.body[definition.loc.start : definition.loc.end]


@pytest.fixture
def elsewhere(api: Api) -> Iterator[list[str]]:
    """What is executed outside the sessions for reads."""
    executed: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        executed.append(statement)

    event.listen(api.database.engine.sync_engine, "before_cursor_execute", note)
    yield executed
    event.remove(api.database.engine.sync_engine, "before_cursor_execute", note)


@pytest.mark.parametrize(("name", "text"), [pytest.param(*query, id=query[0]) for query in queries()])
async def test_each_example_reads_with_one_statement(
    api: Api, world: World, elsewhere: list[str], name: str, text: str
) -> None:
    values = {
        "trainingSheetId": world.training_sheet,
        "jobId": world.jobs[RICH]["id"],
        "modelName": "model 1",
        "pairId": world.pairs[0],
    }
    given = {variable: value for variable, value in values.items() if f"${variable}" in text}
    assert all((await api.ask(text, **given)).values()) or name == "BaseModels"
    assert len(api.statements) == BY_PYTHON.get(name, 1)
    if name != "TrainingSheets":  # eligibility is answered by a service
        assert elsewhere == []


DEEP = """
query {
  trainingSheets(first: 3) { nodes { name
    trainingJobs(first: 5) { totalCount edges { cursor node {
      lineage { qaPairIds pairs(first: 3) { nodes { qaPair {
        messages { content } canonicalLabel { sheet { trainingJobs(first: 2) { nodes { id } } } }
      } } } }
      metrics { trainLoss } metricHistory { key values } excluded { count }
      events(last: 2) { nodes { cursor } pageInfo { hasPreviousPage } }
    } } }
  } }
}
"""


async def test_a_deep_read_is_one_statement(api: Api, elsewhere: list[str]) -> None:
    found = await api.ask(DEEP)
    assert len(found["trainingSheets"]["nodes"]) == 2
    assert len(api.statements) == 1
    assert elsewhere == []


async def test_all_root_fields_are_one_statement(api: Api, world: World) -> None:
    await api.ask(
        """query ($id: ID!) {
          a: trainingJobs { nodes { id } } b: trainingJobs(first: 1) { nodes { lineage { modelName } } }
          c: node(id: $id) { id } d: trainingJob(id: $id) { events { nodes { id } } }
          e: modelLineage(modelName: "x") { jobId }
          t: __typename
        }""",
        id=world.jobs[RICH]["id"],
    )
    assert len(api.statements) == 1


async def test_beside_what_python_answers_each_root_field_is_one_statement(api: Api, world: World) -> None:
    found = await api.ask(
        """query ($id: ID!) {
          a: trainingJobs(first: 1) { nodes { id } } b: baseModels { name } c: node(id: $id) { __typename id }
          __schema { queryType { name } }
        }""",
        id=world.jobs[RICH]["id"],
    )
    assert found["b"] == []
    assert found["c"] == {"__typename": "TrainingJob", "id": world.jobs[RICH]["id"]}
    assert found["__schema"] == {"queryType": {"name": "Query"}}
    assert len(set(api.statements)) == len(api.statements) == 2


async def test_what_needs_no_table_asks_nothing(api: Api) -> None:
    assert await api.ask("{ __typename q: __typename }") == {"__typename": "Query", "q": "Query"}
    assert await api.ask("{ __typename @skip(if: true) }") == {}
    assert await api.ask("{ __schema { queryType { name } } }") == {"__schema": {"queryType": {"name": "Query"}}}
    assert api.statements == []


async def test_an_id_without_a_type_looks_at_no_table(api: Api) -> None:
    assert await api.ask('{ node(id: "x") { id } }') == {"node": None}
    assert [statement for statement in api.statements if "training" in statement] == []


async def test_the_result_of_a_mutation_is_read_with_one_statement(own: Api) -> None:
    create = """mutation ($name: String!, $source: SheetSource = EXTERNAL) {
      createSheet(input: { name: $name, source: $source }) { ... on Sheet {
        id name source createdAt trainingJobs { totalCount nodes { lineage { qaPairIds } } }
      } ... on Problem { code } }
    }"""
    for name in ("a", "b", "c"):
        assert (await own.ask(create, name=name))["createSheet"]["name"] == name
    assert len(own.statements) == 3
    assert len(set(own.statements)) == 1
    assert await own.ask(create, name="a") == {"createSheet": {"code": "CONFLICT"}}
    assert len(own.statements) == 3, "a problem is not read"


async def test_pairs_that_a_mutation_wrote_are_read_with_one_statement(own: Api) -> None:
    _, _, training_sheet = await curated(own.database.engine)
    pairs = [
        {"messages": [{"role": "user", "content": f"q{number}"}, {"role": "assistant", "content": "a"}]}
        for number in range(120)
    ]
    add = """mutation ($input: AddQaPairsInput!, $n: Int = 100) { addQaPairs(input: $input) { ... on QaPairsPayload {
      count qaPairs(first: $n) { id messages { content } } three: qaPairs(first: 3) { verdict }
    } } }"""
    own.logged.clear()
    given = {"trainingSheetId": training_sheet, "pairs": pairs}
    written = (await own.ask(add, input=given))["addQaPairs"]
    assert len(own.statements) == 1
    assert written["count"] == 120
    assert [pair["messages"][0]["content"] for pair in written["qaPairs"]] == [f"q{number}" for number in range(100)]
    assert written["three"] == [{"verdict": "NOT_LABELED"}] * 3
    review = """mutation ($ids: [ID!]!) { reviewQaPairs(input: { qaPairIds: $ids, status: LABELED }) {
      ... on QaPairsPayload { count qaPairs { id verdict reviewedBy } }
    } }"""
    own.logged.clear()
    backwards = [pair["id"] for pair in written["qaPairs"]][::-1]
    reviewed = (await own.ask(review, ids=backwards))["reviewQaPairs"]
    assert len(own.statements) == 1
    assert reviewed["count"] == 100
    assert reviewed["qaPairs"] == [
        {"id": pair_id, "verdict": "ELIGIBLE", "reviewedBy": "local"} for pair_id in backwards[:20]
    ]


async def test_all_that_a_subscription_tells_at_once_is_one_statement(api: Api, world: World) -> None:
    events = """subscription ($id: ID!) { trainingJobEvents(jobId: $id) {
      sequence s: sequence ... on Node { id } cursor eventData
    } }"""
    job = """subscription ($id: ID!) { now: trainingJobUpdated(id: $id) {
      id lineage { pairs(first: 2) { nodes { position } } } events(last: 1) { nodes { sequence } }
    } }"""
    job_id = world.jobs[RICH]["id"]
    rows = [row for row in world.events if row["job_id"] == job_id]
    told = [answer["data"]["trainingJobEvents"] for answer in await api.follow(events, id=job_id)]
    assert [(each["sequence"], each["s"], each["id"]) for each in told] == [
        (row["sequence"], row["sequence"], row["id"]) for row in rows
    ]
    assert [each["eventData"] for each in told] == [row["event_data"] for row in rows]
    assert len(rows) > 1
    assert len(api.statements) == 1
    api.logged.clear()
    assert await api.follow(job, id=job_id) == [
        {
            "data": {
                "now": {
                    "id": job_id,
                    "lineage": {"pairs": {"nodes": [{"position": 0}, {"position": 1}]}},
                    "events": {"nodes": [{"sequence": 12}]},
                }
            }
        }
    ]
    assert len(api.statements) == 1


async def test_the_jobs_that_changed_and_pass_a_filter_are_found_with_one_statement(api: Api, world: World) -> None:
    query = """subscription ($by: String) {
      trainingJobsUpdated(filter: { status: [FAILED, RUNNING], createdBy: $by }) { id status }
    }"""
    passing = [row for row in world.jobs if row["status"] in {"FAILED", "RUNNING"} and row["created_by"] == "ben"]
    expected = [row["id"] for row in sorted(passing, key=lambda row: (row["updated_at"], row["id"]))]
    stream = results(
        api.execution, await api.execution.prepare({"query": query, "variables": {"by": "ben"}}), api.context
    )
    async with asyncio.timeout(DEADLINE), aclosing(stream) as answers:
        first = asyncio.ensure_future(anext(answers))
        while not api.bus._watches:  # noqa: ASYNC110  (the bus has no word for this, and needs none)
            await asyncio.sleep(0)
        [watch] = api.bus._watches[None]
        for row in world.jobs:
            watch.tell(row["id"])
        told = [await first] + [await anext(answers) for _ in expected[1:]]
        await asyncio.sleep(0)  # asyncpg tells its loggers in the loop's next turn
    assert [read(answer)["data"]["trainingJobsUpdated"]["id"] for answer in told] == expected
    assert len(expected) == 4
    assert api.statements[:2] == [changes.NOW, changes.BEHIND], "where the stream begins"
    assert len(api.statements) == 3


async def test_no_text_of_a_client_stands_in_a_statement(api: Api) -> None:
    marked = "m4rk'); --"
    await api.ask(
        """query ($x: String!, $id: ID!) {
          a: trainingJobs(filter: { createdBy: $x, modelName: $x, trainingSheetId: $id }) { nodes { id } }
          b: trainingJob(id: $id) { metricHistory(keys: [$x]) { key } }
          c: modelLineage(modelName: $x, modelVersion: $x) { jobId } d: canonicalLabels(sheetId: $id) { totalCount }
          e: node(id: "job_m4rk") { id }
        }""",
        x=marked,
        id=marked,
    )
    assert len(api.statements) == 1
    assert [statement for statement in api.statements if "m4rk" in statement] == []
