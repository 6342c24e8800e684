import math
from typing import Any

import pytest

from server.domain.errors import Unavailable
from server.domain.status import RunState
from server.trainers.databricks.ai_runtime import states
from server.trainers.trainer import RunHandle, TrainerEvent, TrainerJobId
from tests.emulator.tracking_store import Metric
from tests.server.trainers.databricks.ai_runtime.desk import (
    EACH_KIND,
    LOST,
    MLFLOW,
    OUTAGES,
    PACE,
    REFUSALS,
    RUNS,
    Desk,
    called,
    look,
    values,
)

SEEN = (*OUTAGES, *REFUSALS, {"kind": "error", "status": 400})


@pytest.mark.parametrize("fault", SEEN, ids=called)
async def test_no_answer_about_a_run_says_anything_about_it(desk: Desk, fault: dict[str, Any]) -> None:
    trainer = desk.trainer()
    name = await trainer.submit(desk.request())
    desk.passes(0.5)
    desk.databricks.faults.script(path=f"{RUNS}/get", **fault)
    with pytest.raises(Unavailable):
        await look(trainer, "job_1", name)
    assert (await look(trainer, "job_1", name)).state is RunState.RUNNING
    assert len(desk.runs()) == 1


async def test_a_run_that_the_workspace_does_not_show_is_not_failed(desk: Desk) -> None:
    with pytest.raises(Unavailable, match="does not show the run 4242"):
        await look(desk.trainer(), "job_1", TrainerJobId("4242"))


@pytest.mark.parametrize("share", [0.01, 0.15, 0.5, 1.1])
async def test_an_unknown_word_is_passed_on_as_such(desk: Desk, share: float) -> None:
    trainer = desk.trainer()
    name = await trainer.submit(desk.request())
    desk.passes(share)
    true = await look(trainer, "job_1", name)
    desk.databricks.faults.script("unknown_status", f"{RUNS}/get", word="HIBERNATING")
    seen = await look(trainer, "job_1", name)
    assert (seen.state, seen.word) == (RunState.UNKNOWN, "HIBERNATING")
    assert (await look(trainer, "job_1", name)).state is true.state


@pytest.mark.parametrize("path", ["runs/get", "metrics/get-history"])
@pytest.mark.parametrize("fault", EACH_KIND, ids=called)
async def test_a_run_goes_on_without_its_metrics_and_they_come_later(
    desk: Desk, fault: dict[str, Any], path: str
) -> None:
    trainer = desk.trainer()
    name = await trainer.submit(desk.request())
    desk.passes(0.6)
    desk.databricks.faults.script(path=f"{MLFLOW}/{path}", **fault)
    seen = await look(trainer, "job_1", name)
    assert (seen.state, seen.points) == (RunState.RUNNING, ())
    assert (await look(trainer, "job_1", name)).points


@pytest.mark.parametrize("fails_at", [None, 0.7])
@pytest.mark.parametrize("fault", LOST, ids=called)
async def test_an_end_is_told_with_everything_that_was_logged(
    desk: Desk, fault: dict[str, Any], fails_at: float | None
) -> None:
    trainer = desk.trainer()
    desk.databricks.outcomes.script(fails_at=fails_at)
    name = await trainer.submit(desk.request())
    desk.passes(1.1)
    desk.databricks.faults.script(path=f"{MLFLOW}/runs/get", **fault)
    with pytest.raises(Unavailable):
        await look(trainer, "job_1", name)
    seen = await look(trainer, "job_1", name)
    assert seen.state is (RunState.SUCCEEDED if fails_at is None else RunState.FAILED)
    assert len(desk.logged()) > 1
    assert values(seen.points) == desk.logged()


@pytest.mark.parametrize("status", [403, 404])
async def test_an_end_does_not_wait_for_an_mlflow_run_that_is_gone(desk: Desk, status: int) -> None:
    trainer = desk.trainer()
    name = await trainer.submit(desk.request())
    desk.passes(1.1)
    desk.databricks.faults.script("error", f"{MLFLOW}/runs/get", status=status, times=None)
    seen = await look(trainer, "job_1", name)
    assert (seen.state, seen.points) == (RunState.SUCCEEDED, ())


async def test_what_failed_is_told_with_the_platforms_code_and_words(desk: Desk) -> None:
    trainer = desk.trainer()
    desk.databricks.outcomes.script(fails_at=0.5, reason="CUDA out of memory.", code="RUN_EXECUTION_ERROR")
    name = await trainer.submit(desk.request())
    desk.passes(1.1)
    seen = await look(trainer, "job_1", name)
    assert (seen.state, seen.error_code, seen.message) == (
        RunState.FAILED,
        "RUN_EXECUTION_ERROR",
        "CUDA out of memory.",
    )


@pytest.mark.parametrize("code", ["CLOUD_FAILURE", "INTERNAL_ERROR", "LIBRARY_INSTALLATION_ERROR"])
async def test_a_termination_code_is_kept(desk: Desk, code: str) -> None:
    trainer = desk.trainer()
    desk.databricks.outcomes.script(fails_at=0.2, code=code)
    name = await trainer.submit(desk.request())
    desk.passes(0.5)
    seen = await look(trainer, "job_1", name)
    assert (seen.state, seen.error_code) == (RunState.FAILED, code)


async def test_the_scripts_own_reason_goes_before_the_platforms(desk: Desk) -> None:
    trainer = desk.trainer()
    desk.databricks.outcomes.script(fails_at=0.5, reason="Workload failed, see run output for details.")
    name = await trainer.submit(desk.request())
    desk.passes(0.4)
    assert (await look(trainer, "job_1", name)).state is RunState.RUNNING
    tracked = desk.runs()[0].tracked
    assert tracked is not None
    tracked.tags |= {"tunegraph.error_code": "OUT_OF_MEMORY", "tunegraph.error": "lower batch_size (8)"}
    desk.passes(0.4)
    seen = await look(trainer, "job_1", name)
    assert (seen.error_code, seen.message) == ("RUN_EXECUTION_ERROR", "OUT_OF_MEMORY: lower batch_size (8)")


async def test_a_run_that_takes_too_long_says_so(desk: Desk) -> None:
    trainer = desk.trainer()
    name = await trainer.submit(desk.request(config={"timeout_minutes": 10}))
    desk.passes(0.7)
    seen = await look(trainer, "job_1", name)
    assert (seen.state, seen.error_code, seen.message) == (
        RunState.FAILED,
        "TIMEDOUT",
        "Run timed out after 600 seconds.",
    )


async def test_a_longer_wait_for_a_gpu_is_told_once(desk: Desk) -> None:
    trainer = desk.trainer()
    desk.databricks.outcomes.script(gpu_wait=3 * PACE)
    name = await trainer.submit(desk.request())
    told: list[TrainerEvent] = []
    for _ in range(7):
        desk.passes(0.5)
        seen = await look(trainer, "job_1", name, events=len(told))
        told += seen.events
        assert (seen.state, seen.error_code) in {(RunState.QUEUED, None), (RunState.RUNNING, None)}
    assert [event.kind for event in told] == ["WAITING_FOR_GPU", "GPU_ASSIGNED"]
    assert not any(event.bad for event in told)


async def test_what_is_not_finite_is_passed_on_as_such(desk: Desk) -> None:
    trainer = desk.trainer()
    name = await trainer.submit(desk.request())
    desk.passes(0.4)
    tracked = desk.runs()[0].tracked
    assert tracked is not None
    for step, value in ((900, math.nan), (901, math.inf), (902, -math.inf), (903, 1.0)):
        tracked.metrics["loss"].append(Metric("loss", value, 1_795_000_000_000, step))
    seen = await look(trainer, "job_1", name, after=899)
    assert [str(point.values["train_loss"]) for point in seen.points] == ["nan", "inf", "-inf"]


async def test_many_runs_are_looked_at_a_page_at_a_time(desk: Desk) -> None:
    trainer = desk.trainer()
    first = await trainer.submit(desk.request("job_0"))
    given = desk.runs()[0].given
    others = {
        f"job_{number}": desk.databricks.world.training_runs.submit(
            {**given, "idempotency_token": f"job_{number}"}, "me"
        )
        for number in range(1, 60)
    }
    handles = [RunHandle("job_0", first)]
    handles += [RunHandle(job_id, TrainerJobId(str(run.run_id))) for job_id, run in others.items()]
    desk.databricks.requests.clear()
    seen = await trainer.observe(handles)
    assert {observation.state for observation in seen.values()} == {RunState.QUEUED}
    assert len(seen) == 60
    assert [call.path for call in desk.databricks.requests] == [f"{RUNS}/list"] * 3
    desk.databricks.world.training_runs.cancel(others["job_7"].run_id)
    desk.passes(0.03)
    desk.databricks.requests.clear()
    assert (await trainer.observe(handles))["job_7"].state is RunState.CANCELLED
    asked = [dict(call.query)["run_id"] for call in desk.asked("GET", f"{RUNS}/get")]
    assert asked == [str(others["job_7"].run_id)]


async def test_a_list_that_does_not_tell_of_tasks_is_not_enough(desk: Desk) -> None:
    trainer = desk.trainer()
    name = await trainer.submit(desk.request())
    desk.passes(0.15)  # it runs, and its task waits for a GPU
    listed = {"run_id": int(name), "state": {"life_cycle_state": "RUNNING"}}
    assert states.read(listed).state is RunState.RUNNING
    assert (await trainer._observer._one(RunHandle("job_1", name), listed)).state is RunState.QUEUED


async def test_a_run_that_can_not_be_seen_does_not_hide_the_others(desk: Desk) -> None:
    trainer = desk.trainer()
    name = await trainer.submit(desk.request())
    handles = [RunHandle("job_1", name), RunHandle("job_gone", TrainerJobId("4242"))]
    seen = await trainer.observe(handles)
    assert set(seen) == {"job_1"}


async def test_an_answer_that_makes_no_sense_concerns_its_run_only(desk: Desk) -> None:
    trainer = desk.trainer()
    names = [await trainer.submit(desk.request(job_id)) for job_id in ("job_1", "job_2")]
    desk.passes(1.1)
    desk.runs()[1].task["ai_runtime_task"]["deployments"] = [7]
    seen = await trainer.observe([RunHandle("job_1", names[0]), RunHandle("job_2", names[1])])
    assert {job_id: one.state for job_id, one in seen.items()} == {"job_1": RunState.SUCCEEDED}
    with pytest.raises(Unavailable, match="could not be understood"):
        await look(trainer, "job_2", names[1])


@pytest.mark.parametrize("fault", EACH_KIND, ids=called)
async def test_a_list_that_can_not_be_read_changes_nothing(desk: Desk, fault: dict[str, Any]) -> None:
    trainer = desk.trainer()
    name = await trainer.submit(desk.request())
    handles = [RunHandle(f"job_{number}", name) for number in range(5)]
    desk.databricks.faults.script(path=f"{RUNS}/list", **fault)
    with pytest.raises(Unavailable):
        await trainer.observe(handles)
    assert len(await trainer.observe(handles)) == 5


async def test_looking_at_nothing_asks_nothing(desk: Desk) -> None:
    assert await desk.trainer().observe([]) == {}
    assert len(desk.databricks.requests) == 0
