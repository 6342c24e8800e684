"""Versions of models in Unity Catalog, through MLflow's client: Databricks' SDK can't make any."""

# ruff: noqa: PLC0415  (MLflow takes seconds to import: on first use, in a thread)

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from server.registry import models
from server.registry.models import Version

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

TRACKING_URI: Final = "databricks"
REGISTRY_URI: Final = "databricks-uc"
MILLISECONDS_PER_SECOND: Final = 1_000


def find_or_make(
    client: "MlflowClient", run_id: str, name: str, job_id: str, abandoned_after_seconds: float
) -> Version:
    """The version of the model `name` made from this run, which is made when there is none that is or may get ready.

    A version stays pending for ever when its maker was cut off before the files were there. MLflow has no public way to
    complete it, so one that is older than `abandoned_after_seconds` is deleted and made anew.

    A version that is made has no tags, which need a privilege of their own, and can't have names such as those of the
    run's. Raises `Unavailable` when the run has no model, and what MLflow raises.
    """
    version = _version_of(client, run_id, name)
    if version is not None:
        if version.status == models.PENDING:
            version = client.get_model_version(name, version.version)  # lists lag behind
        if not _is_abandoned(version, abandoned_after_seconds):
            return Version(str(version.version), version.status)
        client.delete_model_version(name, version.version)
    run = models.logged(client, run_id)
    try:
        return models.make_version(client, run, name, description=f"Trained by Tunegraph, job {job_id}")
    except Exception:
        with suppress(Exception):  # then it is deleted when it is old enough
            _delete_pending(client, run_id, name)
        raise


def open_client() -> "MlflowClient":
    """MLflow's client for the workspace that Databricks' SDK finds in its environment."""
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=TRACKING_URI, registry_uri=REGISTRY_URI)


def _version_of(client: "MlflowClient", run_id: str, name: str) -> "ModelVersion | None":
    """The first that can be loaded, or else the first that may yet be."""
    usable = [version for version in _versions_of(client, run_id, name) if version.status != models.FAILED]
    return min(usable, key=lambda version: (version.status != models.READY, int(version.version)), default=None)


def _delete_pending(client: "MlflowClient", run_id: str, name: str) -> None:
    for version in _versions_of(client, run_id, name):
        if version.status == models.PENDING:
            client.delete_model_version(name, version.version)


def _is_abandoned(version: "ModelVersion", after_seconds: float) -> bool:
    made = version.creation_timestamp or 0  # when Databricks does not say
    return (
        version.status == models.PENDING and made > 0 and time.time() - made / MILLISECONDS_PER_SECOND > after_seconds
    )


def _versions_of(client: "MlflowClient", run_id: str, name: str) -> "list[ModelVersion]":
    from mlflow.exceptions import MlflowException

    versions: list[ModelVersion] = []
    token: str | None = None
    try:
        while token != "":
            page = client.search_model_versions(f"name='{name}'", page_token=token)
            versions += page
            token = page.token or ""
    except MlflowException as error:
        if error.error_code not in models.MISSING:
            raise
    return [version for version in versions if version.run_id == run_id]
