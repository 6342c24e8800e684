import json
import re
from pathlib import Path
from typing import Any

import pytest

from server.domain.errors import InvalidInput, TrainerUnavailable, Unavailable
from server.domain.status import RunState
from server.trainers import bundle
from server.trainers.bundle import hyperparameters
from tests.server.trainers.databricks.ai_runtime.desk import (
    EACH_KIND,
    MODEL,
    OUTAGES,
    REGISTERED,
    RUNS,
    VOLUME,
    Desk,
    called,
    look,
)

SUBMIT = f"{RUNS}/submit"
PLACE = "/Shared/tunegraph/bundles/job_1"


def uploaded(desk: Desk) -> dict[str, str]:
    folder = desk.databricks.world.disk.workspace(PLACE)
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


def told(requirements: str) -> dict[str, Any]:
    """What the bundle's own requirements say."""
    [version] = re.findall(r'^version: "(\d+)"$', requirements, re.MULTILINE)
    return {"version": version, "dependencies": re.findall(r"^ +- (\S+)$", requirements, re.MULTILINE)}


async def test_the_run_is_submitted_as_one_task_with_the_jobs_id_as_its_token(desk: Desk) -> None:
    config = {"epochs": 2, "accelerator_type": "GPU_8xH100", "accelerator_count": 16, "timeout_minutes": 90}
    name = await desk.trainer().submit(desk.request(config=config))
    [call] = desk.asked("POST", SUBMIT)
    requirements = (Path(bundle.__file__).parent / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert name == str(desk.runs()[0].run_id)
    assert call.body == {
        "run_name": "tunegraph-job_1",
        "idempotency_token": "job_1",
        "timeout_seconds": 5400,
        "tasks": [
            {
                "task_key": "train",
                "run_if": "ALL_SUCCESS",
                "timeout_seconds": 0,
                "max_retries": 0,
                "retry_on_timeout": False,
                "environment_key": "default",
                "ai_runtime_task": {
                    "experiment": "job_1",
                    "mlflow_run": "invoice-desk",
                    "mlflow_experiment_directory": "/Workspace/Shared/tunegraph",
                    "deployments": [
                        {
                            "command_path": f"/Workspace{PLACE}/command.sh",
                            "compute": {"accelerator_type": "GPU_8xH100", "accelerator_count": 16},
                        }
                    ],
                },
            }
        ],
        "environments": [
            {
                "environment_key": "default",
                "spec": {
                    "environment_version": "4",
                    "dependencies": [line for line in requirements if not line.startswith("#")],
                },
            }
        ],
    }


async def test_the_program_lies_beside_its_command_whole(desk: Desk) -> None:
    await desk.trainer().submit(desk.request())
    folder = Path(bundle.__file__).parent
    program = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir() if path.is_file()}
    there = uploaded(desk)
    written = {"requirements.yaml", "hyperparameters.yaml", "training_config.yaml"}
    assert set(there) == set(program) | written
    assert {name: there[name] for name in program if name not in written} == {
        name: text for name, text in program.items() if name not in written
    }
    assert json.loads(there["requirements.yaml"]) == told(program["requirements.yaml"])


async def test_the_program_can_read_what_it_is_to_train(desk: Desk, tmp_path: Path) -> None:
    request = desk.request(config={"epochs": 2, "colour": "blue"}, register_as=REGISTERED)
    await desk.trainer().submit(request)
    place = tmp_path / "hyperparameters.yaml"
    place.write_text(uploaded(desk)["hyperparameters.yaml"], encoding="utf-8")
    read = hyperparameters.read(place)
    assert (read.base_model, read.seed, dict(read.config)) == (MODEL, 7, {"epochs": 2, "colour": "blue"})
    assert (str(read.train_file), str(read.validation_file), read.register_as) == (
        f"{VOLUME}/job_1/train.jsonl",
        f"{VOLUME}/job_1/validation.jsonl",
        REGISTERED,
    )
    assert read.described["dataset_digest"] == request.dataset_digest
    assert desk.databricks.world.disk.file(str(read.train_file)).read_bytes() == request.train_file.read_bytes()


async def test_the_configuration_is_kept_for_people_beside_the_command(desk: Desk) -> None:
    await desk.trainer().submit(desk.request())
    there = uploaded(desk)
    config = json.loads(there["training_config.yaml"])
    assert config["compute"] == {"num_accelerators": 1, "accelerator_type": "GPU_1xA10"}
    assert (config["experiment_name"], config["max_retries"], config["timeout_minutes"]) == ("job_1", 0, 1440)
    assert config["parameters"] == json.loads(there["hyperparameters.yaml"])
    assert config["command"] == there["command.sh"]


async def test_an_empty_validation_file_and_no_registration_are_not_asked_for(desk: Desk) -> None:
    request = desk.request()
    request.validation_file.write_bytes(b"")
    trainer = desk.trainer()
    name = await trainer.submit(request)
    assert not {"validation_file", "register_as"} & set(json.loads(uploaded(desk)["hyperparameters.yaml"]))
    desk.passes(1.1)
    seen = await look(trainer, "job_1", name)
    assert (seen.state, len(seen.points)) == (RunState.SUCCEEDED, 10)
    assert not any("val_loss" in point.values for point in seen.points)


@pytest.mark.parametrize("fault", OUTAGES, ids=called)
async def test_a_lost_submission_is_one_run_when_it_is_tried_again(desk: Desk, fault: dict[str, Any]) -> None:
    trainer = desk.trainer()
    desk.databricks.faults.script(path=SUBMIT, **fault)
    with pytest.raises(Unavailable):
        await trainer.submit(desk.request())
    assert len(desk.runs()) == fault["after"]
    assert len(desk.asked("POST", SUBMIT)) == 1
    name = await trainer.submit(desk.request())
    assert [str(run.run_id) for run in desk.runs()] == [name]


async def test_what_the_sdk_repeats_by_itself_is_one_run(desk: Desk) -> None:
    desk.databricks.faults.script("reset", SUBMIT, after=True)
    name = await desk.trainer(desk.connected()).submit(desk.request())
    assert len(desk.asked("POST", SUBMIT)) == 2
    assert [str(run.run_id) for run in desk.runs()] == [name]


async def test_a_throttled_submission_says_when_to_try_again(desk: Desk) -> None:
    desk.databricks.faults.script("429", SUBMIT, retry_after=7)
    with pytest.raises(Unavailable) as error:
        await desk.trainer().submit(desk.request())
    assert error.value.retry_after == 7


@pytest.mark.parametrize("path", ["/api/2.0/fs/files/*", "/api/2.0/fs/directories/*", "/api/2.0/workspace/*"])
@pytest.mark.parametrize("fault", EACH_KIND, ids=called)
async def test_what_can_not_be_uploaded_is_not_started_and_is_tried_again(
    desk: Desk, fault: dict[str, Any], path: str
) -> None:
    trainer = desk.trainer()
    method = "PUT" if "fs" in path else "POST"
    scripted = desk.databricks.faults.script(path=path, method=method, **fault)
    if fault["kind"] == "truncated" and method == "PUT":  # these have no JSON in their answer
        scripted.kind = type(scripted.kind).RESET
    with pytest.raises(Unavailable):
        await trainer.submit(desk.request())
    assert desk.runs() == []
    await trainer.submit(desk.request())
    assert len(desk.runs()) == 1


async def test_what_the_service_never_takes_is_refused_in_its_words(desk: Desk) -> None:
    message = "accelerator_type GPU_1xA10 is not offered in this region."
    desk.databricks.faults.script("error", SUBMIT, status=400, message=message)
    with pytest.raises(InvalidInput) as refusal:
        await desk.trainer().submit(desk.request())
    assert refusal.value.message == f"AI Runtime refused the run: {message}"
    assert await desk.trainer().find("job_1") is None


async def test_a_workspace_without_ai_runtime_is_said_with_what_to_do(desk: Desk) -> None:
    desk.databricks.faults.script("feature_disabled", SUBMIT, message="AI Runtime is in preview.")
    with pytest.raises(TrainerUnavailable) as refusal:
        await desk.trainer().submit(desk.request())
    assert refusal.value.code == "TRAINER_UNAVAILABLE"
    assert "AI Runtime is in preview. An administrator" in refusal.value.message
    assert desk.runs() == []


async def test_a_workspace_that_has_no_runs_at_all_is_refused_as_well(desk: Desk) -> None:
    desk.databricks.faults.script("feature_disabled", f"{RUNS}/*", times=None)
    with pytest.raises(TrainerUnavailable):
        await desk.trainer().submit(desk.request())


@pytest.mark.parametrize("refusal", [{"kind": "feature_disabled"}, {"kind": "error", "status": 400}], ids=called)
async def test_a_run_that_was_started_before_the_refusal_stands(desk: Desk, refusal: dict[str, Any]) -> None:
    trainer = desk.trainer()
    desk.databricks.faults.script("reset", SUBMIT, after=True)
    with pytest.raises(Unavailable):
        await trainer.submit(desk.request())
    desk.databricks.faults.script(path=SUBMIT, **refusal)
    assert await trainer.submit(desk.request()) == str(desk.runs()[0].run_id)
    assert len(desk.runs()) == 1


async def test_a_run_that_was_started_with_other_settings_stands(desk: Desk) -> None:
    desk.databricks.faults.script("reset", SUBMIT, after=True)
    with pytest.raises(Unavailable):
        await desk.trainer().submit(desk.request())
    no_longer_offered = desk.request(base_model="meta-llama/Llama-2-7b")
    assert await desk.trainer().submit(no_longer_offered) == str(desk.runs()[0].run_id)


async def test_a_run_that_somebody_deleted_is_not_started_again(desk: Desk) -> None:
    trainer = desk.trainer()
    name = await trainer.submit(desk.request())
    desk.passes(1.1)
    desk.databricks.world.training_runs.delete(int(name))
    with pytest.raises(InvalidInput, match="has been deleted"):
        await trainer.submit(desk.request())
    assert desk.runs() == []


async def test_a_refusal_is_not_believed_while_a_run_may_be_there(desk: Desk) -> None:
    desk.databricks.faults.script("error", SUBMIT, status=400)
    desk.databricks.faults.script("html", f"{RUNS}/list")
    with pytest.raises(Unavailable):
        await desk.trainer().submit(desk.request())


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "error", "status": 400, "error_code": "QUOTA_EXCEEDED"},
        {"kind": "error", "status": 400, "error_code": "RESOURCE_LIMIT_EXCEEDED"},
        {"kind": "html", "status": 400},
        {"kind": "error", "status": 403},
        {"kind": "error", "status": 404},
        {"kind": "error", "status": 410},
    ],
    ids=called,
)
async def test_what_may_be_different_tomorrow_is_no_refusal(desk: Desk, fault: dict[str, Any]) -> None:
    trainer = desk.trainer()
    desk.databricks.faults.script(path=SUBMIT, **fault)
    with pytest.raises(Unavailable):
        await trainer.submit(desk.request())
    await trainer.submit(desk.request())
    assert len(desk.runs()) == 1
