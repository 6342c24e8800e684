"""The client that FMAPI was made for can't tell the emulator from it."""

import os

import pytest

from tests.emulator.served import emulator
from tests.wire import scripts

PYTHON = os.environ.get("TUNEGRAPH_GENAI_PYTHON", "")
TRAINED = ["CREATED", "CHECK_PASSED", "STARTED", "DATA_VALIDATED", "MODEL_INITIALIZED", "TRAIN_STARTED"]


@pytest.mark.skipif(not PYTHON, reason="TUNEGRAPH_GENAI_PYTHON names no Python that has databricks_genai")
@pytest.mark.timeout(300)
async def test_databricks_genai_works_from_create_to_checkpoints() -> None:
    async with emulator(pace=60.0) as databricks:
        seen = await scripts.run("genai_client", databricks, PYTHON, MLFLOW_TRACKING_URI="databricks")
        models = [name for name, _, _ in databricks.world.options.models]
        [created, _, refused] = databricks.requests.to(operation="CreateFinetune")

    name = seen["name"]
    experiment, run, path = seen["experiment"]
    folder = f"dbfs:/databricks/mlflow-tracking/{experiment}/{run}/artifacts/{name}/checkpoints"
    assert path == "/Users/me@example.com/wire"
    assert seen["statuses"] == ["PENDING", "QUEUED", "STARTING", "RUNNING", "COMPLETED"]
    assert seen["events"][:6] == TRAINED
    assert seen["events"][-3:] == ["CHECKPOINT_SAVED", "TRAIN_FINISHED", "COMPLETED"]
    assert seen["progress"].startswith("[epoch=2/2][batch=10/10][ETA=0s] Train loss: ")
    assert seen["checkpoints"] == [f"{folder}/ep1-ba5", f"{folder}/ep2-ba10"]
    assert seen["models"] == models
    assert seen["all"] == sorted([name, seen["other"]])
    assert seen["of_experiment"] == [name]
    assert seen["stopped"] == [seen["other"]]
    assert seen["cancelled"] == {
        "count": 1,
        "statuses": ["TERMINATING", "STOPPED"],
        "again": 0,
        "reason": "Canceled by user.",
        "default_experiment": f"/Users/me@example.com/{seen['other']}",
    }
    assert len(seen["refused"]) == 2
    assert "Finetuning run nobody not found" in seen["refused"][0]
    assert "model unheard/of is not supported" in seen["refused"][1]
    assert created.headers["x-mosaicml-client-version"] == "1.1.8"
    assert refused.status == 200
