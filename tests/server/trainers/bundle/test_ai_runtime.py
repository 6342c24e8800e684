"""The bundle as AI Runtime runs it: uploaded, started by its script, with a run of MLflow in the environment."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from server.registry.local_store import create_missing, default_artifact_root, default_tracking_uri
from server.trainers.bundle import tracking
from tests.server.trainers import llm
from tests.waiting import until

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

pytestmark = [pytest.mark.llm, llm.NEEDS_LIBRARIES]

BUNDLE = Path(tracking.__file__).parent
BRIEF = {"epochs": 2, "learning_rate": 0.01, "batch_size": 8, "max_seq_length": 128, "lora_rank": 8, "colour": "blue"}
ANSWERED = """
import sys, warnings
warnings.simplefilter("ignore")
import mlflow.pyfunc, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
asked = pandas.DataFrame({"question": ["How do I pay?", ""]})
told = model.predict(asked, params={"system_prompt": "You are the invoice desk.", "max_new_tokens": 5})
print(list(told.columns), len(told))
"""


@dataclass
class Workspace:
    """A folder with the uploaded files, and MLflow."""

    folder: Path
    tracking_uri: str
    client: "MlflowClient"
    run_id: str

    def upload(self, base_model: Path, config: Mapping[str, Any], **more: object) -> None:
        train, validation = llm.export(self.folder)
        asked = {
            "job_id": "job_1",
            "base_model": str(base_model),
            "train_file": str(train),
            "validation_file": str(validation),
            "seed": 7,
            "config": config,
        }
        (self.folder / "hyperparameters.yaml").write_text(json.dumps(asked | more))

    def start(self) -> subprocess.Popen[str]:
        surroundings = {
            "CODE_SOURCE_PATH": str(self.folder),
            "HYPERPARAMETERS_PATH": str(self.folder / "hyperparameters.yaml"),
            "MLFLOW_RUN_ID": self.run_id,
            "MLFLOW_TRACKING_URI": self.tracking_uri,
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": "29500",
            "NUM_NODES": "1",
            "NODE_RANK": "0",
            "WORLD_SIZE": "1",
            "LOCAL_WORLD_SIZE": "1",
            # this machine's own
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
        }
        command = ["/bin/bash", str(self.folder / "command.sh")]
        return subprocess.Popen(
            command, env=surroundings, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def values(self, key: str) -> list[tuple[int, float]]:
        return [(metric.step, metric.value) for metric in self.client.get_metric_history(self.run_id, key)]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    from mlflow.tracking import MlflowClient  # noqa: PLC0415  (takes seconds)

    uri = default_tracking_uri(tmp_path)
    create_missing(uri, default_artifact_root(tmp_path))
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    folder = tmp_path / "job_1"
    shutil.copytree(BUNDLE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return Workspace(folder, uri, client, str(client.create_run("0").info.run_id))


def test_the_bundle_leaves_metrics_adapter_and_a_registered_version(
    workspace: Workspace, tiny_model: Path, tmp_path: Path
) -> None:
    workspace.upload(tiny_model, BRIEF, register_as="invoice-desk")
    running = workspace.start()
    _, said = running.communicate(timeout=llm.WITHIN)
    assert running.returncode == 0, said
    run = workspace.client.get_run(workspace.run_id)
    assert run.info.status == "FINISHED"
    assert {key: run.data.params[key] for key in ("job_id", "seed", "lora_rank", "lora_alpha", "colour")} == {
        "job_id": "job_1",
        "seed": "7",
        "lora_rank": "8",
        "lora_alpha": "32.0",
        "colour": "blue",
    }
    measured = workspace.values("eval_loss")
    assert [step for step, _ in measured] == [0, 4, 8]
    assert measured[0][1] > measured[1][1] > measured[2][1]
    assert [step for step, _ in workspace.values("loss")] == list(range(1, 9))
    assert workspace.values("epoch") == [(0, 0.0), *((step, step / 4) for step in range(1, 9))]
    assert workspace.values("learning_rate")[0] == (1, 0.01)
    model = Path(workspace.client.download_artifacts(workspace.run_id, "model", str(tmp_path)))
    adapter = {path.name for path in (model / "artifacts" / "adapter").iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json", "chat_template.jinja"} <= adapter
    version = workspace.client.get_model_version("invoice-desk", "1")
    assert (version.run_id, version.status) == (workspace.run_id, "READY")
    assert run.data.tags[tracking.VERSION_TAG] == "1"
    answered = subprocess.run(
        [sys.executable, "-c", ANSWERED, str(model)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=llm.WITHIN,
    )
    assert answered.stdout == "['answer'] 2\n"


def test_what_can_not_be_trained_is_said_in_one_line_and_in_the_run(workspace: Workspace, tmp_path: Path) -> None:
    workspace.upload(tmp_path / "nowhere", BRIEF)
    running = workspace.start()
    _, said = running.communicate(timeout=llm.WITHIN)
    assert running.returncode == 2
    message = f"there is no model at {tmp_path}/nowhere: it has no config.json"
    assert said.splitlines()[-1] == f"train.py: BASE_MODEL_NOT_FOUND: {message}"
    run = workspace.client.get_run(workspace.run_id)
    assert run.info.status == "FAILED"
    assert run.data.tags[tracking.ERROR_CODE_TAG] == "BASE_MODEL_NOT_FOUND"
    assert run.data.tags[tracking.ERROR_TAG] == message


async def test_a_job_that_is_cancelled_ends_its_run_in_order(workspace: Workspace, tiny_model: Path) -> None:
    workspace.upload(tiny_model, BRIEF | {"epochs": 1000}, progress_file="progress.jsonl")
    running = workspace.start()

    async def trains() -> bool:
        assert running.poll() is None
        return (workspace.folder / "progress.jsonl").exists()

    async def ended() -> bool:
        return running.poll() is not None

    await until(trains, within=llm.WITHIN)
    running.send_signal(signal.SIGTERM)
    await until(ended, within=llm.WITHIN)
    _, said = running.communicate()
    assert running.returncode == 143
    assert said.splitlines()[-1] == "train.py: STOPPED: somebody ended the training"
    assert workspace.client.get_run(workspace.run_id).info.status == "KILLED"
