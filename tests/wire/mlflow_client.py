"""MLflow's own client, with Databricks as the place of its runs and Unity Catalog as that of its models."""

import tempfile
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from tests.wire.steering import USER, tell

NAME = "main.ft.logged"
EXPERIMENT = f"/Users/{USER}/logged"
POINTS = 500
DESCRIPTION = """flavors:
  python_function: {loader_module: mlflow.pyfunc.model, python_version: 3.11.7}
signature:
  inputs: '[{"type": "string", "name": "prompt", "required": true}]'
  outputs: '[{"type": "string", "required": true}]'
  params: null
"""


def _tracked(client: MlflowClient) -> tuple[str, dict[str, Any]]:
    experiment = client.create_experiment(EXPERIMENT)
    run = client.create_run(experiment, tags={"job": "1"}, run_name="n").info.run_id
    points = [Metric("loss", 1 / (step + 1), step, step) for step in range(POINTS)]
    client.log_batch(run, metrics=[*points, Metric("odd", float("nan"), 1, 1)], params=[Param("lr", "1")])
    client.log_batch(run, tags=[RunTag("a", "b")])
    try:
        client.log_param(run, "lr", "2")
        refused = ""
    except MlflowException as error:
        refused = str(error.error_code)
    client.set_terminated(run, "FINISHED")
    history = client.get_metric_history(run, "loss")
    named = client.get_experiment_by_name(EXPERIMENT)
    return run, {
        "by_name": named is not None and named.experiment_id == experiment,
        "points": [len(history), history[-1].step],
        "odd": str(client.get_metric_history(run, "odd")[0].value),
        "refused": refused,
        "found": len(client.search_runs([experiment], "tags.job = '1' and metrics.loss < 0.5")),
        "not_found": len(client.search_runs([experiment], "tags.job = '2'")),
        "status": client.get_run(run).info.status,
    }


def _artifacts(client: MlflowClient, run: str, folder: Path) -> dict[str, Any]:
    (folder / "note.txt").write_text("hi")
    client.log_artifact(run, str(folder / "note.txt"), "notes")
    listed = [inner.path for inner in client.list_artifacts(run, "notes")]
    return {"listed": listed, "read": Path(client.download_artifacts(run, "notes/note.txt")).read_text()}


def _registered(client: MlflowClient, run: str, folder: Path) -> dict[str, Any]:
    model = folder / "model"
    model.mkdir()
    (model / "MLmodel").write_text(f"{DESCRIPTION}run_id: {run}\n")
    (model / "weights.bin").write_bytes(b"\0\1\2")
    client.create_registered_model(NAME, tags={"t": "1"}, description="d")
    version = client.create_model_version(NAME, str(model), run)
    client.set_registered_model_alias(NAME, "champion", version.version)
    client.set_model_version_tag(NAME, version.version, "k", "v")
    client.update_model_version(NAME, version.version, "described")
    aliased = client.get_model_version_by_alias(NAME, "champion")
    return {
        "version": [version.version, version.status, version.run_id == run],
        "aliased": [aliased.version, aliased.description, aliased.tags],
        "found": [found.version for found in client.search_model_versions(f"name='{NAME}'")],
        "aliases": client.get_registered_model(NAME).aliases,
    }


def main() -> None:
    client = MlflowClient(tracking_uri="databricks", registry_uri="databricks-uc")
    run, tracked = _tracked(client)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        tell(
            {"tracked": tracked, "artifacts": _artifacts(client, run, place), "models": _registered(client, run, place)}
        )


if __name__ == "__main__":
    main()
