"""What a run consists of: the files of its program in the workspace, and the request that starts it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from server.trainers import bundle
from server.trainers.databricks.ai_runtime import configuration
from server.trainers.databricks.ai_runtime.configuration import Compute, Secret
from server.trainers.databricks.upload import Uploaded
from server.trainers.trainer import TrainerJobId, TrainingRequest

if TYPE_CHECKING:
    from server.databricks.client import WorkspaceClient

WORKSPACE: Final = "/Workspace"
COMMAND: Final = "command.sh"
REQUIREMENTS: Final = "requirements.txt"
PROGRAM: Final = ("*.py", COMMAND, "requirements.*")
ENVIRONMENT_VERSION: Final = "4"
ENVIRONMENT_KEY: Final = "default"
TASK_KEY: Final = "train"
LONGEST_NAME_CHARACTERS: Final = 250


@dataclass(frozen=True, slots=True)
class RunSpec:
    """What one job's run is to be. `folder` is the workspace's folder below which experiments and programs lie."""

    request: TrainingRequest
    compute: Compute
    folder: str
    secrets: Sequence[Secret] = ()

    @property
    def program_folder(self) -> str:
        """The folder of the program. Not one with the name of the experiment: nothing may have the path of another."""
        return f"{self.folder}/bundles/{self.request.job_id}"


def spec_for(request: TrainingRequest, folder: str, secrets: Sequence[Secret]) -> RunSpec:
    """The specification of a request's run. Raises `InvalidInput` for a configuration that can't be used."""
    return RunSpec(request, configuration.compute(request.config), absolute(folder), secrets)


def absolute(folder: str) -> str:
    """A folder of the workspace as an absolute path below /Workspace, which AI Runtime demands."""
    path = f"/{folder.strip('/')}"
    return path if path.startswith(f"{WORKSPACE}/") else f"{WORKSPACE}{path}"


def run_name(job_id: str) -> str:
    """What a job's run is called, and found by."""
    return f"tunegraph-{job_id}"


def files(spec: RunSpec, data: Uploaded) -> dict[str, bytes]:
    """The files to lie beside each other, by name: the program, and what AI Runtime looks for beside its command."""
    folder = Path(bundle.__file__).parent
    program = {path.name: path.read_bytes() for kind in PROGRAM for path in sorted(folder.glob(kind))}
    dependencies = requirements(program[REQUIREMENTS].decode())
    parameters = hyperparameters(spec.request, data)
    written: dict[str, object] = {
        "requirements.yaml": {"version": ENVIRONMENT_VERSION, "dependencies": dependencies},
        "hyperparameters.yaml": parameters,
        "training_config.yaml": {
            "experiment_name": spec.request.job_id,
            "mlflow_run_name": spec.request.model_name[:LONGEST_NAME_CHARACTERS],
            "mlflow_experiment_directory": spec.folder,
            "environment": {"version": ENVIRONMENT_VERSION, "dependencies": dependencies},
            "compute": {"num_accelerators": spec.compute.count, "accelerator_type": spec.compute.type},
            "command": program[COMMAND].decode(),
            "parameters": parameters,
            "max_retries": 0,
            "timeout_minutes": spec.compute.timeout_seconds // 60,
            "idempotency_token": spec.request.job_id,
        },
    }
    if spec.secrets:
        written["secret_env_vars.json"] = [
            {"name": one.name, "secret_scope": one.scope, "secret_key": one.key} for one in spec.secrets
        ]
    return {**program, **{name: _yaml(content) for name, content in written.items()}}


def hyperparameters(request: TrainingRequest, data: Uploaded) -> dict[str, Any]:
    """The file that the program reads what to train from; see `server.trainers.bundle.hyperparameters`."""
    values = {
        "job_id": request.job_id,
        "model_name": request.model_name,
        "base_model": request.base_model,
        "train_file": data.train,
        "validation_file": data.validation,
        "dataset_digest": request.dataset_digest,
        "seed": request.seed,
        "config": dict(request.config),
        "register_as": request.register_as,
    }
    return {key: value for key, value in values.items() if value is not None}


def requirements(text: str) -> list[str]:
    """The pinned packages of a requirements file."""
    lines = (line.split("#")[0].strip() for line in text.splitlines())
    return [line for line in lines if line]


def put(client: "WorkspaceClient", folder: str, content: Mapping[str, bytes]) -> None:
    """Write files into a folder of the workspace, which is made with those above it. Raises `ApiError`."""
    from databricks.sdk.service.workspace import ImportFormat  # noqa: PLC0415  (takes seconds to import; it is by now)

    client.workspace.mkdirs(folder)
    for name, text in content.items():
        client.workspace.upload(f"{folder}/{name}", text, format=ImportFormat.AUTO, overwrite=True)


def submit(client: "WorkspaceClient", spec: RunSpec) -> TrainerJobId:
    """Start the run and return its id. Repeated, it returns the same run: the idempotency token is the job's id.

    Raises `ApiError`.
    """
    from databricks.sdk.service import compute, jobs  # noqa: PLC0415  (the same)

    request = spec.request
    text = (Path(bundle.__file__).parent / REQUIREMENTS).read_text(encoding="utf-8")
    hardware = jobs.ComputeSpec(jobs.ComputeSpecAcceleratorType(spec.compute.type), spec.compute.count)
    task = jobs.AiRuntimeTask(
        experiment=request.job_id,
        deployments=[jobs.DeploymentSpec(compute=hardware, command_path=f"{spec.program_folder}/{COMMAND}")],
        mlflow_experiment_directory=spec.folder,
        mlflow_run=request.model_name[:LONGEST_NAME_CHARACTERS],
    )
    submitted: jobs.SubmitRunResponse = client.jobs.submit(
        run_name=run_name(request.job_id),
        idempotency_token=request.job_id,
        timeout_seconds=spec.compute.timeout_seconds,
        tasks=[
            jobs.SubmitTask(
                task_key=TASK_KEY,
                run_if=jobs.RunIf.ALL_SUCCESS,
                timeout_seconds=0,
                max_retries=0,  # said, or the service has its own number
                retry_on_timeout=False,
                environment_key=ENVIRONMENT_KEY,
                ai_runtime_task=task,
            )
        ],
        environments=[
            jobs.JobEnvironment(
                environment_key=ENVIRONMENT_KEY,
                spec=compute.Environment(environment_version=ENVIRONMENT_VERSION, dependencies=requirements(text)),
            )
        ],
    ).response
    return TrainerJobId(str(submitted.run_id))


def _yaml(content: object) -> bytes:
    """JSON is YAML."""
    return f"{json.dumps(content, indent=2, ensure_ascii=False)}\n".encode()
