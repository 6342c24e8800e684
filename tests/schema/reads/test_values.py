"""Values: what was stored is what is answered, to the last digit, character and key."""

import json

import pytest
from sqlalchemy import update

from server.storage import tables
from tests.schema.conftest import Api
from tests.schema.rows import Row, curated, rfc3339
from tests.schema.world import CONFIG, EMPTY, LABEL_DATA, LAST, RICH, RICH_EVENTS, World

pytestmark = pytest.mark.database

COLUMNS = {
    "id": "id",
    "trainingSheetId": "training_sheet_id",
    "modelName": "model_name",
    "baseModel": "base_model",
    "trainer": "trainer",
    "status": "status",
    "trainingConfig": "training_config",
    "trainValSplit": "train_val_split",
    "splitSeed": "split_seed",
    "progressPercent": "progress_percent",
    "currentEpoch": "current_epoch",
    "totalEpochs": "total_epochs",
    "totalPairs": "total_pairs",
    "trainPairs": "train_pairs",
    "valPairs": "val_pairs",
    "trainerJobId": "trainer_job_id",
    "mlflowRunId": "mlflow_run_id",
    "registerToUc": "register_to_uc",
    "ucCatalog": "uc_catalog",
    "ucSchema": "uc_schema",
    "ucModelName": "uc_model_name",
    "ucModelVersion": "uc_model_version",
    "datasetDigest": "dataset_digest",
    "errorCode": "error_code",
    "errorMessage": "error_message",
    "cancelReason": "cancel_reason",
    "createdBy": "created_by",
}
TIMES = {
    "unreachableSince": "unreachable_since",
    "cancelRequestedAt": "cancel_requested_at",
    "createdAt": "created_at",
    "startedAt": "started_at",
    "completedAt": "completed_at",
    "updatedAt": "updated_at",
}


def exact(value: object) -> str:
    """Text of a value in which 1, 1.0 and true differ, and the order of keys counts."""
    return json.dumps(value, ensure_ascii=False)


def column(row: Row, field: str) -> object:
    if field in TIMES:
        moment = row.get(TIMES[field])
        return moment and rfc3339(moment)
    return row.get(COLUMNS[field])


async def test_a_job_is_answered_as_it_is_stored(api: Api, world: World) -> None:
    fields = [*COLUMNS, *TIMES]
    found = (await api.ask(f"{{ trainingJobs(first: 100) {{ nodes {{ {' '.join(fields)} }} }} }}"))["trainingJobs"]
    expected = [{field: column(row, field) for field in fields} for row in world.newest_first()]
    assert exact(found["nodes"]) == exact(expected)


async def test_what_follows_from_a_job_s_status(api: Api, world: World) -> None:
    query = "{ trainingJobs(first: 100) { nodes { isTerminal availableActions durationSeconds } } }"
    found = (await api.ask(query))["trainingJobs"]["nodes"]
    durations = {"PENDING": None, "QUEUED": None, "RUNNING": 90.5}
    for row, node in zip(world.newest_first(), found, strict=True):
        ended = row["completed_at"] is not None
        assert node == {
            "isTerminal": ended,
            "availableActions": [] if ended else ["CANCEL"],
            "durationSeconds": durations.get(row["status"], 60.0),
        }, row["status"]


async def test_a_job_that_is_being_cancelled_can_t_be_cancelled_again(own: Api, world: World) -> None:
    job_id = await _one_job(own, world, number=EMPTY)
    query = f'{{ trainingJob(id: "{job_id}") {{ availableActions cancelRequestedAt }} }}'
    assert await own.ask(query) == {"trainingJob": {"availableActions": ["CANCEL"], "cancelRequestedAt": None}}
    moment = world.jobs[RICH]["cancel_requested_at"]
    async with own.database.engine.begin() as connection:
        wish = {"cancel_requested_at": moment, "cancel_requested_by": "ben"}
        await connection.execute(update(tables.training_jobs).values(wish))
    assert await own.ask(query) == {"trainingJob": {"availableActions": [], "cancelRequestedAt": rfc3339(moment)}}


async def _one_job(own: Api, world: World, number: int) -> str:
    _, _, training_sheet = await curated(own.database.engine)
    row = {**world.jobs[number], "training_sheet_id": training_sheet}
    async with own.database.engine.begin() as connection:
        await connection.execute(tables.training_jobs.insert().values(row))
    return str(row["id"])


async def test_json_keeps_its_keys_its_numbers_and_its_characters(api: Api, world: World) -> None:
    query = """query ($id: ID!, $job: ID!) {
      node(id: $id) { ... on CanonicalLabel { labelData } }
      trainingJob(id: $job) { trainingConfig metrics { customMetrics } events { nodes { eventData } } }
    }"""
    found = await api.ask(query, id=world.labels[1], job=world.jobs[RICH]["id"])
    assert exact(found["node"]["labelData"]) == exact(LABEL_DATA)
    assert exact(found["trainingJob"]["trainingConfig"]) == exact(CONFIG)
    assert exact(found["trainingJob"]["metrics"]["customMetrics"]) == exact({"zebra": 1, "a": {"x": [2**70]}})
    data = [node["eventData"] for node in found["trainingJob"]["events"]["nodes"]]
    assert exact(data) == exact([entry[3] for entry in RICH_EVENTS])
    other = await api.ask(query, id=world.labels[2], job="job_x")
    assert other == {"node": {"labelData": "only a text"}, "trainingJob": None}


async def test_the_latest_metrics_are_exact(api: Api, world: World) -> None:
    query = """query ($id: ID!) { trainingJob(id: $id) { metrics {
      trainLoss valLoss trainAccuracy valAccuracy learningRate epochsCompleted trainingDurationSeconds
      tokensProcessed costDbu customMetrics recordedAt
    } } }"""
    found = (await api.ask(query, id=world.jobs[RICH]["id"]))["trainingJob"]["metrics"]
    assert found == {
        "trainLoss": 0.25,
        "valLoss": 1e-9,
        "trainAccuracy": 1.0,
        "valAccuracy": 0.0,
        "learningRate": 1e22,
        "epochsCompleted": 3,
        "trainingDurationSeconds": 12.5,
        "tokensProcessed": 2**53 + 1,
        "costDbu": 0.1,
        "customMetrics": {"zebra": 1, "a": {"x": [2**70]}},
        "recordedAt": "2026-02-06T10:00:00.123456Z",
    }
    assert type(found["tokensProcessed"]) is int
    nothing = (await api.ask(query, id=world.jobs[9]["id"]))["trainingJob"]["metrics"]
    assert {name for name, value in nothing.items() if value is not None} == {"recordedAt"}
    assert await api.ask(query, id=world.jobs[EMPTY]["id"]) == {"trainingJob": {"metrics": None}}


async def test_an_event_is_answered_as_it_is_stored(api: Api, world: World) -> None:
    query = """query ($id: ID!) { trainingJob(id: $id) { events { nodes {
      id sequence jobId eventType oldStatus newStatus message eventData actor createdAt
    } } } }"""
    for number in (RICH, 9, EMPTY):
        job_id = world.jobs[number]["id"]
        found = (await api.ask(query, id=job_id))["trainingJob"]["events"]["nodes"]
        rows = [row for row in world.events if row["job_id"] == job_id]
        assert found == [
            {
                "id": row["id"],
                "sequence": row["sequence"],
                "jobId": job_id,
                "eventType": row["event_type"],
                "oldStatus": row.get("old_status"),
                "newStatus": row.get("new_status"),
                "message": row["message"],
                "eventData": row.get("event_data"),
                "actor": row.get("actor"),
                "createdAt": rfc3339(row["created_at"]),
            }
            for row in rows
        ]


async def test_what_is_missing_is_null_or_empty(api: Api, world: World) -> None:
    query = """query ($id: ID!) { trainingJob(id: $id) {
      lineage { jobId } metrics { trainLoss } metricHistory { key } excluded { verdict } events { nodes { id } }
    } }"""
    assert (await api.ask(query, id=world.jobs[LAST]["id"]))["trainingJob"] == {
        "lineage": None,
        "metrics": None,
        "metricHistory": [],
        "excluded": [],
        "events": {"nodes": []},
    }
    assert await api.ask("{ baseModels { name } }") == {"baseModels": []}
