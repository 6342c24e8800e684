"""What a run left in MLflow beside its metrics, through the Files API."""

import posixpath
from typing import TYPE_CHECKING

from server.databricks.workspace import Workspace
from server.trainers.databricks.ai_runtime import calls
from server.trainers.databricks.ai_runtime.states import Json

if TYPE_CHECKING:
    from server.databricks.client import WorkspaceClient


def root(run: Json) -> str:
    """The Files API's path of an MLflow run's artifacts: in a volume, or where Databricks keeps them itself."""
    info = run.get("info") or {}
    uri = str(info.get("artifact_uri") or "")
    path = posixpath.normpath(uri.removeprefix("dbfs:"))
    if uri.startswith("dbfs:/") and path.startswith("/Volumes/"):
        return path
    return f"/WorkspaceInternal/Mlflow/Artifacts/{info.get('experiment_id')}/Runs/{info.get('run_id')}/artifacts"


async def listed(workspace: Workspace, tracked: str, path: str) -> list[str]:
    """The files and folders in a folder of a run's artifacts, by their paths from the root.

    Raises `ApiError` and `Unavailable`.
    """
    listing = await calls.get(workspace, f"{calls.MLFLOW}/artifacts/list", {"run_id": tracked, "path": path})
    return [str(one["path"]) for one in listing.get("files") or () if one.get("path")]


async def read(workspace: Workspace, path: str) -> str:
    """A small text file. Raises `ApiError` when there is none, and `Unavailable`."""

    def content(client: "WorkspaceClient") -> str:
        contents = client.files.download(path).contents
        if contents is None:
            return ""
        with contents:
            return contents.read().decode(errors="replace")

    return await workspace.call(content, within=calls.REQUEST_SECONDS)
