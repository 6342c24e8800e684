from typing import Any

import pytest

from server.domain.errors import Unavailable
from tests.emulator.ai_training import TrainingRun
from tests.server.trainers.databricks.ai_runtime.desk import EACH_KIND, RUNS, Desk, called

LOGS = "/api/2.0/ai-training/workflows/by-run-id/*/logs"


def write(desk: Desk, run: TrainingRun, path: str, text: str) -> None:
    assert run.tracked is not None
    desk.databricks.world.tracking.write_artifact(run.tracked, path, text.encode())


async def test_the_log_of_a_failed_run_ends_with_why(desk: Desk) -> None:
    trainer = desk.trainer()
    desk.databricks.outcomes.script(fails_at=0.6, reason="CUDA out of memory.")
    name = await trainer.submit(desk.request())
    desk.passes(1.1)
    lines = (await trainer.logs(name)).splitlines()
    assert lines[0].startswith("Node 0 of 1 runs /Workspace/Shared/tunegraph/bundles/job_1/command.sh")
    assert lines[-1] == "RuntimeError: CUDA out of memory."
    assert len(lines) == len(desk.runs()[0].logs)
    [call] = desk.asked("GET", LOGS)
    assert call.path.endswith(f"/by-run-id/{name}/logs")
    assert dict(call.query)["ascending"] == "false"


async def test_of_a_long_log_only_the_end_is_read(desk: Desk) -> None:
    trainer = desk.trainer()
    name = await trainer.submit(desk.request())
    desk.passes(0.5)
    desk.runs()[0].logs[:] = [(float(number), 0, f"line {number} {'x' * 20}") for number in range(9_000)]
    text = await trainer.logs(name)
    assert text.endswith(f"line 8999 {'x' * 20}")
    assert len(text) == 64 * 1024
    assert len(desk.asked("GET", LOGS)) == 3


async def test_the_lines_of_several_nodes_say_whose_they_are(desk: Desk) -> None:
    trainer = desk.trainer()
    name = await trainer.submit(desk.request(config={"accelerator_type": "GPU_8xH100", "accelerator_count": 16}))
    desk.passes(0.26)
    lines = (await trainer.logs(name)).splitlines()
    assert sorted(line[:9] for line in lines) == ["[node 0] ", "[node 1] "]


async def test_a_run_that_has_not_begun_has_no_log(desk: Desk) -> None:
    trainer = desk.trainer()
    assert await trainer.logs(await trainer.submit(desk.request())) == ""


@pytest.mark.parametrize("fault", EACH_KIND, ids=called)
async def test_without_the_service_the_log_comes_from_mlflow(desk: Desk, fault: dict[str, Any]) -> None:
    trainer = desk.trainer()
    name = await trainer.submit(desk.request())
    desk.passes(0.6)
    for number, text in ((2, "earlier"), (10, "the end"), (9, "before")):
        write(desk, desk.runs()[0], f"logs/node_0/logs-{number}.chunk.txt", text)
    write(desk, desk.runs()[0], "logs/node_1/logs-11.chunk.txt", "of another node")
    desk.databricks.faults.script(path=LOGS, **fault)
    assert await trainer.logs(name) == "the end"


async def test_the_newest_attempt_is_the_one_that_counts(desk: Desk) -> None:
    trainer = desk.trainer()
    name = await trainer.submit(desk.request())
    desk.passes(0.6)
    for number in (0, 1, 10, 2):
        write(desk, desk.runs()[0], f"logs/attempt_{number}/node_0/logs-0.chunk.txt", f"attempt {number}")
    desk.databricks.faults.script("html", LOGS)
    assert await trainer.logs(name) == "attempt 10"


async def test_a_log_that_nobody_gives_is_said_to_be_so(desk: Desk) -> None:
    trainer = desk.trainer()
    name = await trainer.submit(desk.request())
    desk.passes(0.6)
    desk.databricks.faults.script("error", LOGS, status=404)
    with pytest.raises(Unavailable, match="AI Runtime does not give the log"):
        await trainer.logs(name)
    desk.databricks.faults.script("error", LOGS, status=404)
    desk.databricks.faults.script("html", f"{RUNS}/get", times=None)
    with pytest.raises(Unavailable):
        await desk.trainer().logs(name)
