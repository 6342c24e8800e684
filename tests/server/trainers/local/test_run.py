"""The folder that the server and the training process talk through."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from server.domain.metrics import MetricPoint
from server.domain.status import RunState
from server.trainers.bundle.progress import Progress
from server.trainers.local.run import (
    BLOCK_BYTES,
    Result,
    Run,
    is_held,
    lines_from_the_end,
    queued,
    write_whole,
)
from tests.server.trainers.bench import Bench

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def submitted(tmp_path: Path, job_id: str = "job_1") -> Run:
    return Run.create(tmp_path / "runs", Bench(tmp_path).request(job_id))


def told(epoch: int) -> Progress:
    return Progress(epoch, 3, epoch * 30, epoch * 100, float(epoch))


def test_a_request_is_kept_as_it_was_first_asked(tmp_path: Path) -> None:
    run = submitted(tmp_path)
    Run.create(tmp_path / "runs", replace(Bench(tmp_path).request("job_1"), seed=99))
    assert run.request()["seed"] == 7
    assert run.request()["train_file"] == str(tmp_path / "train.jsonl")


def test_runs_wait_in_the_order_of_their_submission(tmp_path: Path) -> None:
    for moment, job_id in enumerate(["job_b", "job_c", "job_a"]):
        os.utime(submitted(tmp_path, job_id).queue_mark, ns=(moment, moment))
    assert [run.job_id for run in queued(tmp_path / "runs")] == ["job_b", "job_c", "job_a"]
    Run(tmp_path / "runs" / "job_c").mark_started()
    assert [run.job_id for run in queued(tmp_path / "runs")] == ["job_b", "job_a"]
    assert queued(tmp_path / "nowhere") == []


def test_progress_is_read_up_to_a_line_that_is_not_complete_yet(tmp_path: Path) -> None:
    run = submitted(tmp_path)
    assert run.progress() == (None, [])
    points = [MetricPoint(epoch, NOON, {"val_loss": 1 / (epoch + 1)}) for epoch in range(2)]
    for epoch, point in enumerate(points):
        run.tell(told(epoch), point)
    run.tell(told(2), None)
    with (run.folder / "progress.jsonl").open("ab") as file:
        file.write(b'{"progress": {"epoch": 3, "epo')
    assert run.progress() == (told(2), points)


def test_a_look_reads_no_further_back_than_what_was_seen_last(tmp_path: Path) -> None:
    run = submitted(tmp_path)
    (run.folder / "progress.jsonl").write_text("long ago\n" * 3)
    points = [MetricPoint(epoch, NOON, {"val_loss": 1 / (epoch + 1)}) for epoch in range(3)]
    for epoch, point in enumerate(points):
        run.tell(told(epoch), point)
    assert run.progress(after_step=2) == (told(2), [])
    assert run.progress(after_step=0) == (told(2), points[1:])


@given(st.lists(st.binary(max_size=3 * BLOCK_BYTES).map(lambda line: line.replace(b"\n", b" ")), max_size=6))
def test_lines_are_read_from_the_end_whole_and_in_order(lines: list[bytes]) -> None:
    assert list(lines_from_the_end(BytesIO(b"\n".join(lines)))) == lines[:-1][::-1]


def test_lines_of_any_length_are_read_from_the_end() -> None:
    lines = [bytes([48 + number]) * (length * BLOCK_BYTES // 4) for number, length in enumerate((1, 9, 0, 4, 8, 3, 0))]
    assert list(lines_from_the_end(BytesIO(b"\n".join(lines)))) == lines[:-1][::-1]


def test_what_is_new_of_a_long_run_costs_one_block(tmp_path: Path) -> None:
    run = submitted(tmp_path)
    for step in range(500):
        run.tell(told(1), MetricPoint(step, NOON, {"val_loss": 0.5}))
    read: list[int] = []

    class Counted(BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            read.append(size or 0)
            return super().read(size)

    lines = lines_from_the_end(Counted((run.folder / "progress.jsonl").read_bytes()))
    assert json.loads(next(lines))["point"]["step"] == 499
    assert read == [BLOCK_BYTES]
    assert run.progress(after_step=499) == (told(1), [])


def test_the_first_word_on_how_a_run_ended_stands(tmp_path: Path) -> None:
    run = submitted(tmp_path)
    run.end(Result(RunState.SUCCEEDED, custom_metrics={"chance": 0.5}))
    run.end(Result(RunState.FAILED, "TRAINER_CRASHED", "gone"))
    assert run.result() == Result(RunState.SUCCEEDED, custom_metrics={"chance": 0.5})
    assert not run.queue_mark.exists()


def test_a_file_written_by_many_threads_at_once_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda _: write_whole(path, ["word"] * 1000), range(200)))
    assert path.read_text() == str(["word"] * 1000).replace("'", '"')
    assert [left.name for left in tmp_path.iterdir()] == ["file.json"]


def test_a_lock_that_names_nobody_has_no_holder(tmp_path: Path) -> None:
    run = submitted(tmp_path)
    assert run.holder() is None
    assert not is_held(run.lock)
    for content in ("", '{"pid": 1', "17"):
        run.lock.write_text(content)
        assert run.holder() is None


def test_the_log_is_given_from_its_end(tmp_path: Path) -> None:
    run = submitted(tmp_path)
    assert run.log_tail() == ""
    run.log.write_bytes(b"x" * 100_000 + "ünd Schluß\n".encode())
    assert run.log_tail().endswith("xünd Schluß\n")
    assert len(run.log_tail()) < 10_000
