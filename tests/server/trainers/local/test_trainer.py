"""Training in child processes: slots, crashes, restarts, cancelling."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from server.domain.status import RunState
from server.trainers.local import train
from server.trainers.local import trainer as local_trainer
from server.trainers.local.children import EXIT_NO_SLOT
from server.trainers.local.run import Run, held, is_held, write_whole
from server.trainers.local.trainer import LocalTrainer
from server.trainers.trainer import RunHandle, TrainerJobId
from tests.server.trainers import bench
from tests.server.trainers.bench import LONG, Bench, Finished, look, until_state
from tests.waiting import until


async def begun(local: Bench, trainer: LocalTrainer, job_id: str) -> TrainerJobId:
    """A run whose child lives, and will for a while."""
    name = await trainer.submit(local.request(job_id, LONG))
    await until_state(trainer, job_id, name, RunState.RUNNING)
    return name


@contextmanager
def told(trainer: LocalTrainer) -> Iterator[asyncio.Queue[str]]:
    """What the trainer tells of its runs, from whatever thread."""
    loop, heard = asyncio.get_running_loop(), asyncio.Queue[str]()

    def hear(job_id: str) -> None:
        loop.call_soon_threadsafe(heard.put_nowait, job_id)

    unsubscribe = trainer.subscribe(hear)
    try:
        yield heard
    finally:
        unsubscribe()


def child(run: Run) -> psutil.Process:
    holder = run.holder()
    assert holder is not None
    return psutil.Process(holder.pid)


async def until_gone(process: psutil.Process) -> None:
    async def gone() -> bool:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE

    await until(gone)


def test_a_run_tells_of_every_epoch_in_order_and_never_goes_back(finished: Finished) -> None:
    seen = finished.seen
    states = list(dict.fromkeys(observation.state for observation in seen))
    assert states == [RunState.QUEUED, RunState.RUNNING, RunState.SUCCEEDED]
    assert [point.step for point in seen[-1].points] == list(range(21))
    for earlier, later in pairwise(seen):
        assert (earlier.progress_percent or 0) <= (later.progress_percent or 0) < 100
        assert (earlier.current_epoch or 0) <= (later.current_epoch or 0) <= 20
        assert list(later.points[: len(earlier.points)]) == list(earlier.points)


def test_a_run_that_succeeded_has_its_figures_and_its_model(finished: Finished) -> None:
    last = finished.seen[-1]
    assert (last.error_code, last.message) == (None, None)
    assert (last.current_epoch, last.total_epochs) == (20, 20)
    assert (finished.artifact / "MLmodel").is_file()
    assert set(last.points[-1].values) == {
        "learning_rate",
        *(f"{side}_{name}" for side in ("train", "val") for name in ("loss", "accuracy", "recall_at_5")),
    }
    answers = {answer for _, answer in bench.paraphrases()}
    assert last.custom_metrics["candidates"] == len(answers)
    assert last.custom_metrics["chance"] == 1 / len(answers)
    assert last.custom_metrics["untrained_val_accuracy"] == last.points[0].values["val_accuracy"]
    assert last.tokens_processed is not None
    assert last.tokens_processed % 20 == 0
    assert last.tokens_processed > 0
    assert last.training_duration_seconds is not None
    assert last.training_duration_seconds > 0


async def test_only_points_after_the_last_known_step_are_told(finished: Finished) -> None:
    trainer = LocalTrainer(finished.data_dir, slots=1)
    assert [point.step for point in (await look(trainer, "job_done", finished.name, 18)).points] == [19, 20]
    assert (await look(trainer, "job_done", finished.name, 20)).points == []


async def test_the_model_is_all_that_a_run_leaves_behind_beside_its_records(finished: Finished) -> None:
    left = {path.name for path in (finished.data_dir / "runs" / "job_done").iterdir()}
    assert left == {"request.json", "started", "progress.jsonl", "result.json", "run.lock", "child.log", "model"}


async def test_as_many_runs_train_at_once_as_there_are_slots_and_the_rest_in_order(local: Bench) -> None:
    trainer, beside = local.trainer(slots=2), local.trainer(slots=2)
    jobs = ["job_c", "job_a", "job_b", "job_d"]
    names = {job: await trainer.submit(local.request(job, LONG)) for job in jobs}
    handles = [RunHandle(job, name) for job, name in names.items()]

    async def running() -> set[str]:
        seen, others = await asyncio.gather(trainer.observe(handles), beside.observe(handles))
        assert len([job for job in jobs if local.run(job).was_started() and is_held(local.run(job).lock)]) <= 2
        assert set(others) == set(seen)
        return {job for job, observation in seen.items() if observation.state is RunState.RUNNING}

    async def first_two() -> bool:
        return await running() == {"job_c", "job_a"}

    async def next_one() -> bool:
        return await running() == {"job_a", "job_b"}

    await until(first_two)
    child(local.run("job_c")).kill()
    await until(next_one)
    assert (await look(trainer, "job_d", names["job_d"])).state is RunState.QUEUED


async def test_a_run_in_line_is_started_when_a_slot_becomes_free_though_nobody_observes(local: Bench) -> None:
    trainer = local.trainer()
    first = await begun(local, trainer, "job_1")
    second = await trainer.submit(local.request("job_2", LONG))
    assert not (await look(trainer, "job_1", first)).waits
    assert (await look(trainer, "job_2", second)).waits
    with told(trainer) as heard:
        child(local.run("job_1")).kill()
        assert await heard.get() == "job_2", "it was started"
        assert await heard.get() == "job_1", "it has ended"
    assert not (await look(trainer, "job_2", second)).waits
    await until_state(trainer, "job_2", second, RunState.RUNNING)


async def test_the_end_of_a_child_of_an_earlier_server_lets_the_next_in_line_begin(
    local: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier, later = local.trainer(), local.trainer()
    name = await begun(local, earlier, "job_1")
    await earlier.submit(local.request("job_2", LONG))
    monkeypatch.setattr(earlier._children, "start_queued", lambda: None)  # its process is gone
    assert (await look(later, "job_1", name)).state is RunState.RUNNING
    with told(later) as heard:
        child(local.run("job_1")).kill()
        assert [await heard.get() for _ in range(2)] == ["job_2", "job_1"]


async def test_nothing_is_kept_of_children_whose_runs_have_their_end(
    local: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = local.trainer()
    killed = await begun(local, trainer, "job_killed")
    child(local.run("job_killed")).kill()
    await until_state(trainer, "job_killed", killed, RunState.FAILED)
    done = await trainer.submit(local.request("job_done", {"epochs": 1}))
    await until_state(trainer, "job_done", done, RunState.SUCCEEDED)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    broken = await trainer.submit(local.request("job_broken"))
    await until_state(trainer, "job_broken", broken, RunState.FAILED)

    async def forgotten() -> bool:
        await trainer.observe([RunHandle("job_done", done)])
        return not (trainer._children._started or trainer._children._awaited_exits)

    await until(forgotten)
    assert trainer._children._exits == {}


async def test_a_killed_child_is_a_failure_with_its_reason(local: Bench) -> None:
    trainer = local.trainer()
    name = await begun(local, trainer, "job_1")
    child(local.run("job_1")).kill()
    seen = await until_state(trainer, "job_1", name, RunState.FAILED)
    assert seen.error_code == "TRAINER_CRASHED"
    assert seen.message is not None
    assert "SIGKILL" in seen.message
    assert seen.artifact is None
    assert (await look(local.trainer(), "job_1", name)).message == seen.message


async def test_a_killed_child_of_an_earlier_server_is_a_failure_too(local: Bench) -> None:
    trainer, later = local.trainer(), local.trainer()
    name = await begun(local, trainer, "job_1")
    process = child(local.run("job_1"))
    process.kill()
    await until_gone(process)
    seen = await look(later, "job_1", name)
    assert (seen.state, seen.error_code) == (RunState.FAILED, "TRAINER_CRASHED")


async def test_a_child_that_begins_while_it_is_looked_for_is_not_taken_for_dead(
    local: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = local.trainer(slots=0)
    name = await trainer.submit(local.request("job_1"))
    run = local.run("job_1")

    def begins_just_after(path: Path) -> bool:
        run.mark_started()
        return False

    monkeypatch.setattr(local_trainer, "is_held", begins_just_after)
    assert (await look(trainer, "job_1", name)).state is RunState.QUEUED
    assert run.result() is None


async def test_a_run_that_waited_when_the_server_ended_is_started_by_the_next(local: Bench) -> None:
    busy = local.trainer(slots=0)
    name = await busy.submit(local.request("job_1", LONG))
    assert (await look(busy, "job_1", name)).state is RunState.QUEUED
    await until_state(local.trainer(slots=1), "job_1", name, RunState.RUNNING)


def test_a_second_child_leaves_a_run_alone_that_another_has_begun(tmp_path: Path) -> None:
    run = Run.create(tmp_path, Bench(tmp_path).request("job_1"))
    run.mark_started()
    assert train.main([str(run.folder), "1"]) == EXIT_NO_SLOT
    assert run.result() is None
    assert run.progress() == (None, [])
    assert run.holder() is None


async def test_cancelling_ends_the_child_in_the_midst_of_its_training(local: Bench) -> None:
    trainer = local.trainer()
    name = await begun(local, trainer, "job_1")

    async def trains() -> bool:
        return len((await look(trainer, "job_1", name)).points) > 1

    await until(trains)
    process = child(local.run("job_1"))
    await trainer.cancel(name)
    seen = await until_state(trainer, "job_1", name, RunState.CANCELLED)
    await until_gone(process)
    result = local.run("job_1").result()
    assert result is not None
    assert result.training_duration_seconds is not None  # the child's own word
    assert (seen.error_code, seen.artifact) == (None, None)
    assert len(seen.points) < 1000


def test_a_child_stops_for_a_signal_or_for_the_word_left_in_its_folder(tmp_path: Path) -> None:
    signalled, left = Run(tmp_path / "job_1"), Run(tmp_path / "job_2")
    for run in (signalled, left):
        run.folder.mkdir()
        assert not train._Stop(run)()
    stop = train._Stop(signalled)
    stop.now()
    left.ask_to_cancel()
    assert stop()
    assert train._Stop(left)()


def test_an_error_of_the_child_is_told_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    request = Bench(tmp_path).request("job_1")
    run = Run.create(tmp_path, replace(request, train_file=tmp_path / "missing.jsonl"))
    failed = train._outcome(run, lambda: False, 1)
    assert (failed.state, failed.error_code) == (RunState.FAILED, "TRAINING_ERROR")
    assert failed.message == "No such file or directory"
    assert "missing.jsonl" in capsys.readouterr().err
    run = Run.create(tmp_path, replace(request, job_id="job_2", train_file=tmp_path / "odd.jsonl"))
    (tmp_path / "odd.jsonl").write_text('{"messages": []}\n')
    failed = train._outcome(run, lambda: False, 1)
    assert (failed.state, failed.error_code) == (RunState.FAILED, "TRAINING_ERROR")


async def test_a_child_that_does_not_stop_is_killed(local: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = local.trainer()
    name = await begun(local, trainer, "job_1")
    process = child(local.run("job_1"))
    process.send_signal(signal.SIGSTOP)
    await trainer.cancel(name)
    assert (await look(trainer, "job_1", name)).state is RunState.RUNNING
    monkeypatch.setattr(local_trainer, "STOP_SECONDS", 0.0)
    await until_state(trainer, "job_1", name, RunState.CANCELLED)
    await until_gone(process)


async def test_a_waiting_run_that_is_cancelled_never_starts(local: Bench) -> None:
    trainer = local.trainer(slots=0)
    name = await trainer.submit(local.request("job_1"))
    await trainer.cancel(name)
    assert (await look(trainer, "job_1", name)).state is RunState.CANCELLED
    later = local.trainer(slots=1)
    await later.submit(local.request("job_1"))
    assert (await look(later, "job_1", name)).state is RunState.CANCELLED
    assert not local.run("job_1").was_started()
    assert later._children._started == {}


@asynccontextmanager
async def bystander() -> AsyncIterator[psutil.Popen]:
    """A process that has nothing to do with any run."""
    process = psutil.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        yield process
    finally:
        process.communicate()


@pytest.mark.parametrize(("age", "lock_held"), [(100.0, True), (0.0, False)])
async def test_only_the_process_that_holds_the_lock_is_signalled(local: Bench, age: float, *, lock_held: bool) -> None:
    trainer = local.trainer(slots=0)
    name = await trainer.submit(local.request("job_1"))
    run = local.run("job_1")
    async with bystander() as process:
        write_whole(run.lock, {"pid": process.pid, "created": process.create_time() - age})
        if lock_held:
            with held(run.lock) as lock:
                assert lock is not None
                await trainer.cancel(name)
        else:
            await trainer.cancel(name)
        assert process.is_running()
    assert process.returncode == 1  # input() at the end of its input, and no signal


async def test_two_who_ask_for_a_lock_do_not_see_each_other(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.touch()
    answers = await asyncio.gather(*(asyncio.to_thread(is_held, lock) for _ in range(200)))
    assert not any(answers)
    with held(lock):
        assert is_held(lock)


async def test_runs_of_another_data_folder_are_left_out(local: Bench, tmp_path: Path) -> None:
    other = Bench(tmp_path / "elsewhere")
    other.data_dir.mkdir()
    trainer, stranger = local.trainer(slots=0), other.trainer(slots=0)
    name = await trainer.submit(local.request("job_1"))
    foreign = await stranger.submit(other.request("job_1"))
    assert name != foreign
    seen = await trainer.observe([RunHandle("job_1", foreign), RunHandle("job_2", TrainerJobId("something"))])
    assert seen == {}
    await trainer.cancel(foreign)
    assert (await look(stranger, "job_1", foreign)).state is RunState.QUEUED
    assert await trainer.logs(foreign) == ""


async def test_a_run_whose_folder_was_deleted_has_failed(local: Bench) -> None:
    trainer = local.trainer(slots=0)
    name = await trainer.submit(local.request("job_1"))
    (local.run("job_1").folder / "request.json").unlink()
    seen = await look(trainer, "job_1", name)
    assert (seen.state, seen.error_code) == (RunState.FAILED, "RUN_FOLDER_GONE")
    local.run("job_1").leave_queue()


async def test_a_child_that_can_not_even_start_is_a_failure_and_is_not_tried_for_ever(
    local: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    trainer = local.trainer()
    name = await trainer.submit(local.request("job_1"))
    seen = await until_state(trainer, "job_1", name, RunState.FAILED)
    assert seen.error_code == "TRAINER_CRASHED"
    assert seen.message == "the training process ended with exit status 1"


async def test_a_child_knows_no_secret_and_is_in_a_session_of_its_own(
    local: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://somebody:secret@localhost/tunegraph")
    monkeypatch.setenv("DATABRICKS_TOKEN", "secret")
    trainer = local.trainer()
    await begun(local, trainer, "job_1")
    process = child(local.run("job_1"))
    surroundings = process.environ()
    assert "secret" not in " ".join(surroundings.values())
    assert surroundings["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert os.getsid(process.pid) == process.pid


def test_importing_the_trainer_brings_no_heavy_library() -> None:
    program = (
        "import sys, server.trainers.local.trainer; print({'numpy', 'sklearn', 'mlflow', 'pandas'} & {*sys.modules})"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout == b"set()\n"
