"""Experiments, runs and their histories, as MLflow on Databricks answers."""

from typing import Any

import pytest

from tests.emulator.clients import Client

BASE = "/api/2.0/mlflow"


async def _experiment(client: Client, name: str = "/Users/me@example.com/e") -> str:
    return str((await client.post(f"{BASE}/experiments/create", name=name)).json()["experiment_id"])


async def _run(client: Client, experiment: str, **given: Any) -> str:  # noqa: ANN401
    created = await client.post(f"{BASE}/runs/create", experiment_id=experiment, **given)
    return str(created.json()["run"]["info"]["run_id"])


def _metrics(count: int) -> list[dict[str, Any]]:
    return [{"key": "loss", "value": 1 / (step + 1), "timestamp": step, "step": step} for step in range(count)]


async def test_an_experiment_is_made_once_and_found_by_its_name(client: Client) -> None:
    experiment = await _experiment(client, "/Workspace/Users/me@example.com/e")
    found = await client.get(f"{BASE}/experiments/get-by-name", experiment_name="/Users/me@example.com/e")
    again = await client.post(f"{BASE}/experiments/create", name="/Users/me@example.com/e")

    assert found.json()["experiment"]["experiment_id"] == experiment
    assert (again.status_code, again.json()["error_code"]) == (400, "RESOURCE_ALREADY_EXISTS")
    missing = await client.get(f"{BASE}/experiments/get-by-name", experiment_name="/Users/none")
    assert (missing.status_code, missing.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")


async def test_an_experiment_has_an_absolute_name(client: Client) -> None:
    answer = await client.post(f"{BASE}/experiments/create", name="relative")

    assert answer.json()["error_code"] == "INVALID_PARAMETER_VALUE"
    assert client.world.tracking.experiments == {}


async def test_a_history_comes_in_pages(client: Client) -> None:
    run = await _run(client, await _experiment(client))
    await client.post(f"{BASE}/runs/log-batch", run_id=run, metrics=_metrics(5))
    asked: dict[str, str | int] = {"run_id": run, "metric_key": "loss", "max_results": 3}
    first = (await client.get(f"{BASE}/metrics/get-history", **asked)).json()
    second = (await client.get(f"{BASE}/metrics/get-history", **asked, page_token=first["next_page_token"])).json()

    assert [point["step"] for point in first["metrics"]] == [0, 1, 2]
    assert [point["step"] for point in second["metrics"]] == [3, 4]
    assert "next_page_token" not in second
    assert (await client.get(f"{BASE}/metrics/get-history", run_id=run, metric_key="none")).json() == {"metrics": []}


async def test_the_latest_of_a_metric_is_that_of_the_greatest_step(client: Client) -> None:
    run = await _run(client, await _experiment(client))
    for step, value in ((2, 0.2), (1, 0.1), (2, "NaN")):
        await client.post(f"{BASE}/runs/log-metric", run_id=run, key="loss", value=value, timestamp=step, step=step)
    await client.post(f"{BASE}/runs/log-metric", run_id=run, key="odd", value="-Infinity", timestamp=1)
    data = (await client.get(f"{BASE}/runs/get", run_id=run)).json()["run"]["data"]

    latest = {metric["key"]: metric["value"] for metric in data["metrics"]}
    assert latest == {"loss": 0.2, "odd": "-Infinity"}


@pytest.mark.parametrize(("what", "count"), [("metrics", 1001), ("params", 101), ("tags", 101)])
async def test_a_batch_that_is_too_large_is_refused_whole(client: Client, what: str, count: int) -> None:
    run = await _run(client, await _experiment(client))
    items = [{"key": str(number), "value": "1", "timestamp": 1} for number in range(count)]
    answer = await client.post(f"{BASE}/runs/log-batch", run_id=run, **{what: items})

    assert answer.status_code == 400
    assert f"at most {count - 1} {what}" in answer.json()["message"]
    stored = client.world.tracking.run(run)
    assert (stored.metrics, stored.params, list(stored.tags)) == ({}, {}, ["mlflow.runName"])


async def test_a_parameter_never_changes(client: Client) -> None:
    run = await _run(client, await _experiment(client))
    statuses = []
    for value in ("1", "1", "2"):
        answer = await client.post(f"{BASE}/runs/log-parameter", run_id=run, key="lr", value=value)
        statuses.append(answer.status_code)

    assert statuses == [200, 200, 400]
    assert client.world.tracking.run(run).params == {"lr": "1"}


async def test_runs_are_searched_by_what_they_carry_newest_first(client: Client) -> None:
    experiment = await _experiment(client)
    tags = [{"key": "job", "value": "a"}]
    old = await _run(client, experiment, start_time=1, tags=tags)
    new = await _run(client, experiment, start_time=2, tags=tags)
    other = await _run(client, await _experiment(client, "/Users/o"), tags=tags)
    await client.post(f"{BASE}/runs/log-metric", run_id=old, key="loss", value=0.5, timestamp=1)
    await client.post(f"{BASE}/runs/update", run_id=new, status="FINISHED", end_time=3)

    async def found(query: str, **more: Any) -> list[str]:  # noqa: ANN401
        answer = await client.post(f"{BASE}/runs/search", experiment_ids=[experiment], filter=query, **more)
        assert answer.is_success, answer.text
        return [run["info"]["run_id"] for run in answer.json()["runs"]]

    assert await found("") == [new, old]
    assert await found("tags.`job` = 'a' AND attributes.status = 'RUNNING'") == [old]
    assert await found("metrics.loss <= 0.5") == [old]
    assert await found("tags.job LIKE '%b%'") == []
    assert await found(f"run_id IN ('{new}', 'x')") == [new]
    assert await found("", order_by=["attributes.start_time ASC"]) == [old, new]
    assert await found("", max_results=1) == [new]
    assert other not in await found("tags.job = 'a'")


@pytest.mark.parametrize("query", ["tags.job ~ 'a'", "tags.a = '1' OR tags.b = '2'", "dreams.a = '1'"])
async def test_a_search_that_is_not_understood_is_refused(client: Client, query: str) -> None:
    experiment = await _experiment(client)
    await _run(client, experiment)
    answer = await client.post(f"{BASE}/runs/search", experiment_ids=[experiment], filter=query)

    assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")


async def test_artifacts_are_listed_where_the_files_api_has_them(client: Client) -> None:
    experiment = await _experiment(client)
    run = await _run(client, experiment)
    root = f"/WorkspaceInternal/Mlflow/Artifacts/{experiment}/Runs/{run}/artifacts"
    await client.upload(f"{root}/logs/one.txt", b"12")
    listed = (await client.get(f"{BASE}/artifacts/list", run_id=run, path="logs")).json()

    assert listed["root_uri"] == f"dbfs:/databricks/mlflow-tracking/{experiment}/{run}/artifacts"
    assert listed["files"] == [{"path": "logs/one.txt", "is_dir": False, "file_size": 2}]
    assert (await client.get(f"{BASE}/artifacts/list", run_id=run, path="none")).json()["files"] == []
