"""Arguments: each filter lets through what it says, each field node has its own, and bad ones are clear errors."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import pytest

from schema.types.enums import EventType, JobStatus, PairStatus, TrainerKind
from tests.schema.conftest import Api
from tests.schema.rows import NEWEST, Row, rfc3339
from tests.schema.world import EMPTY, RICH, RICH_EVENTS, World

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
    for selection in ("totalCount", "nodes { id }"):
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
            "locations": [{"line": 3, "column": 7}],
            "path": ["bad"],
            "extensions": {"code": "INVALID_ARGUMENT"},
        }
    ]


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
