"""databricks-sdk: files, the workspace, jobs, experiments and models."""

import io
from typing import Any

from databricks.sdk import WorkspaceClient
from databricks.sdk.errors.base import DatabricksError
from databricks.sdk.service import jobs
from databricks.sdk.service.workspace import ImportFormat

from tests.wire.steering import TRAIN, USER, VALIDATION, advance, conversations, tell

FOLDER = f"/Workspace/Users/{USER}/.ft"
MODEL = "main.ft.wire"
HYPERPARAMETERS = f"train_file: {TRAIN}\nconfig: {{epochs: 2}}\nregister_as: {MODEL}\n".encode()


def _files(client: WorkspaceClient) -> dict[str, Any]:
    content = conversations()
    for path in (TRAIN, VALIDATION):
        client.files.upload(path, io.BytesIO(content), overwrite=True)
    client.files.create_directory("/Volumes/main/ft/data/folder")
    downloaded = client.files.download(TRAIN).contents
    return {
        "same": downloaded is not None and downloaded.read() == content,
        "size": client.files.get_metadata(TRAIN).content_length == len(content),
        "listed": [entry.path for entry in client.files.list_directory_contents("/Volumes/main/ft/data")],
    }


def _bundle(client: WorkspaceClient) -> str:
    client.workspace.mkdirs(FOLDER)
    for name, content in (("command.sh", b"python train.py\n"), ("hyperparameters.yaml", HYPERPARAMETERS)):
        client.workspace.upload(f"{FOLDER}/{name}", io.BytesIO(content), format=ImportFormat.AUTO, overwrite=True)
    return client.workspace.download(f"{FOLDER}/command.sh").read().decode()


def _submitted(client: WorkspaceClient, token: str) -> int:
    compute = jobs.ComputeSpec(jobs.ComputeSpecAcceleratorType.GPU_1X_H100, 1)
    deployment = jobs.DeploymentSpec(command_path=f"{FOLDER}/command.sh", compute=compute)
    task = jobs.AiRuntimeTask(
        experiment="wire",
        deployments=[deployment],
        mlflow_run="r",
        mlflow_experiment_directory=f"/Workspace/Users/{USER}",
    )
    waiter = client.jobs.submit(
        run_name="wire",
        idempotency_token=token,
        tasks=[jobs.SubmitTask(task_key="wire", environment_key="default", max_retries=0, ai_runtime_task=task)],
        environments=[jobs.JobEnvironment(environment_key="default")],
    )
    return int(waiter.bind()["run_id"])


def _states(client: WorkspaceClient, run_id: int) -> list[str]:
    """The run's life-cycle state, its task's, and its result."""
    run = client.jobs.get_run(run_id).as_dict()
    states = (run["state"], run["tasks"][0]["state"])
    return [state["life_cycle_state"] for state in states] + [run["state"].get("result_state", "")]


def _trained(client: WorkspaceClient) -> dict[str, Any]:
    run_id = _submitted(client, "token")
    states = []
    for seconds in (0, 4, 4, 10, 60):
        advance(seconds)
        states.append(_states(client, run_id))
    run = client.jobs.get_run(run_id)
    task_run = (run.tasks or [])[0].run_id or 0
    output = client.jobs.get_run_output(task_run).ai_runtime_task_output
    tracked = (output.mlflow_run_id if output else None) or ""
    history = list(client.experiments.get_history("loss", run_id=tracked, max_results=3))
    info = client.experiments.get_run(tracked).run
    return {
        "same_run": _submitted(client, "token") == run_id,
        "states": states,
        "ended": run.as_dict()["status"]["termination_details"],
        "steps": [point.step for point in history],
        "run": info.as_dict()["info"]["status"] if info else None,
        "experiment": client.experiments.get_by_name(f"/Users/{USER}/wire").as_dict()["experiment"]["name"],
        "tracked": tracked,
    }


def _registered(client: WorkspaceClient) -> dict[str, Any]:
    version = next(iter(client.model_versions.list(MODEL)))
    client.registered_models.set_alias(MODEL, "champion", version.version or 0)
    aliased = client.model_versions.get_by_alias(MODEL, "champion")
    client.registered_models.create(catalog_name="main", schema_name="ft", name="other", comment="c")
    names = [model.full_name for model in client.registered_models.list(catalog_name="main", schema_name="ft")]
    client.registered_models.delete("main.ft.other")
    return {"version": version.version, "run": version.run_id, "aliased": aliased.version, "names": names}


def _cancelled(client: WorkspaceClient) -> list[list[str]]:
    run_id = _submitted(client, "another")
    client.jobs.cancel_run(run_id)
    states = [_states(client, run_id)]
    advance(10)
    return [*states, _states(client, run_id)]


def _refused(client: WorkspaceClient) -> list[str]:
    told = []
    for ask in (
        lambda: client.files.download("/Volumes/main/ft/nowhere/x"),
        lambda: client.jobs.get_run(5),
        lambda: client.experiments.get_by_name("/Users/nobody/none"),
        lambda: client.registered_models.get("main.ft.none"),
    ):
        try:
            ask()
        except DatabricksError as error:
            told.append(type(error).__name__)
    return told


def main() -> None:
    client = WorkspaceClient()
    seen: dict[str, Any] = {
        "user": client.current_user.me().user_name,
        "files": _files(client),
        "command": _bundle(client),
    }
    seen |= {"trained": _trained(client), "registered": _registered(client), "cancelled": _cancelled(client)}
    runs = list(client.jobs.list_runs(expand_tasks=True, limit=1))
    tell(seen | {"runs": len(runs), "refused": _refused(client)})


if __name__ == "__main__":
    main()
