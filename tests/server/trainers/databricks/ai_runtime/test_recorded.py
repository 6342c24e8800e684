"""What the adapter sends, against what Databricks' own clients were recorded to send for the same operations."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from server.trainers.trainer import RunHandle, TrainerJobId
from tests.emulator.requests import Recorded
from tests.server.trainers.databricks.ai_runtime.desk import REGISTERED, RUNS, Desk, look

RECORDED = Path(__file__).parents[4] / "emulator" / "recorded"
FORM = re.compile(r'name="([^"]+)"(?:; filename="[^"]*")?\r\n\r\n(.*?)\r\n--', re.DOTALL)


def recorded(name: str, method: str, path: str) -> dict[str, Any]:
    """The first call to a path (a pattern) in a recording."""
    calls: list[dict[str, Any]] = json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))
    return next(call for call in calls if call["method"] == method and re.fullmatch(path, call["path"]))


def shape(value: object) -> object:
    """The keys and types of a body, whatever its values."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in sorted(value.items())}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


def form(body: str) -> dict[str, str]:
    """The fields of a multipart body."""
    return dict(FORM.findall(body))


def keys(query: Iterable[Iterable[str]]) -> list[str]:
    return sorted(key for key, _ in query)


def same_headers(call: Recorded, expected: dict[str, Any]) -> bool:
    """Those that are kept in recordings: what is sent, and to which workspace."""
    headers = {key: value.split(";")[0] for key, value in expected["headers"].items()}
    return {key: call.headers.get(key, "").split(";")[0] for key in headers} == headers


async def test_submit_is_the_recorded_request(desk: Desk) -> None:
    await desk.trainer().submit(desk.request())
    [call] = desk.asked("POST", f"{RUNS}/submit")
    expected = recorded("sdk_02_jobs_submit_ai_runtime", "POST", f"{RUNS}/submit")
    assert shape(call.body) == shape(expected["body"])
    assert same_headers(call, expected)
    by_its_own_client = recorded("air_02_run", "POST", f"{RUNS}/submit")["body"]
    [task] = by_its_own_client["tasks"]
    # its own client snapshots code, has nobody told, and leaves retries to the service
    del task["ai_runtime_task"]["code_source_path"], task["email_notifications"]
    del call.body["tasks"][0]["max_retries"], call.body["tasks"][0]["retry_on_timeout"]
    assert shape(call.body) == shape(by_its_own_client)


async def test_the_program_is_uploaded_by_the_recorded_requests(desk: Desk) -> None:
    await desk.trainer().submit(desk.request())
    expected = recorded("sdk_10_workspace_upload", "POST", "/api/2.0/workspace/mkdirs")
    [folder] = desk.asked("POST", "/api/2.0/workspace/mkdirs")
    assert shape(folder.body) == shape(expected["body"])
    assert same_headers(folder, expected)
    expected = recorded("sdk_10_workspace_upload", "POST", "/api/2.0/workspace/import")
    imports = desk.asked("POST", "/api/2.0/workspace/import")
    for call in imports:
        sent, theirs = form(call.body), form(expected["body"])
        assert sent.keys() == theirs.keys()
        assert {key: sent[key] for key in ("format", "overwrite")} == {
            key: theirs[key] for key in ("format", "overwrite")
        }
        assert same_headers(call, expected)
    names = {form(call.body)["path"].rpartition("/")[2] for call in imports}
    theirs = json.loads((RECORDED / "air_02_run.json").read_text(encoding="utf-8"))
    known = {form(call["body"])["path"].rpartition("/")[2] for call in theirs if "name=" in str(call.get("body"))}
    assert known - names == {"env_vars.json", "secret_env_vars.json"}  # there is nothing to say in them


async def test_the_files_that_ai_runtime_reads_have_the_recorded_keys(desk: Desk) -> None:
    await desk.trainer().submit(desk.request())
    folder = desk.databricks.world.disk.workspace("/Shared/tunegraph/bundles/job_1")
    calls = json.loads((RECORDED / "air_02_run.json").read_text(encoding="utf-8"))
    bodies = [form(call["body"]) for call in calls if "name=" in str(call.get("body"))]
    theirs = {body["path"].rpartition("/")[2]: body["content"] for body in bodies}
    for name, left_out in (
        ("training_config.yaml", {"code_source", "env_variables", "secrets"}),
        ("requirements.yaml", set[str]()),
    ):
        top = {line.split(":")[0] for line in theirs[name].splitlines() if re.match(r"\w+:", line)}
        assert json.loads((folder / name).read_text(encoding="utf-8")).keys() == top - left_out


async def test_secrets_are_named_as_recorded_and_never_told(desk: Desk) -> None:
    await desk.trainer(secrets=["HF_TOKEN=my_scope/hf_token"]).submit(desk.request())
    place = desk.databricks.world.disk.workspace("/Shared/tunegraph/bundles/job_1/secret_env_vars.json")
    calls = json.loads((RECORDED / "air_02_run.json").read_text(encoding="utf-8"))
    [theirs] = [call["body"] for call in calls if "secret_env_vars.json" in str(call.get("body"))]
    assert json.loads(place.read_text(encoding="utf-8")) == json.loads(form(theirs)["content"])


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("sdk_03_get_run", f"{RUNS}/get"),
        ("air_03_get_run", f"{RUNS}/get"),
        ("sdk_04_get_run_output", f"{RUNS}/get-output"),
        ("sdk_12_experiments", "/api/2.0/mlflow/metrics/get-history"),
        ("airsdk_04_logs", "/api/2.0/mlflow/runs/get"),
    ],
)
async def test_looking_asks_what_was_recorded(desk: Desk, name: str, path: str) -> None:
    trainer = desk.trainer()
    run = await trainer.submit(desk.request())
    desk.passes(0.6)
    await look(trainer, "job_1", run)
    call, expected = desk.asked("GET", path)[0], recorded(name, "GET", path)
    assert (keys(call.query), call.body) == (keys(expected["query"]), expected.get("body"))
    if name.startswith("sdk_"):
        assert same_headers(call, expected)


async def test_the_output_that_is_asked_for_is_the_tasks(desk: Desk) -> None:
    trainer = desk.trainer()
    run = await trainer.submit(desk.request())
    desk.passes(0.6)
    await look(trainer, "job_1", run)
    [call] = desk.asked("GET", f"{RUNS}/get-output")
    assert dict(call.query) == {"run_id": str(desk.runs()[0].task_run_id)}


async def test_listing_asks_what_was_recorded(desk: Desk) -> None:
    trainer = desk.trainer()
    run = await trainer.submit(desk.request())
    for number in range(30):
        desk.databricks.world.training_runs.submit({**desk.runs()[0].given, "idempotency_token": f"{number}"}, "me")
    await trainer.observe([RunHandle(f"job_{number}", TrainerJobId(run)) for number in range(30)])
    expected = json.loads((RECORDED / "sdk_06_list_runs.json").read_text(encoding="utf-8"))
    first, second = desk.asked("GET", f"{RUNS}/list")
    for call, theirs in ((first, expected[0]), (second, expected[1])):
        query, wanted = dict(call.query), dict(theirs["query"])
        assert query.keys() == wanted.keys() - {"start_time_from"}
        assert {key: query[key] for key in ("limit", "run_type", "expand_tasks")} == {
            key: wanted[key] for key in ("limit", "run_type", "expand_tasks")
        }
        assert same_headers(call, theirs)


@pytest.mark.parametrize("name", ["sdk_05_cancel_run", "air_06_cancel", "airsdk_03_cancel"])
async def test_cancel_is_the_recorded_request(desk: Desk, name: str) -> None:
    trainer = desk.trainer()
    await trainer.cancel(await trainer.submit(desk.request()))
    [call] = desk.asked("POST", f"{RUNS}/cancel")
    expected = recorded(name, "POST", f"{RUNS}/cancel")
    assert shape(call.body) == shape(expected["body"])
    assert same_headers(call, expected)


async def test_registered_asks_what_was_recorded(desk: Desk) -> None:
    trainer = desk.trainer()
    run = await trainer.submit(desk.request(register_as=REGISTERED))
    desk.passes(1.2)
    await trainer.registered(run, REGISTERED)
    for method, path in (("GET", r"/api/2\.1/.*/versions"), ("PUT", r"/api/2\.1/.*/aliases/.*")):
        expected = recorded("sdk_11_registered_model", method, path)
        [call] = [one for one in desk.databricks.requests if one.method == method and re.fullmatch(path, one.path)]
        assert call.path == expected["path"].replace("main.ft.m", REGISTERED)
        assert (shape(call.body), call.query) == (shape(expected.get("body")), expected.get("query", []))
        assert same_headers(call, expected)


async def test_the_log_in_mlflow_is_listed_as_recorded(desk: Desk) -> None:
    trainer = desk.trainer()
    run = await trainer.submit(desk.request())
    desk.passes(0.6)
    desk.databricks.faults.script("html", "/api/2.0/ai-training/*")
    desk.databricks.faults.script("html", "/api/2.0/mlflow/artifacts/list", after=True)
    with pytest.raises(Exception, match="HTTP 502"):
        await trainer.logs(run)
    call = desk.asked("GET", "/api/2.0/mlflow/artifacts/list")[0]
    expected = recorded("airsdk_04_logs", "GET", "/api/2.0/mlflow/artifacts/list")
    assert keys(call.query) == keys(expected["query"])
    assert dict(call.query)["path"] == dict(expected["query"])["path"]
