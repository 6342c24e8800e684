"""Versions in Unity Catalog that a training on Databricks has registered: found by MLflow run, and given an alias."""

import asyncio
import time
from typing import TYPE_CHECKING, Final

from server.databricks.errors import ApiError
from server.databricks.workspace import Workspace
from server.domain.errors import Refused, Unavailable

if TYPE_CHECKING:
    from databricks.sdk.service.catalog import ModelVersionInfo

    from server.databricks.client import WorkspaceClient

READY: Final = "READY"
FAILED: Final = "FAILED_REGISTRATION"
NOT_FOUND: Final = 404
POLL_SECONDS: Final = 1.0


class NotRegistered(Refused):
    """There will never be a version that can be loaded."""

    code = "REGISTRATION_FAILED"


async def registered(workspace: Workspace, model: str, run_id: str, alias: str | None, *, patience: float = 0.0) -> str:
    """The version of `model` (catalog.schema.name) that came of an MLflow run, once it is ready and has the alias.

    Raises `Unavailable` when there is none that is ready after `patience` seconds, and `Refused` when there won't be,
    or when the alias can't be set.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            return await _usable_version(workspace, model, run_id, alias)
        except Unavailable:
            if time.monotonic() + POLL_SECONDS > deadline:
                raise
        await asyncio.sleep(POLL_SECONDS)


async def _usable_version(workspace: Workspace, model: str, run_id: str, alias: str | None) -> str:
    try:
        return await workspace.call(lambda client: _registered(client, model, run_id, alias))
    except ApiError as error:
        if error.status == NOT_FOUND:
            raise Unavailable(f"there is no model {model} yet") from error
        raise NotRegistered(f"the versions of {model} can't be read or given an alias: {error}") from error


def _registered(client: "WorkspaceClient", model: str, run_id: str, alias: str | None) -> str:
    ours = [version for version in client.model_versions.list(model) if _is_of(version, run_id)]
    if not ours:
        raise Unavailable(f"no version of {model} has come of the MLflow run {run_id} yet")
    ready = [version for version in ours if _status(version) == READY and version.version is not None]
    if not ready:
        number, status = ours[-1].version, _status(ours[-1])
        if all(_status(version) == FAILED for version in ours):
            raise NotRegistered(f"registering version {number} of {model} failed")
        raise Unavailable(f"version {number} of {model} is {status or 'in a state that is not known'}")
    version = min(number for one in ready if (number := one.version) is not None)
    if alias:
        client.registered_models.set_alias(model, alias, version)
    return str(version)


def _is_of(version: "ModelVersionInfo", run_id: str) -> bool:
    """By the run that Unity Catalog names, or where it names none by the place that the files came from."""
    if version.run_id:
        return version.run_id == run_id
    return run_id in (version.source or "").split("/")


def _status(version: "ModelVersionInfo") -> str:
    return version.status.value if version.status is not None else ""
