"""A run's model in MLflow, wherever that keeps it: logged, made a version of a registered model, and waited for."""

# ruff: noqa: PLC0415  (MLflow takes seconds to import: on first use, in a thread)

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from server.domain.errors import Unavailable
from server.registry.description import MODEL_DIGEST_TAG, folder_digest

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

MODEL: Final = "model"
READY: Final = "READY"
PENDING: Final = "PENDING_REGISTRATION"
FAILED: Final = "FAILED_REGISTRATION"

LOGGING_A_MODEL_SECONDS: Final = 120.0
POLL_SECONDS = 0.5

MISSING: Final = frozenset({"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"})
EXISTING: Final = frozenset({"RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"})


class Version(NamedTuple):
    """A version of a registered model, with its status in MLflow's words."""

    number: str
    status: str


def log(client: "MlflowClient", run_id: str, artifact: Path) -> None:
    """Copy a folder in MLflow's format to the run's artifacts, unless it is there with the same digest."""
    if not (artifact / "MLmodel").is_file():
        raise Unavailable(f"there is no model in MLflow's format at {artifact.name}")
    digest = folder_digest(artifact)
    if client.get_run(run_id).data.tags.get(MODEL_DIGEST_TAG) == digest:
        return  # written over, it could be read half-way
    client.log_artifacts(run_id, str(artifact), artifact_path=MODEL)
    client.set_tag(run_id, MODEL_DIGEST_TAG, digest)


def logged(client: "MlflowClient", run_id: str) -> "Run":
    """A run that has a model. Raises `Unavailable` for any other."""
    run = client.get_run(run_id)
    if MODEL_DIGEST_TAG not in run.data.tags:
        raise Unavailable(f"MLflow: the run {run_id} has no model to register")
    return run


def make_version(
    client: "MlflowClient",
    run: "Run",
    name: str,
    *,
    tags: Mapping[str, str] | None = None,
    description: str | None = None,
) -> Version:
    """Register the model of a run: a new version of `name`, which is made when there is no such model."""
    _make_registered_model(client, name)
    made = client.create_model_version(
        name,
        source=f"{run.info.artifact_uri}/{MODEL}",
        run_id=run.info.run_id,
        tags=None if tags is None else dict(tags),
        description=description,
        await_creation_for=0,
    )
    return Version(str(made.version), made.status)


async def until_ready(
    name: str, version: Version, refresh: Callable[[str], Awaitable[Version]], *, timeout_seconds: float
) -> None:
    """Poll a pending version until it is ready; `refresh` reads it anew by its number.

    Raises `Unavailable` when it failed, or is still pending after `timeout_seconds` seconds.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_seconds
    while version.status == PENDING:
        if loop.time() > deadline:
            raise Unavailable(f"MLflow: version {version.number} of {name} is still being registered")
        await asyncio.sleep(POLL_SECONDS)
        version = await refresh(version.number)
    if version.status != READY:
        raise Unavailable(f"MLflow: version {version.number} of {name} is {version.status}")


def _make_registered_model(client: "MlflowClient", name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.get_registered_model(name)  # first: who may add a version need not be allowed to make a model
    except MlflowException as error:
        if error.error_code not in MISSING:
            raise
    else:
        return
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code not in EXISTING:
            raise
