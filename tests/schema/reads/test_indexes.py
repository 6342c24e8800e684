"""Reads do not slow down with history: over 20,000 jobs, each looks at about as many rows as it answers with."""

import base64
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from graphql import (
    FieldNode,
    GraphQLSchema,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    get_named_type,
    parse,
    visit,
)

from schema.reads.compiler import declared
from schema.reads.declare import Connection, Many
from server.storage import tables
from tests.database import DatabaseServer
from tests.schema.conftest import Api, opened
from tests.schema.declarations import READ
from tests.server.storage.explained import looked_at, scans
from tests.server.storage.history import MIDDLE, fill

pytestmark = pytest.mark.database

SMALL = 40  # rows of little tables, and of parents
LARGE = {
    "training_jobs",
    "training_job_lineage",
    "training_job_pairs",
    "training_job_labels",
    "training_job_events",
    "training_job_metric_points",
    "qa_pairs",
    "canonical_labels",
}
PAGE = "{ nodes { id } pageInfo { hasNextPage hasPreviousPage } }"


def jobs_below(key: str) -> str:
    """The jobs that used a thing, the first of them or those behind a cursor."""
    type_ = {"sheet": "Sheet", "tmpl": "Template", "label": "CanonicalLabel", "tsheet": "TrainingSheet", "qa": "QaPair"}
    on = type_[key.split("_", maxsplit=1)[0]]
    return f'query ($after: String) {{ node(id: "{key}") {{ ... on {on} {{ trainingJobs(after: $after) {PAGE} }} }} }}'


LISTS = [
    (f"{{ trainingJobs {PAGE} }}", 20),
    (f"{{ trainingJobs(first: 100) {PAGE} }}", 100),
    (f"{{ trainingJobs(last: 20) {PAGE} }}", 20),
    (f"{{ trainingJobs(orderBy: CREATED_AT_ASC) {PAGE} }}", 20),
    (f"{{ trainingJobs(last: 9, orderBy: CREATED_AT_ASC) {PAGE} }}", 9),
    (f"{{ activeTrainingJobs {PAGE} }}", 5),
    (f"{{ trainingSheets {PAGE} }}", 20),
    (f"{{ sheets {PAGE} }}", 20),
    (f"{{ templates {PAGE} }}", 20),
    (f"{{ canonicalLabels {PAGE} }}", 20),
    (f'{{ canonicalLabels(sheetId: "sheet_3") {PAGE} }}', 20),
    (f'{{ canonicalLabels(sheetId: "sheet_21") {PAGE} }}', 0),
    (jobs_below("sheet_20"), 10),
    (jobs_below("sheet_1"), 20),
    (jobs_below("sheet_21"), 0),
    (jobs_below("tmpl_20"), 10),
    (jobs_below("tmpl_1"), 20),
    (jobs_below("tmpl_21"), 0),
    (jobs_below("tsheet_20"), 10),
    (jobs_below("tsheet_1"), 20),
    (jobs_below("tsheet_21"), 0),
    (jobs_below("label_1"), 20),
    (jobs_below("label_2"), 1),
    (jobs_below("qa_1"), 20),
    (jobs_below("qa_2"), 1),
    (jobs_below("qa_10000"), 0),
    (f'{{ trainingJob(id: "job_500") {{ events {PAGE} }} }}', 20),
    (f'{{ trainingJob(id: "job_500") {{ events(last: 3) {PAGE} }} }}', 3),
    (f'{{ trainingJob(id: "job_500") {{ events(types: [ERROR]) {PAGE} }} }}', 3),
    (f'{{ trainingJob(id: "job_50") {{ events(last: 5, types: [CANCEL_REQUESTED]) {PAGE} }} }}', 3),
    (f'{{ trainingJob(id: "job_50") {{ events(types: [SUBMITTED]) {PAGE} }} }}', 0),
    (f'{{ trainingJob(id: "job_50") {{ events {PAGE} }} }}', 20),
    (f'{{ trainingJob(id: "job_50") {{ events(last: 5) {PAGE} }} }}', 5),
    (f'{{ trainingJob(id: "job_50") {{ events(last: 5, types: [PROGRESS_UPDATE]) {PAGE} }} }}', 5),
    (f'{{ trainingSheet(id: "tsheet_1") {{ qaPairs {PAGE} }} }}', 20),
    (f'{{ trainingSheet(id: "tsheet_1") {{ qaPairs(status: FLAGGED) {PAGE} }} }}', 1),
    ('{ trainingJob(id: "job_1000") { lineage { pairs { nodes { qaPair { id } } } } } }', 20),
    ('{ trainingJob(id: "job_1000") { lineage { pairs(split: VALIDATION) { nodes { qaPairId } } } } }', 20),
    ('{ trainingJob(id: "job_1000") { metricHistory(keys: ["val_loss"]) { steps } } }', 101),
    ('{ trainingJob(id: "job_1000") { excluded { count } } }', 2),
    ('{ qaPair(id: "qa_5000") { messages { role } } }', 2),
    ('{ modelLineage(modelName: "m3") { jobId } }', 40),
    ('{ modelLineage(modelName: "common") { jobId } }', 100),
    ('{ modelLineage(modelName: "common", modelVersion: "1") { jobId } }', 100),
    ('{ modelLineage(modelName: "common", modelVersion: "2") { jobId } }', 1),
    ('{ modelLineage(modelName: "nothing") { jobId } }', 0),
    (
        """mutation { reviewQaPairs(input: { qaPairIds: ["qa_11", "qa_12", "qa_13"], status: LABELED }) {
          ... on QaPairsPayload { qaPairs { id } }
        } }""",
        3,
    ),
]


EVENTS_OF_JOB_50 = 10_000
FILTERED = f"query ($filter: TrainingJobFilter) {{ trainingJobs(filter: $filter) {PAGE} }}"
FILTERS: list[tuple[str, object, int]] = [
    ("status", ["FAILED"], 15),
    ("status", ["SUCCEEDED"], 20),
    ("status", ["CANCELLED"], 0),
    ("status", ["FAILED", "CANCELLED"], 15),
    ("status", ["SUCCEEDED", "FAILED", "CANCELLED"], 20),
    ("status", ["RUNNING", "QUEUED", "PENDING"], 5),
    ("trainer", "FMAPI", 15),
    ("trainer", "LOCAL", 20),
    ("trainer", "AI_RUNTIME", 0),
    ("createdBy", "rare", 20),
    ("createdBy", "p7", 20),
    ("createdBy", "nobody", 0),
    ("modelName", "rare", 10),
    ("modelName", "common", 20),
    ("modelName", "nothing", 0),
    ("trainingSheetId", "tsheet_20", 10),
    ("trainingSheetId", "tsheet_1", 20),
    ("trainingSheetId", "tsheet_21", 0),
    ("createdAfter", "2026-01-01T00:00:00Z", 20),
    ("createdBefore", MIDDLE, 20),
]
ELSEWHERE = {
    "ix_sheets_created_at_id": "the tables that lead to jobs are short here",
    "ix_templates_created_at_id": "the same",
    "ix_training_sheets_created_at_id": "the same",
    "ix_training_jobs_active": "read as soon as many jobs are active: tests/server/storage/test_indexes.py",
    "ix_training_job_claims_due": "the poller's steps: the same",
    "ix_training_job_claims_observed": "the jobs of a line: the same",
    "ix_mlflow_mirrors_ready": "what MLflow lacks: the same",
    "ix_training_jobs_updated_at_id": "what changed while nobody listened: the same",
    "ix_qa_pairs_canonical_label_id": "a new version of a label takes its pairs along",
}


@pytest.fixture(scope="module")
def filled(database_server: DatabaseServer, database_template: str) -> Iterator[str]:
    with database_server.temporary(database_template) as url, start_blocking_portal() as portal:
        portal.call(fill, url)
        yield url


@pytest.fixture
async def api(schema: GraphQLSchema, filled: str) -> AsyncIterator[Api]:
    async with opened(schema, filled) as api:
        yield api


async def explained(api: Api, query: str, **variables: object) -> list[dict[str, Any]]:
    """The scans of the one statement that reads for a document."""
    await api.ask(query, **variables)
    sent = api.logged[-1]
    async with api.database.reads.session() as connection:
        return await scans(connection, sent.query, sent.args)


async def assert_cheap(api: Api, query: str, rows: int, **variables: object) -> None:
    """Assert that a query answers with a number of rows, and looks at few more."""
    found = await explained(api, query, **variables)
    assert [scan for scan in found if scan["Node Type"] == "Seq Scan" and scan["Relation Name"] in LARGE] == []
    assert sum(map(looked_at, found)) <= 2 * rows + SMALL, found
    assert shown(await api.ask(query, **variables)) == rows


def shown(data: Any) -> int:  # noqa: ANN401  (any JSON)
    """How many rows the lists in an answer have, all together."""
    if isinstance(data, dict):
        return sum(map(shown, data.values()))
    return len(data) + sum(map(shown, data)) if isinstance(data, list) else 0


@pytest.mark.parametrize(("query", "rows"), LISTS)
async def test_a_list(api: Api, query: str, rows: int) -> None:
    await assert_cheap(api, query, rows)


@pytest.mark.parametrize(("types", "rows"), [("CANCEL_REQUESTED, ERROR", 3), ("PROGRESS_UPDATE, ERROR", 5)])
async def test_events_of_several_types_look_at_no_more_than_the_job_s_own(api: Api, types: str, rows: int) -> None:
    """Two indexes serve them, and which is better depends on how many events of these types the job has.

    A plan that serves all jobs is made for the average one, which has few: Postgres takes either.
    """
    query = f'{{ trainingJob(id: "job_50") {{ events(last: 5, types: [{types}]) {PAGE} }} }}'
    found = await explained(api, query)
    assert {scan["Node Type"] for scan in found} <= {"Index Scan", "Index Only Scan"}
    assert sum(map(looked_at, found)) <= EVENTS_OF_JOB_50 + SMALL
    assert shown(await api.ask(query)) == rows


def asked(schema: GraphQLSchema, query: str) -> set[str]:
    """The fields that a document asks for, each with the type that has it."""
    info, found = TypeInfo(schema), set()

    class Fields(Visitor):
        def enter_field(self, node: FieldNode, *_: object) -> None:
            found.add(f"{get_named_type(info.get_parent_type())}.{node.name.value}")

    visit(parse(query), TypeInfoVisitor(info, Fields()))
    return found


def test_no_list_of_the_api_is_left_out(schema: GraphQLSchema) -> None:
    explained = set().union(*(asked(schema, query) for query, _ in LISTS))
    lists = {field.place for field in READ if isinstance(declared(field.definition), Connection | Many)}
    assert len(lists) > 15
    assert lists - explained == set()


def cursor(moment: str, job_id: str) -> str:
    return base64.b64encode(json.dumps(["jobs", moment, job_id]).encode()).decode()


@pytest.mark.parametrize("end", ["first", "last"])
async def test_a_page_in_the_middle_costs_what_the_first_costs(api: Api, end: str) -> None:
    place = "after" if end == "first" else "before"
    query = f"query ($cursor: String) {{ trainingJobs({end}: 20, {place}: $cursor) {PAGE} }}"
    await assert_cheap(api, query, 20, cursor=cursor(MIDDLE, "job_10000"))


@pytest.mark.parametrize("used", ["sheet_1", "tmpl_1", "tsheet_1", "label_1", "qa_1"])
async def test_so_it_does_below_what_many_jobs_used(api: Api, used: str) -> None:
    await assert_cheap(api, jobs_below(used), 20, after=cursor(MIDDLE, "job_10000"))


@pytest.mark.parametrize(("member", "value", "rows"), FILTERS)
async def test_jobs_that_pass_a_filter_however_rare(api: Api, member: str, value: object, rows: int) -> None:
    await assert_cheap(api, FILTERED, rows, filter={member: value})


async def test_no_index_is_written_that_nothing_reads(api: Api) -> None:
    read: set[str] = set()
    filters: list[dict[str, object]] = [{"filter": {member: value}} for member, value, _ in FILTERS]
    for query, variables in [*((query, {}) for query, _ in LISTS), *((FILTERED, given) for given in filters)]:
        read |= {scan["Index Name"] for scan in await explained(api, query, **variables) if "Index Name" in scan}
    there = {str(index.name) for table in tables.Row.metadata.sorted_tables for index in table.indexes}
    assert there - read - set(ELSEWHERE) == set()


async def test_the_dashboard(api: Api) -> None:
    query = """{ trainingJobs(first: 20) { nodes {
      id lineage { sheetName } metrics { valLoss } events(last: 3) { nodes { sequence } }
    } } }"""
    await assert_cheap(api, query, 40)
