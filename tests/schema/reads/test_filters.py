"""Filters let through what they say."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import pytest

from schema.types.enums import EventType, JobStatus, PairStatus, TrainerKind
from tests.schema.conftest import Api
from tests.schema.rows import NEWEST, Row, rfc3339
from tests.schema.world import RICH, RICH_EVENTS, World

pytestmark = pytest.mark.database

Passes: TypeAlias = Callable[[Row, World], bool]

FILTERED = """query ($filter: TrainingJobFilter) {
  trainingJobs(filter: $filter, first: 100) { totalCount nodes { id } }
}"""
MIDDLE = NEWEST - timedelta(minutes=10)


async def passing(api: Api, given: dict[str, Any] | None) -> list[str]:
    [found] = (await api.ask(FILTERED, filter=given)).values()
    assert found["totalCount"] == len(found["nodes"])
    return [node["id"] for node in found["nodes"]]


def expected(world: World, passes: Passes) -> list[str]:
    return [row["id"] for row in world.newest_first() if passes(row, world)]


@pytest.mark.parametrize(
    ("given", "passes"),
    [
        (None, lambda _row, _world: True),
        ({}, lambda _row, _world: True),
        ({"status": None}, lambda _row, _world: True),
        ({"status": []}, lambda _row, _world: False),
        ({"status": "FAILED"}, lambda row, _world: row["status"] == "FAILED"),
        ({"status": ["FAILED"]}, lambda row, _world: row["status"] == "FAILED"),
        ({"status": ["RUNNING", "FAILED", "RUNNING"]}, lambda row, _world: row["status"] in {"FAILED", "RUNNING"}),
        ({"status": list(JobStatus)}, lambda _row, _world: True),
        ({"trainer": None}, lambda _row, _world: True),
        ({"createdBy": "ben"}, lambda row, _world: row["created_by"] == "ben"),
        ({"createdBy": "BEN"}, lambda _row, _world: False),
        ({"createdBy": ""}, lambda _row, _world: False),
        ({"createdBy": None}, lambda _row, _world: True),
        ({"createdBy": "' OR true --"}, lambda _row, _world: False),
        ({"modelName": "model 1"}, lambda row, _world: row["model_name"] == "model 1"),
        ({"modelName": "model"}, lambda _row, _world: False),
        ({"modelName": "model %"}, lambda _row, _world: False),
        ({"modelName": None}, lambda _row, _world: True),
        ({"trainingSheetId": "no_such"}, lambda _row, _world: False),
        ({"trainingSheetId": "a\0b"}, lambda _row, _world: False),
        ({"trainingSheetId": None}, lambda _row, _world: True),
        ({"createdAfter": rfc3339(MIDDLE)}, lambda row, _world: row["created_at"] > MIDDLE),
        ({"createdBefore": rfc3339(MIDDLE)}, lambda row, _world: row["created_at"] < MIDDLE),
        ({"createdAfter": "2026-02-06T11:50:00.123456+02:00"}, lambda row, _world: row["created_at"] > MIDDLE),
        (
            {"createdAfter": "2026-02-06T09:50:00.123455Z", "createdBefore": "2026-02-06T09:50:00.123457Z"},
            lambda row, _world: row["created_at"] == MIDDLE,
        ),
        ({"createdAfter": None, "createdBefore": None}, lambda _row, _world: True),
        ({"createdBefore": "0001-01-01T00:00:00Z"}, lambda _row, _world: False),
        ({"createdBefore": "9999-12-31T23:59:59Z"}, lambda _row, _world: True),
        (
            {"createdBy": "ben", "status": ["FAILED", "CANCELLED", "QUEUED"], "modelName": "model 1"},
            lambda row, _world: (
                row["created_by"] == "ben"
                and row["status"] in {"FAILED", "CANCELLED", "QUEUED"}
                and row["model_name"] == "model 1"
            ),
        ),
    ],
)
async def test_a_filter_lets_through_what_it_says(
    api: Api, world: World, given: dict[str, Any] | None, passes: Passes
) -> None:
    assert await passing(api, given) == expected(world, passes)


@pytest.mark.parametrize("trainer", list(TrainerKind))
async def test_jobs_are_filtered_by_their_trainer(api: Api, world: World, trainer: TrainerKind) -> None:
    assert await passing(api, {"trainer": trainer.value}) == world.job_ids(trainer=trainer.value)


async def test_jobs_are_filtered_by_their_training_sheet(api: Api, world: World) -> None:
    for sheet, count in ((world.training_sheet, 20), (world.other_training_sheet, 5)):
        found = await passing(api, {"trainingSheetId": sheet})
        assert found == world.job_ids(training_sheet_id=sheet)
        assert len(found) == count


async def test_members_of_a_filter_may_be_variables_that_are_left_out(api: Api, world: World) -> None:
    query = """query ($status: [TrainingJobStatus!], $by: String, $name: String = "model 0") {
      trainingJobs(first: 100, filter: { status: $status, createdBy: $by, modelName: $name }) { nodes { id } }
    }"""
    for variables, columns in (
        ({}, {"model_name": "model 0"}),
        ({"name": None}, {}),
        ({"by": "ben", "name": None}, {"created_by": "ben"}),
        ({"by": None, "status": ["QUEUED"], "name": "model 1"}, {"status": "QUEUED", "model_name": "model 1"}),
        ({"by": "local"}, {"model_name": "model 0", "created_by": "local"}),
    ):
        [found] = (await api.ask(query, **variables)).values()
        assert [node["id"] for node in found["nodes"]] == world.job_ids(**columns), variables


async def test_the_count_is_of_what_passes_wherever_the_page_is(api: Api, world: World) -> None:
    query = """query ($after: String) {
      trainingJobs(first: 2, after: $after, filter: { createdBy: "ben" }) {
        totalCount nodes { id } pageInfo { endCursor hasNextPage }
      }
    }"""
    mine, seen, after = world.job_ids(created_by="ben"), [], None
    for start in range(0, len(mine), 2):
        [found] = (await api.ask(query, after=after)).values()
        assert found["totalCount"] == len(mine)
        assert found["pageInfo"]["hasNextPage"] is (start + 2 < len(mine))
        seen += [node["id"] for node in found["nodes"]]
        after = found["pageInfo"]["endCursor"]
    assert seen == mine


async def test_active_jobs_are_those_that_have_not_ended(api: Api, world: World) -> None:
    query = """query ($after: String) {
      activeTrainingJobs(first: 6, after: $after) { totalCount nodes { id } pageInfo { endCursor } }
    }"""
    active = expected(world, lambda row, _world: row["completed_at"] is None)
    [first] = (await api.ask(query)).values()
    [second] = (await api.ask(query, after=first["pageInfo"]["endCursor"])).values()
    assert [node["id"] for node in first["nodes"] + second["nodes"]] == active[:12]
    assert first["totalCount"] == second["totalCount"] == len(active) == 13


@pytest.mark.parametrize("types", [None, [], ["ERROR"], ["STATUS_CHANGE", "CREATED"], list(EventType)])
async def test_events_are_filtered_by_type(api: Api, world: World, types: list[str] | None) -> None:
    query = """query ($id: ID!, $types: [TrainingJobEventType!]) {
      trainingJob(id: $id) { events(types: $types) { totalCount nodes { sequence eventType } } }
    }"""
    found = (await api.ask(query, id=world.jobs[RICH]["id"], types=types))["trainingJob"]["events"]
    wanted = [
        {"sequence": number + 1, "eventType": kind}
        for number, (kind, *_) in enumerate(RICH_EVENTS)
        if types is None or kind in types
    ]
    assert found == {"totalCount": len(wanted), "nodes": wanted}


@pytest.mark.parametrize(
    ("field", "counts"),
    [
        ("a: qaPairs { totalCount }", {"a": 8}),
        ("a: qaPairs(status: null) { totalCount }", {"a": 8}),
        *(
            (f"a: qaPairs(status: {status}) {{ totalCount }}", {"a": count})
            for status, count in (
                (PairStatus.LABELED, 6),
                (PairStatus.UNLABELED, 1),
                (PairStatus.REJECTED, 1),
                (PairStatus.FLAGGED, 0),
            )
        ),
    ],
)
async def test_pairs_are_filtered_by_status(api: Api, world: World, field: str, counts: dict[str, int]) -> None:
    found = (await api.ask(f'{{ trainingSheet(id: "{world.training_sheet}") {{ {field} }} }}'))["trainingSheet"]
    assert {key: value["totalCount"] for key, value in found.items()} == counts


async def test_labels_are_filtered_by_their_sheet(api: Api, world: World) -> None:
    query = "query ($sheet: ID) { canonicalLabels(sheetId: $sheet) { totalCount nodes { id } } }"
    newest = [{"id": label} for label in world.labels[::-1]]
    for variables, nodes in (
        ({}, newest),
        ({"sheet": None}, newest),
        ({"sheet": world.sheet}, newest),
        ({"sheet": world.empty_sheet}, []),
        ({"sheet": "a\0b"}, []),
        ({"sheet": "é"}, []),
    ):
        [found] = (await api.ask(query, **variables)).values()
        assert found == {"totalCount": len(nodes), "nodes": nodes}, variables


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("2026-02-06", "DateTime is RFC 3339 with a zone, such as 2026-02-06T10:00:00Z"),
        ("2026-02-06T10:00:00", "DateTime is RFC 3339 with a zone, such as 2026-02-06T10:00:00Z"),
        ("yesterday", "DateTime is RFC 3339 with a zone, such as 2026-02-06T10:00:00Z"),
        (5, "DateTime is RFC 3339 with a zone, such as 2026-02-06T10:00:00Z"),
        ("0001-01-01T00:00:00+05:00", "DateTime lies outside the years 1 to 9999"),
    ],
)
async def test_a_time_that_is_none_is_refused_before_anything_is_read(api: Api, value: object, message: str) -> None:
    [(_, told)] = await api.refusals(FILTERED, filter={"createdAfter": value})
    assert message in told
    assert api.statements == []


async def test_a_filter_bound_to_a_time_means_that_time(api: Api, world: World) -> None:
    summer = datetime.fromisoformat("2026-02-06T12:00:00.123456+02:00")
    assert summer == NEWEST
    assert await passing(api, {"createdAfter": summer.isoformat()}) == []
    assert len(await passing(api, {"createdBefore": summer.isoformat()})) == len(world.jobs) - 4
