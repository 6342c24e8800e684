"""Reads do not slow down with history: over 20,000 jobs, each looks at about as many rows as it answers with.

Rows are counted, not seconds: what every scan of the executed plan produced and what it threw away, after ten
executions, when Postgres may have settled on a plan for all values.
"""

import base64
import json
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any

import asyncpg
import pytest
from anyio.from_thread import start_blocking_portal
from graphql import GraphQLSchema

from tests.database import DatabaseServer
from tests.schema.conftest import Api, opened

pytestmark = pytest.mark.database

EXECUTIONS = 10
SMALL = 40  # rows of little tables, and of parents
LARGE = {
    "training_jobs",
    "training_job_lineage",
    "training_job_pairs",
    "training_job_events",
    "qa_pairs",
    "canonical_labels",
}
NOW, MIDDLE = "2026-02-06T10:00:00Z", "2026-02-06T07:13:20.000000Z"  # the newest job's moment, and the 10,000th's
FILL = """
SET session_replication_role = replica;
INSERT INTO sheets (id, name, source) SELECT 'sheet_' || n, 's' || n, 'EXTERNAL' FROM generate_series(1, 20) n;
INSERT INTO templates (id, name, version, user_prompt)
  SELECT 'tmpl_' || n, 't', n, '{q}' FROM generate_series(1, 20) n;
INSERT INTO training_sheets (id, name, sheet_id, template_id)
  SELECT 'tsheet_' || n, 'ts' || n, 'sheet_' || n, 'tmpl_' || n FROM generate_series(1, 20) n;
INSERT INTO canonical_labels
  (id, sheet_id, item_ref, label_type, label_data, version, allowed_uses, prohibited_uses, created_at)
  SELECT 'label_' || n, 'sheet_' || n % 20 + 1, 'i' || n, 'x', '{}', 1, '{TRAINING}', '{}',
    timestamptz '{NOW}' - n * interval '1 s'
  FROM generate_series(1, 2000) n;
INSERT INTO qa_pairs (id, training_sheet_id, canonical_label_id, messages, status, allowed_uses, prohibited_uses,
    question_digest, line_digest, created_at)
  SELECT 'qa_' || n, 'tsheet_' || n % 20 + 1, CASE WHEN n % 5 = 0 THEN 'label_' || n / 5 END, '[]',
    CASE WHEN n > 9980 THEN 'FLAGGED' ELSE 'LABELED' END, '{TRAINING}', '{}', '', '',
    timestamptz '{NOW}' - n * interval '1 s'
  FROM generate_series(1, 10000) n;
INSERT INTO training_jobs (id, training_sheet_id, model_name, base_model, trainer, status, training_config,
    train_val_split, split_seed, progress_percent, total_pairs, train_pairs, val_pairs, excluded_not_labeled,
    excluded_use_prohibited, excluded_use_not_allowed, excluded_malformed, trainer_job_id, register_to_uc, created_by,
    created_at, completed_at)
  SELECT 'job_' || n, 'tsheet_' || CASE WHEN n > 19990 THEN 20 ELSE n % 19 + 1 END, 'm' || n % 500, 'b',
    CASE WHEN n > 19985 THEN 'FMAPI' ELSE 'LOCAL' END, status, '{}', 0.8, 0, 100, 2, 1, 1, 0, 0, 0, 0, 'run', false,
    CASE WHEN n > 19980 THEN 'rare' ELSE 'p' || n % 50 END, timestamptz '{NOW}' - n * interval '1 s',
    CASE WHEN status IN ('RUNNING', 'QUEUED') THEN NULL ELSE now() END
  FROM (SELECT n, CASE WHEN n > 19985 THEN 'FAILED' WHEN n % 5000 = 7 THEN 'RUNNING' WHEN n = 9 THEN 'QUEUED'
    ELSE 'SUCCEEDED' END AS status FROM generate_series(1, 20000) n) AS numbered;
INSERT INTO training_job_lineage (job_id, training_sheet_id, training_sheet_name, sheet_id, sheet_name, template_id,
    template_name, template_version, model_name, model_version)
  SELECT id, training_sheet_id, '', 'sheet_' || substr(training_sheet_id, 8), '',
    'tmpl_' || substr(training_sheet_id, 8), '', 1, model_name, '1' FROM training_jobs;
INSERT INTO training_job_pairs (job_id, position, split, qa_pair_id, digest)
  SELECT 'job_' || n * 200, place, CASE WHEN place < 160 THEN 'TRAIN' ELSE 'VALIDATION' END,
    'qa_' || (n * 50 + place) % 10000 + 1, '' FROM generate_series(1, 100) n, generate_series(0, 199) place;
INSERT INTO training_job_events (id, job_id, sequence, event_type, message)
  SELECT 'evt_' || n || '_' || place, 'job_' || n * 100, place,
    CASE WHEN place % 40 = 1 THEN 'ERROR' ELSE 'PROGRESS_UPDATE' END, ''
  FROM generate_series(1, 200) n, generate_series(1, 100) place;
"""


async def fill(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(FILL.replace("{NOW}", NOW))
    await connection.execute("VACUUM ANALYZE")
    await connection.close()


@pytest.fixture(scope="module")
def filled(database_server: DatabaseServer, database_template: str) -> Iterator[str]:
    with database_server.temporary(database_template) as url, start_blocking_portal() as portal:
        portal.call(fill, url)
        yield url


@pytest.fixture
async def api(schema: GraphQLSchema, filled: str) -> AsyncIterator[Api]:
    async with opened(schema, filled) as api:
        yield api


def scans(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "Relation Name" in plan or plan["Node Type"] == "Bitmap Index Scan":
        yield plan
    for below in plan.get("Plans", ()):
        yield from scans(below)


def literal(value: object) -> str:
    match value:
        case str():
            return "'" + value.replace("'", "''") + "'"
        case datetime():
            return f"'{value.isoformat()}'"
    raise TypeError(f"{value!r} is no argument of these statements")


async def explained(api: Api, query: str, **variables: object) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The data of a query, and the scans of the plan that Postgres has for its statement after ten executions."""
    data = await api.ask(query, **variables)
    sent = api.logged[-1]
    call = "EXECUTE read" + (f"({', '.join(map(literal, sent.args))})" if sent.args else "")
    async with api.database.reads.acquire() as connection:
        await connection.execute(f"PREPARE read AS {sent.query}")
        for _ in range(EXECUTIONS):
            await connection.execute(call)
        [found] = json.loads(await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {call}"))
        await connection.execute("DEALLOCATE read")
    return data, list(scans(found["Plan"]))


def looked_at(scan: dict[str, Any]) -> float:
    """Rows that a scan produced or threw away, over all its executions."""
    thrown_away = scan.get("Rows Removed by Filter", 0) + scan.get("Rows Removed by Index Recheck", 0)
    return float((scan["Actual Rows"] + thrown_away) * scan["Actual Loops"])


async def assert_cheap(api: Api, query: str, rows: int, **variables: object) -> None:
    """Assert that a query answers with a number of rows, and looks at few more."""
    data, found = await explained(api, query, **variables)
    assert found
    assert [scan for scan in found if scan["Node Type"] == "Seq Scan" and scan["Relation Name"] in LARGE] == []
    assert sum(map(looked_at, found)) <= 2 * rows + SMALL, found
    assert shown(data) == rows


def shown(data: Any) -> int:  # noqa: ANN401  (any JSON)
    """How many rows the lists in an answer have, all together."""
    if isinstance(data, dict):
        return sum(map(shown, data.values()))
    return len(data) + sum(map(shown, data)) if isinstance(data, list) else 0


PAGE = "{ nodes { id } pageInfo { hasNextPage hasPreviousPage } }"


@pytest.mark.parametrize(
    ("arguments", "rows"),
    [
        ("", 20),
        ("first: 100", 100),
        ("last: 20", 20),
        ("orderBy: CREATED_AT_ASC", 20),
        ("last: 9, orderBy: CREATED_AT_ASC", 9),
    ],
)
async def test_the_list_of_jobs(api: Api, arguments: str, rows: int) -> None:
    await assert_cheap(api, f"{{ trainingJobs({arguments}) {PAGE} }}".replace("()", ""), rows)


@pytest.mark.parametrize("end", ["first", "last"])
async def test_a_page_in_the_middle_costs_what_the_first_costs(api: Api, end: str) -> None:
    middle = base64.b64encode(json.dumps(["jobs", MIDDLE, "job_10000"]).encode()).decode()
    cursor = "after" if end == "first" else "before"
    query = f"query ($cursor: String) {{ trainingJobs({end}: 20, {cursor}: $cursor) {PAGE} }}"
    await assert_cheap(api, query, 20, cursor=middle)


@pytest.mark.parametrize(
    ("status", "rows"),
    [
        (["FAILED"], 15),
        (["SUCCEEDED"], 20),
        (["CANCELLED"], 0),
        (["FAILED", "CANCELLED"], 15),
        (["SUCCEEDED", "FAILED", "CANCELLED"], 20),
        (["RUNNING", "QUEUED", "PENDING"], 5),
    ],
)
async def test_jobs_of_a_status_however_rare(api: Api, status: list[str], rows: int) -> None:
    query = f"query ($status: [TrainingJobStatus!]) {{ trainingJobs(filter: {{ status: $status }}) {PAGE} }}"
    await assert_cheap(api, query, rows, status=status)


@pytest.mark.parametrize(
    ("member", "type_", "value", "rows"),
    [
        ("trainer", "TrainerKind", "FMAPI", 15),
        ("trainer", "TrainerKind", "LOCAL", 20),
        ("trainer", "TrainerKind", "AI_RUNTIME", 0),
        ("createdBy", "String", "rare", 20),
        ("createdBy", "String", "p7", 20),
        ("createdBy", "String", "nobody", 0),
        ("modelName", "String", "m3", 20),
        ("modelName", "String", "nothing", 0),
        ("trainingSheetId", "ID", "tsheet_20", 10),
        ("trainingSheetId", "ID", "tsheet_1", 20),
        ("createdAfter", "DateTime", "2026-01-01T00:00:00Z", 20),
        ("createdBefore", "DateTime", MIDDLE, 20),
    ],
)
async def test_jobs_that_pass_a_filter(api: Api, member: str, type_: str, value: str, rows: int) -> None:
    query = f"query ($value: {type_}) {{ trainingJobs(filter: {{ {member}: $value }}) {PAGE} }}"
    await assert_cheap(api, query, rows, value=value)


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        (f"activeTrainingJobs {PAGE}", 5),
        (f"canonicalLabels {PAGE}", 20),
        (f'canonicalLabels(sheetId: "sheet_3") {PAGE}', 20),
        (f'trainingJob(id: "job_500") {{ events {PAGE} }}', 20),
        (f'trainingJob(id: "job_500") {{ events(last: 3) {PAGE} }}', 3),
        (f'trainingJob(id: "job_500") {{ events(types: [ERROR]) {PAGE} }}', 3),
        (f'trainingSheet(id: "tsheet_1") {{ qaPairs {PAGE} }}', 20),
        (f'trainingSheet(id: "tsheet_1") {{ qaPairs(status: FLAGGED) {PAGE} }}', 1),
        (f'trainingSheet(id: "tsheet_20") {{ trainingJobs {PAGE} }}', 10),
        (f'qaPair(id: "qa_5000") {{ trainingJobs {PAGE} }}', 4),
        ('trainingJob(id: "job_1000") { lineage { pairs { nodes { qaPair { id } } } } }', 20),
        ('trainingJob(id: "job_1000") { lineage { pairs(split: VALIDATION) { nodes { qaPairId } } } }', 20),
        ('modelLineage(modelName: "m3") { jobId }', 40),
        ('modelLineage(modelName: "m3", modelVersion: "1") { jobId }', 40),
    ],
)
async def test_what_lies_below_or_beside(api: Api, query: str, rows: int) -> None:
    await assert_cheap(api, f"{{ {query} }}", rows)


async def test_the_dashboard(api: Api) -> None:
    query = """{ trainingJobs(first: 20) { nodes {
      id lineage { sheetName } metrics { valLoss } events(last: 3) { nodes { sequence } }
    } } }"""
    await assert_cheap(api, query, 20)
