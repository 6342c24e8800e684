"""What is sent, beside what Databricks' own clients were seen to send: method, path, query and the body's shape."""

import json
from pathlib import Path
from typing import Any

import pytest

from server.trainers.trainer import RunHandle
from tests.emulator.requests import Recorded
from tests.server.trainers.databricks.fmapi.bench import CONFIG, GRAPHQL, MODEL, Bench, look, opened

RECORDED = Path(__file__).parents[4] / "emulator" / "recorded"
MLFLOW, CATALOG = "/api/2.0/mlflow", "/api/2.1/unity-catalog/models"
OPERATIONS = {
    "CreateFinetune": "genai_01_create_novalidate",
    "GetFinetunesPaginated": "genai_06_get",
    "GetFinetuneEvents": "genai_11_events",
    "StopFinetunes": "genai_13_cancel_names",
    "Models": "genai_12_get_models",
}
SEARCH = ("POST", f"{MLFLOW}/runs/search")  # not recorded: https://mlflow.org/docs/latest/rest-api.html#search-runs
OTHERS = {
    ("GET", f"{MLFLOW}/experiments/get-by-name"): ("sdk_12_experiments", 0),
    ("POST", f"{MLFLOW}/experiments/create"): ("genai_03_create_validated_volume", 5),
    ("GET", f"{MLFLOW}/metrics/get-history"): ("sdk_12_experiments", 3),
    ("GET", f"{MLFLOW}/runs/get"): ("genai_15_checkpoints", 2),
    ("GET", f"{CATALOG}/*/versions"): ("sdk_11_registered_model", 2),
    ("PUT", f"{CATALOG}/*/aliases/*"): ("sdk_11_registered_model", 1),
    ("PUT", "/api/2.0/fs/directories/Volumes/*"): ("sdk_08_files_mkdir_list", 0),
    ("PUT", "/api/2.0/fs/files/Volumes/*"): ("sdk_07_files_upload", 0),
    ("HEAD", "/api/2.0/fs/files/Volumes/*"): ("genai_03_create_validated_volume", 0),
    ("GET", "/api/2.0/fs/files/Volumes/*"): ("sdk_09_files_download", 1),
    ("POST", "/api/2.0/workspace/mkdirs"): ("sdk_10_workspace_upload", 0),
    ("GET", "/api/2.0/preview/scim/v2/Me"): ("sdk_01_me", 0),
    ("GET", "/.well-known/databricks-config"): ("sdk_00_config_init", 0),
}


def recorded(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))
    return found


def shape(value: object) -> object:
    """The keys and the kinds of values. How many entries a list has is not a matter of shape."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value[:1]]
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def every_recorded_operation() -> list[tuple[str, dict[str, Any]]]:
    """The bodies of all recorded requests to FMAPI, but for deletion, which is not used."""
    names = sorted(path.stem for path in RECORDED.glob("genai_*.json"))
    return [(name, call["body"]) for name in names for call in recorded(name) if call["path"] == GRAPHQL]


def differences(ours: object, theirs: object, path: str = "") -> list[str]:
    """Where two shapes contradict each other; what only one of them has is no contradiction."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        both = ours.keys() & theirs.keys()
        return [found for key in sorted(both) for found in differences(ours[key], theirs[key], f"{path}.{key}")]
    if isinstance(ours, list) and isinstance(theirs, list):
        return [found for pair in zip(ours, theirs, strict=False) for found in differences(*pair, f"{path}[]")]
    return [] if ours == theirs else [f"{path}: {ours} and not {theirs}"]


@pytest.fixture
async def sent(bench: Bench) -> list[Recorded]:
    """Everything that is asked for one job, from its submission to its version, and for one that is cancelled."""
    trainer = bench.trainer()
    await trainer.base_models()
    config = {**CONFIG, "eval_prompts": ["Hello?"]}
    name = await trainer.submit(bench.request("job_1", config=config))
    bench.advance(1.2)
    await look(trainer, "job_1", name)
    await trainer.logs(name)
    await trainer.registered(name, MODEL)
    await trainer.cancel(name)
    assert await bench.trainer().find("job_1") == name
    bench.databricks.faults.script("error", GRAPHQL, operation="CreateFinetune", status=404)
    bench.databricks.faults.script("error", GRAPHQL, operation="Models", status=404)
    with pytest.raises(Exception, match="AI_RUNTIME"):
        await trainer.submit(bench.request("job_2"))
    return list(bench.databricks.requests)


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_each_operation_is_sent_as_its_own_client_sends_it(sent: list[Recorded], operation: str) -> None:
    [expected] = [call for call in recorded(OPERATIONS[operation]) if call["path"] == GRAPHQL][:1]
    found = [call for call in sent if call.operation == operation and call.body["query"] == expected["body"]["query"]]
    assert found
    for call in found[:1]:
        assert (call.method, call.path, call.query) == (expected["method"], expected["path"], [])
        assert list(call.body) == list(expected["body"])
        assert shape(call.body["variables"]) == shape(expected["body"]["variables"])
        assert call.headers["content-type"] == expected["headers"]["content-type"]


async def test_no_recorded_request_contradicts_what_is_sent(sent: list[Recorded]) -> None:
    bodies = [call.body for call in sent if call.operation]
    compared = 0
    for name, theirs in every_recorded_operation():
        alike = [body for body in bodies if body["query"] == theirs["query"]]
        assert alike, name
        for ours in alike:
            assert ours["variables"].keys() == theirs["variables"].keys(), name
            assert differences(shape(ours), shape(theirs)) == [], name
            compared += 1
    assert compared > len(OPERATIONS)


async def test_a_created_run_asks_for_what_was_configured(sent: list[Recorded]) -> None:
    call = next(call for call in sent if call.operation == "CreateFinetune")
    volume = "dbfs:/Volumes/main/ft/data/desk/job_1"
    [expected] = recorded("genai_01_create_novalidate")
    assert call.body["variables"]["createFinetuneData"]["config"] == {
        **expected["body"]["variables"]["createFinetuneData"]["config"],
        "model": "meta-llama/Llama-3.2-1B-Instruct",
        "trainDataPath": f"{volume}/train.jsonl",
        "evalDataPath": f"{volume}/validation.jsonl",
        "trainingDuration": "2ep",
        "experimentTracker": {
            "mlflow": {
                "experimentPath": "/Shared/desk/job_1",
                "modelRegistryPath": MODEL,
                "createExperimentAndRun": True,
            }
        },
    }


async def test_the_runs_of_an_experiment_are_listed_as_the_client_lists_them(sent: list[Recorded]) -> None:
    expected = recorded("genai_08_list_filters")[0]["body"]
    [call] = [call for call in sent if call.operation and call.body["query"] == expected["query"]]
    asked, theirs = (body["variables"]["getFinetunesPaginatedData"] for body in (call.body, expected))
    assert shape(asked["filters"]) == {"mlflowExperimentId": shape(theirs["filters"]["mlflowExperimentId"])}
    assert {key: shape(asked[key]) for key in ("includeDeleted", "limit")} == {
        key: shape(theirs[key]) for key in ("includeDeleted", "limit")
    }


@pytest.mark.parametrize("endpoint", OTHERS, ids=" ".join)
async def test_everything_else_is_sent_as_the_sdk_sends_it(
    bench: Bench, sent: list[Recorded], endpoint: tuple[str, str]
) -> None:
    name, index = OTHERS[endpoint]
    expected = recorded(name)[index]
    [call, *_] = bench.databricks.requests.to(*endpoint)
    assert call in sent
    assert call.method == expected["method"]
    assert sorted(key for key, _ in call.query) == sorted(key for key, _ in expected.get("query", []))
    if "fs/files" not in call.path:  # whose body is a file
        assert shape(call.body) == shape(expected.get("body"))


async def test_runs_are_searched_as_mlflow_documents_it(bench: Bench, sent: list[Recorded]) -> None:
    [call, *_] = bench.databricks.requests.to(*SEARCH)
    assert call in sent
    assert call.body.keys() == {"experiment_ids", "filter", "max_results"}
    assert call.body["filter"].startswith("attributes.run_id IN ('")


async def test_nothing_is_sent_that_is_not_compared(bench: Bench, sent: list[Recorded]) -> None:
    compared = [call for endpoint in (*OTHERS, SEARCH) for call in bench.databricks.requests.to(*endpoint)]
    assert [(call.method, call.path) for call in sent if call.path != GRAPHQL and call not in compared] == []
    assert {call.operation for call in sent if call.path == GRAPHQL} == set(OPERATIONS)


async def test_the_next_page_is_asked_for_with_the_cursor(tmp_path: Path) -> None:
    async with opened(tmp_path, page_max=2) as bench:
        trainer = bench.trainer()
        jobs = [f"job_{number}" for number in range(3)]
        handles = []
        for job in jobs:
            handles.append(RunHandle(job, await trainer.submit(bench.request(job))))
            bench.advance(0.001)  # pages are in the order of time
        bench.databricks.requests.clear()
        assert set(await trainer.observe(handles)) == set(jobs)
        pages = [call.body["variables"] for call in bench.databricks.requests.to(operation="GetFinetunesPaginated")]
    first, following = (recorded(name)[-1]["body"]["variables"] for name in ("genai_06_get", "genai_09_list_next_page"))
    key = "getFinetunesPaginatedData"
    expected = {key: {**first[key], "cursor": following[key]["cursor"]}}
    assert [shape(page) for page in pages] == [shape(first), shape(expected)]
