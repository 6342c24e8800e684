"""Requests whose answers are read as JSON: the SDK's own classes drop statuses that they do not know."""

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
RUNS_OF_A_PAGE: Final = 24  # "must be greater than 0 and less than 25"
POINTS_OF_A_PAGE: Final = 25_000
WITHIN: Final = 20.0  # seconds for one of these requests, with its repetitions


async def get(workspace: Workspace, path: str, query: Mapping[str, Any]) -> dict[str, Any]:
    """One request, with the headers that the SDK's own methods send. Raises `ApiError` and `Unavailable`."""

    def ask(client: "WorkspaceClient") -> dict[str, Any]:
        headers = {"Accept": "application/json"}
        if client.config.workspace_id:
            headers["X-Databricks-Workspace-Id"] = client.config.workspace_id
        answer = client.api_client.do("GET", path, query=dict(query), headers=headers)
        if not isinstance(answer, dict):
            raise TypeError(f"{path} answered no object")
        return answer

    return await workspace.call(ask, within=WITHIN)


async def run(workspace: Workspace, run_id: str) -> Json:
    """One run, with its task."""
    return await get(workspace, f"{RUNS}/get", {"run_id": run_id})


async def output(workspace: Workspace, run: Json) -> Json:
    """What the run's task gave out; empty as long as there is nothing."""
    task_run = states.task(run).get("run_id")
    if not task_run:
        return {}
    try:
        return await get(workspace, f"{RUNS}/get-output", {"run_id": task_run})
    except ApiError:  # a task that has not begun has none
        return {}


def mlflow_run_id(output: Json) -> str | None:
    """The MLflow run that a task logs to, once there is one."""
    found = (output.get("ai_runtime_task_output") or {}).get("mlflow_run_id")
    return str(found) if found else None


async def pages(workspace: Workspace, **query: object) -> AsyncIterator[list[Json]]:
    """Submitted runs, the newest first, a page at a time."""
    query |= {"expand_tasks": True, "limit": RUNS_OF_A_PAGE, "run_type": "SUBMIT_RUN"}
    while True:
        answer = await get(workspace, f"{RUNS}/list", query)
        yield list(answer.get("runs") or ())
        token = answer.get("next_page_token")
        if not token or token == query.get("page_token"):
            return
        query["page_token"] = token


async def tracked(workspace: Workspace, run_id: str) -> Json:
    """An MLflow run."""
    found = (await get(workspace, f"{MLFLOW}/runs/get", {"run_id": run_id})).get("run")
    return found if isinstance(found, dict) else {}


async def history(workspace: Workspace, run_id: str, key: str) -> list[Json]:
    """All values of a metric."""
    values: list[Json] = []
    query: dict[str, object] = {"max_results": POINTS_OF_A_PAGE, "metric_key": key, "run_id": run_id}
    while True:
        answer = await get(workspace, f"{MLFLOW}/metrics/get-history", query)
        values += answer.get("metrics") or ()
        token = answer.get("next_page_token")
        if not token or token == query.get("page_token"):
            return values
        query["page_token"] = token
