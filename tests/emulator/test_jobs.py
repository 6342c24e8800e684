"""AI Runtime's runs move with the clock, once for each token, and end as the Jobs API says."""

from typing import Any

import pytest

from tests.emulator.clients import PACE, TRAIN, VALIDATION, Client


async def _submitted(client: Client, token: str = "t", **changes: Any) -> int:  # noqa: ANN401, S107
    answer = await client.submit(token, **changes)
    assert answer.status_code == 200, answer.text
    return int(answer.json()["run_id"])


async def _output(client: Client, run: Any) -> Any:  # noqa: ANN401
    return (await client.get("/api/2.2/jobs/runs/get-output", run_id=run["tasks"][0]["run_id"])).json()


async def test_a_run_goes_through_its_states_with_the_clock(client: Client) -> None:
    await client.upload()
    await client.bundle()
    run_id = await _submitted(client)
    seen = []
    for seconds in (0, 5, 5, 15, 75, 2):
        client.world.clock.advance(seconds)
        run = await client.run(run_id)
        message = (await _output(client, run))["ai_runtime_task_output"].get("status_message")
        seen.append((run["state"]["life_cycle_state"], run["tasks"][0]["state"]["life_cycle_state"], message))

    assert seen == [
        ("QUEUED", "QUEUED", None),
        ("PENDING", "PENDING", None),
        ("RUNNING", "PENDING", "STATUS: Waiting for GPU capacity"),
        ("RUNNING", "RUNNING", None),
        ("TERMINATING", "TERMINATING", None),
        ("TERMINATED", "TERMINATED", None),
    ]
    run = await client.run(run_id)
    assert run["state"] == {
        "life_cycle_state": "TERMINATED",
        "state_message": "",
        "user_cancelled_or_timedout": False,
        "result_state": "SUCCESS",
    }
    details = {"code": "SUCCESS", "type": "SUCCESS", "message": ""}
    assert run["status"] == {"state": "TERMINATED", "termination_details": details}
    assert run["run_duration"] == 102_000


async def test_the_script_logs_and_registers_what_its_bundle_says(client: Client) -> None:
    await client.upload()
    await client.upload(VALIDATION)
    config = "config: {epochs: 2, learning_rate: 1.0e-4}\nregister_as: main.ft.air\n"
    await client.bundle(f"train_file: {TRAIN}\nvalidation_file: {VALIDATION}\n{config}")
    run_id = await _submitted(client)
    client.world.clock.advance(PACE + 2)
    output = (await _output(client, await client.run(run_id)))["ai_runtime_task_output"]
    run = client.world.tracking.run(output["mlflow_run_id"])

    assert client.world.tracking.experiment(output["mlflow_experiment_id"]).name == "/Users/me@example.com/air"
    assert (run.name, run.status, run.params) == ("r", "FINISHED", {"epochs": "2", "learning_rate": "0.0001"})
    assert [point.step for point in run.metrics["loss"]] == list(range(1, 11))
    assert [point.step for point in run.metrics["eval_loss"]] == [0, 5, 10]
    assert run.tags["tunegraph.model_version"] == "1"
    assert run.latest()["epoch"].value == 2.0
    version = (await client.get("/api/2.1/unity-catalog/models/main.ft.air/versions/1")).json()
    assert (version["run_id"], version["status"]) == (run.id, "PENDING_REGISTRATION")


async def test_a_token_is_one_run_however_often_it_is_submitted(client: Client) -> None:
    first, again, other = [await _submitted(client, token) for token in ("a", "a", "b")]
    runs = (await client.get("/api/2.2/jobs/runs/list")).json()["runs"]

    assert first == again != other
    assert [run["run_id"] for run in runs] == [other, first]


async def test_a_token_whose_run_was_deleted_is_refused(client: Client) -> None:
    run_id = await _submitted(client)
    assert (await client.post("/api/2.2/jobs/runs/delete", run_id=run_id)).status_code == 400
    client.world.clock.advance(2 * PACE)
    assert (await client.post("/api/2.2/jobs/runs/delete", run_id=run_id)).status_code == 200
    answer = await client.submit()

    assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"idempotency_token": "x" * 65}, "The idempotency token must have at most 64 characters."),
        ({"environments": []}, "The environment_key of task train names no environment of the run."),
        ({"tasks": []}, "Exactly one task with ai_runtime_task is supported."),
        ({"count": 0}, "accelerator_count must be a multiple of 1 for GPU_1xH100."),
    ],
)
async def test_a_run_that_cannot_be_is_refused(client: Client, changes: dict[str, Any], message: str) -> None:
    answer = await client.submit(**changes)

    assert answer.status_code == 400
    assert answer.json() == {"error_code": "INVALID_PARAMETER_VALUE", "message": message}
    assert client.world.training_runs.runs == {}


@pytest.mark.parametrize(
    ("hyperparameters", "code", "message"),
    [
        (None, "RESOURCE_NOT_FOUND", "Unable to access command.sh."),
        ("- a list", "RESOURCE_NOT_FOUND", "hyperparameters.yaml holds no mapping."),
        ("train_file: /Volumes/main/ft/data/none.jsonl", "RUN_EXECUTION_ERROR", "Could not find the file"),
        (
            f"train_file: {TRAIN}\nregister_as: main.no.m",
            "RUN_EXECUTION_ERROR",
            "Schema 'main.no' does not exist.",
        ),
    ],
)
async def test_a_bundle_that_does_not_work_fails_the_run(
    client: Client, hyperparameters: str | None, code: str, message: str
) -> None:
    await client.upload()
    if hyperparameters is not None:
        await client.bundle(hyperparameters)
    run_id = await _submitted(client)
    client.world.clock.advance(2 * PACE)
    run = await client.run(run_id)

    assert run["state"]["result_state"] == "FAILED"
    assert message in run["state"]["state_message"]
    assert run["status"]["termination_details"]["code"] == code
    assert run["status"]["termination_details"]["type"] == "CLIENT_ERROR"
    assert message in (await _output(client, run))["error"]


async def test_a_run_without_data_ends_well_and_trains_nothing(client: Client) -> None:
    await client.bundle("anything: 1")
    run_id = await _submitted(client)
    client.world.clock.advance(2 * PACE)
    run = await client.run(run_id)
    output = (await _output(client, run))["ai_runtime_task_output"]

    assert run["state"]["result_state"] == "SUCCESS"
    assert client.world.tracking.run(output["mlflow_run_id"]).metrics == {}


async def test_cancelling_takes_a_while_and_ends_the_mlflow_run(client: Client) -> None:
    await client.upload()
    await client.bundle()
    run_id = await _submitted(client)
    client.world.clock.advance(50)
    answer = await client.post("/api/2.2/jobs/runs/cancel", run_id=run_id)
    terminating = await client.run(run_id)
    client.world.clock.advance(2)
    run = await client.run(run_id)

    assert (answer.status_code, answer.json()) == (200, {})
    assert terminating["state"]["life_cycle_state"] == "TERMINATING"
    assert (run["state"]["life_cycle_state"], run["state"]["result_state"]) == ("TERMINATED", "CANCELED")
    assert run["status"]["termination_details"]["code"] == "USER_CANCELED"
    output = (await _output(client, run))["ai_runtime_task_output"]
    assert client.world.tracking.run(output["mlflow_run_id"]).status == "KILLED"


async def test_waiting_for_the_gpu_takes_as_long_as_scripted(client: Client) -> None:
    await client.upload()
    await client.bundle()
    client.world.outcomes.script("air", gpu_wait=500.0)
    run_id = await _submitted(client)
    tasks = []
    for seconds in (500, 20, 80):
        client.world.clock.advance(seconds)
        tasks.append((await client.run(run_id))["tasks"][0]["state"]["life_cycle_state"])

    assert tasks == ["PENDING", "RUNNING", "TERMINATED"]


async def test_a_run_that_takes_too_long_times_out(client: Client) -> None:
    await client.upload()
    await client.bundle()
    run_id = await _submitted(client, timeout_seconds=30)
    client.world.clock.advance(40)
    run = await client.run(run_id)

    assert (run["state"]["life_cycle_state"], run["state"]["result_state"]) == ("TERMINATED", "TIMEDOUT")
    assert run["state"]["state_message"] == "Run timed out after 30 seconds."
    assert run["end_time"] - run["start_time"] == 32_000


async def test_the_list_is_paged_and_bounded(client: Client) -> None:
    runs = [await _submitted(client, str(number)) for number in range(5)]
    first = (await client.get("/api/2.2/jobs/runs/list", limit=3)).json()
    second = (await client.get("/api/2.2/jobs/runs/list", limit=3, page_token=first["next_page_token"])).json()

    assert [run["run_id"] for run in first["runs"] + second["runs"]] == runs[::-1]
    assert (first["has_more"], second["has_more"]) == (True, False)
    assert all("tasks" not in run for run in first["runs"])
    assert (await client.get("/api/2.2/jobs/runs/list", limit=25)).status_code == 400


async def test_only_active_runs_are_listed_when_asked(client: Client) -> None:
    await _submitted(client, "ended")
    client.world.clock.advance(2 * PACE)
    active = await _submitted(client, "active")
    listed = (await client.get("/api/2.2/jobs/runs/list", active_only="true", expand_tasks="true")).json()["runs"]

    assert [run["run_id"] for run in listed] == [active]
    assert listed[0]["tasks"][0]["task_key"] == "train"


async def test_an_unknown_run_is_refused_in_the_words_that_the_sdk_knows(client: Client) -> None:
    answer = await client.get("/api/2.2/jobs/runs/get", run_id=5)

    assert answer.status_code == 400
    assert answer.json() == {"error_code": "INVALID_PARAMETER_VALUE", "message": "Run 5 does not exist."}


async def test_only_a_task_has_an_output(client: Client) -> None:
    run_id = await _submitted(client)
    answer = await client.get("/api/2.2/jobs/runs/get-output", run_id=run_id)

    assert answer.status_code == 400
    assert "retrieve the output of each individual task run" in answer.json()["message"]
