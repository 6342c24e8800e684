"""What is asked for and told while runs go on."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from server.domain.status import RunState
from server.trainers.databricks.fmapi.trainer import FmapiTrainer
from server.trainers.trainer import Observation, RunHandle, TrainerJobId
from tests.server.trainers.databricks.fmapi.bench import GRAPHQL, Bench, look, opened

MANY, PAGE = 1_000, 100
LISTS = "GetFinetunesPaginated"
MLFLOW = "/api/2.0/mlflow/*"
OURS = {"train_loss", "val_loss", "train_accuracy", "val_accuracy", "learning_rate"}


async def crowd(bench: Bench, trainer: FmapiTrainer) -> list[RunHandle]:
    """Many runs that have begun to train: copies of one that was submitted."""
    name = await trainer.submit(bench.request("job_0"))
    bench.advance(0.16)
    finetunes = bench.databricks.world.finetunes.named
    for number in range(1, MANY):
        one = finetunes[name]
        copy = replace(one, id=f"{number:024x}", name=f"ift-{number}", created=one.created + number / 1000)
        finetunes[copy.name] = copy
    return [RunHandle(f"job_{number}", TrainerJobId(run.name)) for number, run in enumerate(bench.runs)]


async def test_a_thousand_runs_cost_ten_lists_and_nothing_more_while_nothing_changes(bench: Bench) -> None:
    trainer = bench.trainer()
    handles = await crowd(bench, trainer)
    requests = bench.databricks.requests
    assert trainer.capabilities.observe_batch == MANY

    async def observe() -> int:
        """How many requests there are beside the lists."""
        requests.clear()
        seen = await trainer.observe(handles)
        assert [handle.job_id in seen for handle in handles] == [True] * MANY
        assert {observation.state for observation in seen.values()} == {RunState.RUNNING}
        assert len(requests.to(operation=LISTS)) == MANY // PAGE
        return len(requests) - MANY // PAGE

    assert await observe() == 1  # a search over all of them
    assert await observe() == 0
    changed = bench.runs[MANY // 2]
    changed.events = [*changed.events, ("MODEL_INITIALIZED", bench.databricks.clock.now(), "again")]
    assert await observe() == 1
    assert [call.path for call in requests.to(path=MLFLOW)] == ["/api/2.0/mlflow/runs/search"]


async def test_a_whole_run_is_told_once_and_in_order(bench: Bench) -> None:
    trainer = bench.trainer()
    handle = RunHandle("job_1", await trainer.submit(bench.request("job_1")))
    seen: list[Observation] = []
    while not seen or seen[-1].state is not RunState.SUCCEEDED:
        seen.append((await trainer.observe([handle]))["job_1"])
        step = seen[-1].points[-1].step if seen[-1].points else handle.after_step
        handle = replace(handle, after_step=step, after_event=len(seen[-1].events))
        bench.advance(0.03)
    [run] = bench.runs
    told = [
        event
        for one, before in zip(seen, [(), *(one.events for one in seen)], strict=False)
        for event in one.events
        if event not in before
    ]
    assert [(event.kind, event.message) for event in told] == [(kind, message) for kind, _, message in run.events]
    points = [point for one in seen for point in one.points]
    assert [point.step for point in points] == list(range(1, 11))
    expected = {metric.step: metric.value for metric in run.run.metrics["loss/train/total"]}
    assert {point.step: point.values["train_loss"] for point in points} == expected
    assert [point.step for point in points if "val_loss" in point.values] == [5, 10]
    assert all(OURS - point.values.keys() <= {"val_loss", "val_accuracy"} for point in points)
    assert points[-1].values["throughput/tokens_per_sec"] > 0
    states = list(dict.fromkeys(one.state for one in seen))
    assert states == [RunState.QUEUED, RunState.RUNNING, RunState.SUCCEEDED]
    assert {one.total_epochs for one in seen} == {2}
    assert [one.current_epoch for one in seen if one.points][-1] == 2
    percents = [one.progress_percent or 0 for one in seen if one.current_epoch]
    assert all(earlier <= later for earlier, later in pairwise(percents))
    last = seen[-1]
    assert (
        last.tokens_processed == 2 * bench.databricks.world.tracking.runs[run.run.id].latest()["time/token"].value / 2
    )
    assert (last.word, last.error_code, last.message, last.mlflow_run_id) == ("COMPLETED", None, None, run.run.id)
    assert last.training_duration_seconds == pytest.approx(94.0)


async def test_the_expected_end_is_told_while_it_trains(bench: Bench) -> None:
    trainer = bench.trainer()
    name = await bench.started(trainer)
    [run] = bench.runs
    seen = await look(trainer, "job_1", name)
    assert seen.estimated_end is not None
    assert seen.estimated_end.timestamp() == run.estimated_end
    bench.advance(0.44)
    assert (await look(trainer, "job_1", name)).estimated_end is None  # it no longer trains


async def test_points_that_were_not_recorded_are_told_again(bench: Bench) -> None:
    trainer = bench.trainer()
    name = await bench.started(trainer)
    first = await look(trainer, "job_1", name)
    assert await look(trainer, "job_1", name) == first
    recorded = await look(trainer, "job_1", name, first.points[-1].step)
    assert recorded.points == ()
    assert await look(trainer, "job_1", name, first.points[-2].step) == replace(first, points=first.points[-1:])


async def test_what_is_measured_late_belongs_to_its_step_all_the_same(bench: Bench) -> None:
    trainer = bench.trainer()
    name = await bench.started(trainer)
    [run] = bench.runs
    newest = run.run.metrics["loss/train/total"][-1].step
    seen = await look(trainer, "job_1", name)
    assert [point.step for point in seen.points] == list(range(1, newest))
    late = {"metrics/eval/LanguageCrossEntropy": 0.5}
    bench.databricks.world.tracking.log_values(run.run, late, newest)
    bench.advance(0.2)
    seen = await look(trainer, "job_1", name, newest - 1)
    assert seen.points[0].step == newest
    assert seen.points[0].values["val_loss"] == 0.5
    assert seen.points[0].values["train_loss"] > 0


async def test_a_run_that_the_list_does_not_have_is_left_out_and_has_not_failed(bench: Bench) -> None:
    trainer = bench.trainer()
    name = await bench.started(trainer)
    gone = RunHandle("job_2", TrainerJobId("ift-gone"))
    assert set(await trainer.observe([gone, RunHandle("job_1", name)])) == {"job_1"}
    bench.runs[0].deleted = True
    assert await trainer.observe([RunHandle("job_1", name)]) == {}


async def test_a_word_that_is_not_known_says_nothing(bench: Bench) -> None:
    trainer = bench.trainer()
    name = await bench.started(trainer)
    bench.databricks.faults.script("unknown_status", GRAPHQL, word="HIBERNATING")
    seen = await look(trainer, "job_1", name)
    assert (seen.state, seen.word) == (RunState.UNKNOWN, "HIBERNATING")
    assert (await look(trainer, "job_1", name)).state is RunState.RUNNING


@pytest.mark.parametrize("started", [False, True])
async def test_what_a_terminating_run_comes_to_is_not_guessed(bench: Bench, *, started: bool) -> None:
    trainer = bench.trainer()
    name = await bench.started(trainer)
    bench.runs[0].status = "TERMINATING"
    if not started:
        bench.runs[0].started = None
    seen = await look(trainer, "job_1", name)
    assert seen.state is (RunState.RUNNING if started else RunState.QUEUED)


async def test_a_failed_run_says_why(bench: Bench) -> None:
    bench.databricks.outcomes.script("job_1", fails_at=0.5, reason="CUDA out of memory.")
    trainer = bench.trainer()
    name = await trainer.submit(bench.request("job_1"))
    bench.advance(0.6)
    seen = await look(trainer, "job_1", name)
    assert (seen.state, seen.error_code, seen.message) == (RunState.FAILED, "TRAINING_FAILED", "CUDA out of memory.")
    assert [(event.kind, event.bad) for event in seen.events][-1] == ("FAILED", True)
    assert seen.points
    assert "FAILED CUDA out of memory." in await trainer.logs(name)


async def test_a_run_that_fails_a_check_says_which(bench: Bench) -> None:
    trainer = bench.trainer()
    name = await trainer.submit(bench.request("job_1", register_as="main.nowhere.desk"))
    bench.advance(0.2)
    bench.runs[0].reason = None
    seen = await look(trainer, "job_1", name)
    assert seen.state is RunState.FAILED
    assert seen.message is not None
    assert "nowhere" in seen.message


async def test_a_cancelled_run_says_by_whom(bench: Bench) -> None:
    trainer = bench.trainer()
    name = await bench.started(trainer)
    await trainer.cancel(name)
    bench.advance(0.05)
    seen = await look(trainer, "job_1", name)
    assert (seen.state, seen.message, seen.error_code) == (RunState.CANCELLED, "Canceled by user.", None)


async def test_pages_that_are_smaller_than_was_asked_for_are_all_read(tmp_path: Path) -> None:
    async with opened(tmp_path, page_max=2) as bench:
        trainer = bench.trainer()
        handles = []
        for job in ("job_1", "job_2", "job_3", "job_4", "job_5"):
            handles.append(RunHandle(job, await trainer.submit(bench.request(job))))
            bench.advance(0.001)
        assert len(await trainer.observe(handles)) == 5


async def test_steps_that_follow_one_another_cost_a_search_and_no_histories(bench: Bench) -> None:
    trainer = bench.trainer()
    name = await bench.started(trainer)
    [run] = bench.runs
    requests, log = bench.databricks.requests, bench.databricks.world.tracking.log_values
    first = await look(trainer, "job_1", name)
    recorded = first.points[-1].step
    told = []
    for _ in range(5):
        newest = max(metric.step for metric in run.run.latest().values())
        keys = [key for key, metric in run.run.latest().items() if metric.step == newest]
        log(run.run, dict.fromkeys(keys, 1.0 / newest), newest + 1)
        run.updated = bench.databricks.clock.now() + newest
        requests.clear()
        seen = await look(trainer, "job_1", name, recorded)
        told += [point.step for point in seen.points]
        recorded = seen.points[-1].step
        assert [call.path for call in requests.to(path=MLFLOW)] == ["/api/2.0/mlflow/runs/search"]
    assert told == list(range(first.points[-1].step + 1, first.points[-1].step + 6))


async def test_histories_of_runs_that_go_on_are_read_at_a_bounded_rate_and_those_of_ended_ones_at_once(
    bench: Bench,
) -> None:
    trainer = bench.trainer(histories_per_second=0.0)
    name = await bench.started(trainer)
    seen = await look(trainer, "job_1", name)
    assert (seen.state, seen.points) == (RunState.RUNNING, ())
    assert bench.databricks.requests.to(path="/api/2.0/mlflow/metrics/*") == []
    bench.advance(1.0)
    seen = await look(trainer, "job_1", name)
    assert seen.state is RunState.SUCCEEDED
    assert [point.step for point in seen.points] == list(range(1, 11))
