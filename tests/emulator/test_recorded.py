"""What the real clients were seen to send is accepted, and answered with what they read."""

import json
from pathlib import Path
from typing import Any

import pytest
from graphql import FieldNode, OperationDefinitionNode, SelectionSetNode, parse

from tests.emulator.ai_training import TrainingRun
from tests.emulator.clients import START, TRAIN, VALIDATION, Client, client_of, conversations
from tests.emulator.fmapi import PATH
from tests.emulator.options import MODELS, Options
from tests.emulator.tracking_store import Experiment
from tests.emulator.world import World

RECORDED = Path(__file__).with_name("recorded")
NAMES = sorted(place.stem for place in RECORDED.glob("*.json"))
EXPERIMENT, RUN = "1234567890", "0123456789abcdef0123456789abcdef"
JOB_RUN, TASK_RUN, FINETUNE = 4242, 4243, "ift-mock-1"

# What is refused although the request is well-formed: what it asks for is not there, or there already, or the page's
# token is none that the emulator gave.
REFUSED = {
    ("genai_03_create_validated_volume", 1): 404,
    ("genai_03_create_validated_volume", 4): 404,
    ("genai_04_create_validated_delta", 4): 404,
    ("mlflow_20_uc_create_registered_model", 1): 409,
    ("sdk_06_list_runs", 1): 400,
    ("sdk_09_files_download", 0): 403,
    ("sdk_11_registered_model", 0): 409,
    ("sdk_18_not_found_error", 0): 400,
}
FOREIGN_CURSOR = "genai_09_list_next_page"


@pytest.fixture
async def prepared(tmp_path: Path) -> World:
    """A workspace that holds what the recordings name."""
    options = Options(
        held_at=START,
        models=(*MODELS, ("m", "m", 1)),
        volumes=frozenset({"main.ft.data", "main.ft.texts"}),
        tables={"main.ft.train_table": 100},
        datasets={"mosaicml/dolly_hhrlhf/train": 100},
        clusters={"c-1": "15.4.x-scala2.12"},
    )
    world = World(options, tmp_path)
    for name in ("train", "eval"):
        world.disk.file(f"/Volumes/main/ft/data/{name}.jsonl").write_bytes(conversations())
    world.disk.file("/Volumes/main/ft/texts/one.txt").write_text("text")
    world.tracking.experiments[EXPERIMENT] = Experiment(EXPERIMENT, "/Users/me@example.com/exp", 1, 1)
    run = world.tracking.create_run(EXPERIMENT, "me@example.com")
    run.id = RUN
    world.tracking.runs[RUN] = run
    world.registry.register("main.ft.m", "dbfs:/m", run, "READY", 0.0)
    world.registry.set_alias("main.ft.m", "champion", 1)
    async with client_of(world) as client:
        await _remember(client)
    return world


async def _remember(client: Client) -> None:
    """Give a finetune and a run the identifiers that the recordings name."""
    await client.upload(TRAIN)
    await client.upload(VALIDATION)
    finetunes, runs = client.world.finetunes.named, client.world.training_runs.runs
    finetune = finetunes.pop(await client.create())
    finetune.name, finetune.run = FINETUNE, client.world.tracking.run(RUN)
    finetunes[FINETUNE] = finetune
    run: TrainingRun = runs.pop((await client.submit("other")).json()["run_id"])
    run.run_id, run.task_run_id = JOB_RUN, TASK_RUN
    runs[JOB_RUN] = run


@pytest.mark.parametrize("name", NAMES)
async def test_each_recorded_request_is_accepted(name: str, prepared: World) -> None:
    requests = json.loads((RECORDED / f"{name}.json").read_text())
    async with client_of(prepared) as client:
        for index, request in enumerate(requests):
            if _is_lost(request):
                continue
            answer = await client.http.request(
                request["method"],
                request["path"],
                params=[(key, value) for key, value in request.get("query", [])],
                content=_content(request),
                headers=_headers(request, prepared),
            )
            expected = REFUSED.get((name, index))
            assert answer.status_code == expected if expected else answer.is_success, (request, answer.text)
            if request["path"] == PATH and name != FOREIGN_CURSOR:
                _answers(request["body"]["query"], answer.json())


def _is_lost(request: dict[str, Any]) -> bool:
    """Whether only the size of a form was kept."""
    body = request.get("body")
    form = request.get("headers", {}).get("content-type", "").startswith("multipart")
    return form and isinstance(body, str) and body.startswith("<")


def _content(request: dict[str, Any]) -> bytes:
    body = request.get("body", b"")
    return body.encode() if isinstance(body, str) else body if isinstance(body, bytes) else json.dumps(body).encode()


def _headers(request: dict[str, Any], world: World) -> dict[str, str]:
    """As recorded; the credentials were not."""
    headers = dict(request.get("headers", {}))
    if request["path"] == "/oidc/v1/token":
        headers["authorization"] = "Basic Y2xpZW50OnNlY3JldA=="
    elif not request["path"].startswith(("/.well-known", "/oidc")):
        headers["authorization"] = f"Bearer {world.options.token}"
    return headers


def _answers(query: str, answer: dict[str, Any]) -> None:
    """The answer holds exactly what was selected."""
    assert list(answer) == ["data"], answer
    [operation] = parse(query).definitions
    assert isinstance(operation, OperationDefinitionNode)
    _holds(operation.selection_set, answer["data"])


def _holds(selected: SelectionSetNode | None, value: Any) -> None:  # noqa: ANN401  (JSON has no type)
    if isinstance(value, list):
        for inner in value:
            _holds(selected, inner)
    elif selected is not None:
        fields = [field for field in selected.selections if isinstance(field, FieldNode)]
        assert isinstance(value, dict)
        assert list(value) == [field.name.value for field in fields]
        for field in fields:
            _holds(field.selection_set, value[field.name.value])


async def test_a_cursor_that_was_not_given_out_is_refused(prepared: World) -> None:
    [request] = json.loads((RECORDED / f"{FOREIGN_CURSOR}.json").read_text())
    async with client_of(prepared) as client:
        answer = await client.post(PATH, **request["body"])

    assert answer.status_code == 200
    assert answer.json()["errors"][0]["extensions"] == {"code": 400}


async def test_a_recorded_get_finds_what_the_client_has_to_read(prepared: World) -> None:
    [request] = json.loads((RECORDED / "genai_06_get.json").read_text())
    async with client_of(prepared) as client:
        page = (await client.post(PATH, **request["body"])).json()["data"]["getFinetunesPaginated"]

    [found] = page["finetunes"]
    required = ("id", "name", "status", "createdByEmail", "createdAt", "updatedAt")
    assert all(found[key] for key in required)
    assert found["createdAt"].endswith("Z")
    assert found["details"]["dataPrepConfig"] == {}
    assert found["details"]["experimentTracker"]["mlflow"] == {
        "experimentPath": "/Users/me@example.com/exp",
        "modelRegistryPath": "main.ft.m",
        "createExperimentAndRun": True,
        "mlflowExperimentId": EXPERIMENT,
        "mlflowRunId": RUN,
    }
    assert (page["cursor"], page["hasNextPage"]) == (None, False)
