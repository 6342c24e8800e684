"""What AI Runtime tells beside the Jobs API."""

from tests.emulator.clients import PACE, Client

LOGS = "/api/2.0/ai-training/workflows/by-run-id/{}/logs"


async def _submitted(client: Client, count: int = 1) -> int:
    return int((await client.submit(count=count)).json()["run_id"])


async def test_a_scripted_failure_keeps_its_code_and_its_logs(client: Client) -> None:
    await client.upload()
    await client.bundle()
    client.world.outcomes.script("air", fails_at=0.5, reason="CUDA out of memory.", code="CLOUD_FAILURE")
    run_id = await _submitted(client)
    client.world.clock.advance(60)
    run = await client.run(run_id)
    records = (await client.get(LOGS.format(run_id), page_size=1, ascending="false")).json()["log_records"]

    assert (run["state"]["life_cycle_state"], run["state"]["result_state"]) == ("INTERNAL_ERROR", "FAILED")
    details = {"code": "CLOUD_FAILURE", "type": "INTERNAL_ERROR", "message": "CUDA out of memory."}
    assert run["status"] == {"state": "TERMINATED", "termination_details": details}
    assert [record["body"] for record in records] == ["RuntimeError: CUDA out of memory."]


async def test_logs_come_in_pages_and_by_node(client: Client) -> None:
    await client.bundle("anything: 1")
    run_id = await _submitted(client, 3)
    client.world.clock.advance(2 * PACE)
    bodies, token = [], None
    while True:
        query = {"page_size": 2} | ({"page_token": token} if token else {})
        page = (await client.get(LOGS.format(run_id), **query)).json()
        bodies.append([record["body"] for record in page["log_records"]])
        token = page.get("next_page_token")
        if token is None:
            break
    of_a_node = (await client.get(LOGS.format(run_id), **{"filter.node_index": 1})).json()["log_records"]

    assert [len(page) for page in bodies] == [2, 1]
    assert bodies[0][0].startswith("Node 0 of 3 runs /Workspace/Users/me@example.com/.ft/command.sh")
    assert [record["node_index"] for record in of_a_node] == [1]


async def test_logs_are_kept_with_the_run_in_mlflow(client: Client) -> None:
    await client.bundle("anything: 1")
    run_id = await _submitted(client, 2)
    client.world.clock.advance(2 * PACE)
    task = (await client.run(run_id))["tasks"][0]["run_id"]
    output = (await client.get("/api/2.2/jobs/runs/get-output", run_id=task)).json()["ai_runtime_task_output"]
    experiment, run = output["mlflow_experiment_id"], output["mlflow_run_id"]
    root = f"/api/2.0/fs/files/WorkspaceInternal/Mlflow/Artifacts/{experiment}/Runs/{run}/artifacts"
    kept = await client.get(f"{root}/logs/attempt_0/node_1/logs-0.chunk.txt")

    assert kept.text == "Node 1 of 2 runs /Workspace/Users/me@example.com/.ft/command.sh\n"


async def test_workflows_are_the_caller_s_own(client: Client) -> None:
    ended = await _submitted(client)
    client.world.clock.advance(2 * PACE)
    active = int((await client.submit("another")).json()["run_id"])
    workflows = (await client.get("/api/2.0/ai-training/workflows")).json()["training_workflows"]
    only = (await client.get("/api/2.0/ai-training/workflows", active_only="true")).json()["training_workflows"]

    assert [one["job_run_id"] for one in workflows] == [str(active), str(ended)]
    assert workflows[1]["submit_time"] == "2026-11-18T11:06:40.000Z"
    assert [one["job_run_id"] for one in only] == [str(active)]


async def test_a_configuration_is_validated_before_it_is_submitted(client: Client) -> None:
    good = {"experiment_name": "e", "compute": {"num_accelerators": 1}}
    answers = [
        (await client.post("/api/2.0/ai-training/config:validate", config=config)).json()["errors"]
        for config in (good, {"experiment_name": "e"})
    ]

    assert answers == [[], [{"path": "compute", "message": "compute is required", "code": "REQUIRED"}]]


async def test_accelerators_are_those_that_are_accepted(client: Client) -> None:
    options = (await client.get("/api/2.0/ai-compute-manager/compute-options")).json()["compute_options"]

    assert [one["hardware_accelerator"] for one in options] == ["GPU_1xA10", "GPU_1xH100", "GPU_8xH100", "GPU_8xB300"]
