"""Versions of models in Unity Catalog, through MLflow's client: Databricks' SDK can't make any."""

# ruff: noqa: PLC0415  (MLflow takes seconds to import: on first use, in a thread)

import tempfile
from types import SimpleNamespace
from typing import TYPE_CHECKING, Final, NamedTuple

from server.registry import models
from server.registry.models import Version

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

TRACKING_URI: Final = "databricks"
REGISTRY_URI: Final = "databricks-uc"


class Found(NamedTuple):
    """A version of a run's model; one that was `left` has been made earlier, and its files may not be there."""

    version: Version
    left: bool


def find_or_make(client: "MlflowClient", run_id: str, name: str, job_id: str) -> Found:
    """The version made from this run, which is made when there is none.

    It has no tags, which need a privilege of their own, and can't have names such as those of the run's.
    """
    found = _version_of(client, run_id, name)
    if found is not None:
        return Found(found, left=True)
    run = models.logged(client, run_id)
    return Found(models.make_version(client, run, name, told=f"Trained by Tunegraph, job {job_id}"), left=False)


def complete(client: "MlflowClient", run_id: str, name: str, number: str, storage_location: str) -> None:
    """Bring the files to a version that has waited for them since whoever made it was cut off; then it is final.

    MLflow does this with every version that it makes, and has no other way in.
    """
    from mlflow.artifacts import download_artifacts

    store = client._get_registry_client().store  # type: ignore[no-untyped-call]  # noqa: SLF001  (as said)
    version = SimpleNamespace(name=name, version=number, storage_location=storage_location)
    source = f"{models.logged(client, run_id).info.artifact_uri}/{models.MODEL}"
    with tempfile.TemporaryDirectory() as folder:
        files = download_artifacts(artifact_uri=source, tracking_uri=TRACKING_URI, dst_path=folder)
        store._get_artifact_repo(version, name).log_artifacts(files, "")  # noqa: SLF001  (as said)
    store._finalize_model_version(name=name, version=number)  # noqa: SLF001  (as said)


def open_client() -> "MlflowClient":
    """MLflow's client for the workspace that Databricks' SDK finds in its environment."""
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=TRACKING_URI, registry_uri=REGISTRY_URI)


def _version_of(client: "MlflowClient", run_id: str, name: str) -> Version | None:
    """The first that can be loaded, or else the first that may yet be."""
    made = [
        Version(str(version.version), version.status)
        for version in _versions(client, name)
        if version.run_id == run_id and version.status != models.FAILED
    ]
    return min(made, key=lambda version: (version.status != models.READY, int(version.number)), default=None)


def _versions(client: "MlflowClient", name: str) -> "list[ModelVersion]":
    from mlflow.exceptions import MlflowException

    found: list[ModelVersion] = []
    token: str | None = None
    try:
        while token != "":
            page = client.search_model_versions(f"name='{name}'", page_token=token)
            found += page
            token = page.token or ""
    except MlflowException as error:
        if error.error_code not in models.MISSING:
            raise
    return found
