"""FMAPI's runs move with the clock, and are found, stopped and refused as its client expects."""

from typing import Any

import pytest

from tests.emulator.clients import LIST, PACE, START, STOP, TRAIN, VALIDATION, Client, client_of
from tests.emulator.fmapi import PATH
from tests.emulator.options import Options
from tests.emulator.world import World

EVENTS = """query GetFinetuneEvents($getFinetuneEventsData: GetFinetuneEventsInput!) {
  getFinetuneEvents(getFinetuneEventsData: $getFinetuneEventsData) { eventType eventTime eventMessage } }"""


async def _types(client: Client, name: str) -> list[str]:
    return [event["eventType"] for event in await client.graphql(EVENTS, getFinetuneEventsData={"name": name})]


def _tracker(finetune: Any) -> dict[str, str]:  # noqa: ANN401
    tracker: dict[str, str] = finetune["details"]["experimentTracker"]["mlflow"]
    return tracker


async def test_a_run_goes_through_its_states_with_the_clock(client: Client) -> None:
    await client.upload()
    name = await client.create()
    seen = []
    for seconds in (0, 2, 4, 9, 84.9, 0.1):
        client.world.clock.advance(seconds)
        found = await client.finetune(name)
        seen.append((found["status"], found["startedAt"], found["estimatedEndTime"], found["completedAt"]))

    started, end = "2026-11-18T11:06:46.000Z", "2026-11-18T11:08:20.000Z"
    assert seen == [
        ("PENDING", None, None, None),
        ("QUEUED", None, None, None),
        ("STARTING", started, None, None),
        ("RUNNING", started, end, None),
        ("RUNNING", started, end, None),
        ("COMPLETED", started, None, end),
    ]


async def test_what_is_found_does_not_depend_on_when_it_is_looked_for(tmp_path_factory: pytest.TempPathFactory) -> None:
    found = []
    for steps in (1, 200):
        world = World(Options(held_at=START, pace=PACE), tmp_path_factory.mktemp("world"))
        async with client_of(world) as client:
            await client.upload()
            name = await client.create()
            for _ in range(steps):
                world.clock.advance(200 / steps)
                one = await client.finetune(name)
            run = (await client.get("/api/2.0/mlflow/runs/get", run_id=_tracker(one)["mlflowRunId"])).json()
            found.append((one, run))

    assert found[0] == found[1]


async def test_events_tell_of_every_stage_once(client: Client) -> None:
    await client.upload()
    name = await client.create()
    client.world.clock.advance(PACE)
    types = await _types(client, name)

    once = [kind for kind in types if kind not in ("TRAIN_UPDATED", "CHECKPOINT_SAVED")]
    stages = ["CREATED", "CHECK_PASSED", "STARTED", "DATA_VALIDATED", "MODEL_INITIALIZED", "TRAIN_STARTED"]
    assert once == [*stages, "TRAIN_FINISHED", "COMPLETED"]
    assert (types.count("TRAIN_UPDATED"), types.count("CHECKPOINT_SAVED")) == (10, 2)
    told = (await client.finetune(name))["details"]["formattedFinetuningEvents"]
    updates = [event["eventMessage"] for event in told if event["eventType"] == "TRAIN_UPDATED"]
    assert updates[0].startswith("[epoch=1/2][batch=1/10][ETA=1min] Train loss: ")
    assert updates[-1].startswith("[epoch=2/2][batch=10/10][ETA=0s] Train loss: ")


async def test_metrics_checkpoints_and_the_model_are_where_the_service_puts_them(client: Client) -> None:
    await client.upload()
    await client.upload(VALIDATION)
    name = await client.create(evalDataPath=f"dbfs:{VALIDATION}")
    client.world.clock.advance(PACE)
    run = _tracker(await client.finetune(name))["mlflowRunId"]

    async def steps(key: str) -> list[int]:
        history = await client.get("/api/2.0/mlflow/metrics/get-history", run_id=run, metric_key=key)
        return [point["step"] for point in history.json()["metrics"]]

    assert await steps("loss/train/total") == list(range(1, 11))
    assert await steps("metrics/eval/LanguageCrossEntropy") == [5, 10]
    data = (await client.get("/api/2.0/mlflow/runs/get", run_id=run)).json()["run"]
    latest = {metric["key"]: metric["value"] for metric in data["data"]["metrics"]}
    assert data["info"]["status"] == "FINISHED"
    assert (latest["time/batch"], latest["time/epoch"], latest["lr-DecoupledLionW/group0"]) == (10, 2, 0)
    artifacts = await client.get("/api/2.0/mlflow/artifacts/list", run_id=run, path=f"{name}/checkpoints")
    listed = [(one["path"], one["is_dir"]) for one in artifacts.json()["files"]]
    assert listed == [(f"{name}/checkpoints/ep1-ba5", True), (f"{name}/checkpoints/ep2-ba10", True)]

    async def version() -> tuple[str, str]:
        found = (await client.get("/api/2.1/unity-catalog/models/main.ft.m/versions/1")).json()
        return found["status"], found["run_id"]

    assert await version() == ("PENDING_REGISTRATION", run)
    client.world.clock.advance(PACE / 10)
    assert await version() == ("READY", run)


async def test_more_data_ends_with_a_lower_loss(client: Client) -> None:
    await client.upload(
        TRAIN, b'{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}\n' * 9
    )
    few = await client.create("/Users/me@example.com/few")
    client.world.clock.advance(PACE)
    await client.upload(
        TRAIN, b'{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}\n' * 900
    )
    many = await client.create("/Users/me@example.com/many")
    client.world.clock.advance(PACE)

    async def loss(name: str) -> float:
        run = client.world.tracking.run(_tracker(await client.finetune(name))["mlflowRunId"])
        return run.latest()["loss/train/total"].value

    assert await loss(many) < await loss(few) < 2.0


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, f"Could not find the file dbfs:{TRAIN}."),
        (b"", f"There are no examples in dbfs:{TRAIN}."),
        (b'{"messages": []}', f"Line 1 of dbfs:{TRAIN}: messages are needed"),
        (b'\n{"messages"', f"Line 2 of dbfs:{TRAIN} is not JSON."),
    ],
)
async def test_data_that_cannot_be_read_fails_the_run(client: Client, content: bytes | None, reason: str) -> None:
    if content is not None:
        await client.upload(TRAIN, content)
    name = await client.create()
    client.world.clock.advance(PACE)
    found = await client.finetune(name)

    assert (found["status"], found["reason"]) == ("FAILED", reason)
    assert found["completedAt"] == "2026-11-18T11:06:50.000Z"
    assert found["details"]["formattedFinetuningEvents"][-1]["eventMessage"] == reason
    assert client.world.tracking.run(_tracker(found)["mlflowRunId"]).status == "FAILED"
    assert client.world.registry.models == {}


async def test_a_schema_that_is_not_there_fails_the_check(client: Client) -> None:
    tracker = {"experimentPath": "/Users/x/y", "modelRegistryPath": "main.other.m"}
    name = await client.create(experimentTracker={"mlflow": tracker})
    client.world.clock.advance(PACE)

    assert await _types(client, name) == ["CREATED", "CHECK_FAILED", "FAILED"]
    assert (await client.finetune(name))["reason"] == "Schema 'main.other' does not exist."


async def test_an_outcome_fails_the_run_it_was_scripted_for(client: Client) -> None:
    await client.upload()
    client.world.outcomes.script("/bad", fails_at=0.5, reason="CUDA out of memory.")
    good, bad = await client.create("/Users/me/good"), await client.create("/Users/me/bad")
    client.world.clock.advance(PACE)

    assert (await client.finetune(good))["status"] == "COMPLETED"
    found = await client.finetune(bad)
    assert (found["status"], found["reason"]) == ("FAILED", "CUDA out of memory.")
    assert found["completedAt"] == "2026-11-18T11:07:30.000Z"


@pytest.mark.parametrize(("settle", "status"), [("FAILED_REGISTRATION", "FAILED_REGISTRATION"), ("NONE", None)])
async def test_an_outcome_decides_what_becomes_of_the_version(client: Client, settle: str, status: str | None) -> None:
    await client.upload()
    client.world.outcomes.script(registration=settle)
    await client.create()
    client.world.clock.advance(2 * PACE)
    answer = await client.get("/api/2.1/unity-catalog/models/main.ft.m/versions")

    assert (answer.json()["model_versions"][0]["status"] if answer.is_success else None) == status


async def test_a_run_that_waits_stops_at_once_and_one_that_trains_takes_a_while(client: Client) -> None:
    await client.upload()
    trains = await client.create()
    client.world.clock.advance(20)
    waits = await client.create()
    stopped = await client.graphql(
        STOP,
        getFinetunesData={"filters": {"name": {"in": [trains, waits, "nobody"]}}},
        stopFinetunesData={"reason": "Enough."},
    )

    assert {one["name"]: (one["status"], one["reason"]) for one in stopped} == {
        waits: ("STOPPED", "Enough."),
        trains: ("TERMINATING", "Enough."),
    }
    client.world.clock.advance(2)
    assert (await client.finetune(trains))["status"] == "STOPPED"
    assert (await _types(client, trains))[-1] == "STOPPED"
    client.world.clock.advance(PACE)
    assert (await client.finetune(trains))["status"] == "STOPPED"
    assert await client.graphql(STOP, getFinetunesData={"filters": {"name": {"in": [trains]}}}) == []


@pytest.mark.parametrize(
    ("query", "variables", "message"),
    [
        ("query Q { getFinetuneConstants { prices } }", {}, "Cannot query field 'prices' on type 'FinetuneConstants'."),
        (LIST, {"getFinetunesPaginatedData": {"filters": {"id": {"in": ["x"]}}}}, "not to include unknown field 'id'"),
        (LIST, {"getFinetunesPaginatedData": {"cursor": "x"}}, "The cursor is not valid"),
        (LIST, {"getFinetunesPaginatedData": {"filters": {"createdAt": {"lt": "soon"}}}}, "'soon' is not a time"),
    ],
)
async def test_a_wrong_request_is_an_error_with_http_200(
    client: Client, query: str, variables: dict[str, Any], message: str
) -> None:
    answer = await client.post(PATH, query=query, variables=variables)

    assert answer.status_code == 200
    [error] = answer.json()["errors"]
    assert message in error["message"]
    assert error["extensions"] == {"code": 400}


async def test_the_events_of_an_unknown_run_are_a_404_inside_http_200(client: Client) -> None:
    answer = await client.post(PATH, query=EVENTS, variables={"getFinetuneEventsData": {"name": "nobody"}})

    assert answer.status_code == 200
    assert answer.json()["errors"][0]["extensions"] == {"code": 404}


@pytest.mark.parametrize(
    "changes",
    [{"model": "unheard/of"}, {"trainingDuration": "three"}, {"taskType": "DREAM"}, {"trainingDuration": "0x"}],
)
async def test_a_bad_configuration_makes_nothing(client: Client, changes: dict[str, Any]) -> None:
    with pytest.raises(AssertionError, match="Bad run request"):
        await client.create(**changes)

    assert (await client.page())["finetunes"] == []
    assert client.world.tracking.experiments == {}
