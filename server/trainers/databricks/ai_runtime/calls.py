"""Requests whose responses are read as JSON: the SDK's own classes drop statuses that they do not know."""

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from server.databricks.errors import ApiError
from server.databricks.workspace import Workspace
from server.trainers.databricks.ai_runtime import states
from server.trainers.databricks.ai_runtime.states import Json

if TYPE_CHECKING:
    from server.databricks.client import WorkspaceClient

RUNS: Final = "/api/2.2/jobs/runs"
MLFLOW: Final = "/api/2.0/mlflow"
RUNS_PER_PAGE: Final = 24  # "must be greater than 0 and less than 25"
POINTS_PER_PAGE: Final = 25_000
REQUEST_SECONDS: Final = 20.0  # for one of these requests, with its repetitions


async def get(workspace: Workspace, path: str, query: Mapping[str, Any]) -> dict[str, Any]:
    """One request, with the headers that the SDK's own methods send. Raises `ApiError` and `Unavailable`."""

    def send(client: "WorkspaceClient") -> dict[str, Any]:
        headers = {"Accept": "application/json"}
        if client.config.workspace_id:
            headers["X-Databricks-Workspace-Id"] = client.config.workspace_id
        body = client.api_client.do("GET", path, query=dict(query), headers=headers)
        if not isinstance(body, dict):
            raise TypeError(f"the response of {path} is no object")
        return body

    return await workspace.call(send, within=REQUEST_SECONDS)


async def run(workspace: Workspace, run_id: str) -> Json:
    """A run with its task, as runs/get returns it. Raises `ApiError` and `Unavailable`."""
    return await get(workspace, f"{RUNS}/get", {"run_id": run_id})


async def output(workspace: Workspace, run: Json) -> Json:
    """The output of the run's task; empty as long as there is none. Raises `Unavailable`."""
    task_run = states.task(run).get("run_id")
    if not task_run:
        return {}
    try:
        return await get(workspace, f"{RUNS}/get-output", {"run_id": task_run})
    except ApiError:  # a task that has not begun has none
        return {}


def mlflow_run_id(output: Json) -> str | None:
    """The id of the MLflow run that a task logs to; None while there is none."""
    run_id = (output.get("ai_runtime_task_output") or {}).get("mlflow_run_id")
    return str(run_id) if run_id else None


async def pages(workspace: Workspace, **query: object) -> AsyncIterator[list[Json]]:
    """Submitted runs, the newest first, a page at a time. Raises `ApiError` and `Unavailable`."""
    query |= {"expand_tasks": True, "limit": RUNS_PER_PAGE, "run_type": "SUBMIT_RUN"}
    while True:
        body = await get(workspace, f"{RUNS}/list", query)
        yield list(body.get("runs") or ())
        token = body.get("next_page_token")
        if not token or token == query.get("page_token"):
            return
        query["page_token"] = token


async def tracked(workspace: Workspace, run_id: str) -> Json:
    """An MLflow run; empty when the response has none. Raises `ApiError` and `Unavailable`."""
    run = (await get(workspace, f"{MLFLOW}/runs/get", {"run_id": run_id})).get("run")
    return run if isinstance(run, dict) else {}


async def history(workspace: Workspace, run_id: str, key: str) -> list[Json]:
    """All values of a metric, in MLflow's order. Raises `ApiError` and `Unavailable`."""
    values: list[Json] = []
    query: dict[str, object] = {"max_results": POINTS_PER_PAGE, "metric_key": key, "run_id": run_id}
    while True:
        body = await get(workspace, f"{MLFLOW}/metrics/get-history", query)
        values += body.get("metrics") or ()
        token = body.get("next_page_token")
        if not token or token == query.get("page_token"):
            return values
        query["page_token"] = token
