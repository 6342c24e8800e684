"""A job from its creation to its end, as the trainer tells it."""

import math
import threading
from collections import UserDict
from collections.abc import ItemsView

import pytest

from server.domain.metrics import MetricPoint
from server.domain.status import JobStatus, RunState
from tests.server.scripted_trainer import ARTIFACT, NOON, away, point
from tests.server.workshop import Workshop, succeed

pytestmark = pytest.mark.database

CREATED_AND_SUBMITTED = ["CREATED >PENDING", "SUBMITTED PENDING>QUEUED"]
STARTED = [*CREATED_AND_SUBMITTED, "STATUS_CHANGE QUEUED>RUNNING"]


async def test_a_job_goes_from_pending_to_registered_with_one_event_for_each_change(workshop: Workshop) -> None:
    job_id = await workshop.create(register_to_uc=True, uc_catalog="main", uc_schema="desk")
    assert await workshop.status(job_id) == "PENDING"
    assert await workshop.poll() == 1
    workshop.trainer.say(
        job_id, RunState.RUNNING, progress_percent=33, current_epoch=1, points=[point(1, train_loss=2.5)]
    )
    assert await workshop.poll() == 1
    assert await workshop.poll() == 1
    succeed(workshop, job_id, points=[point(1, train_loss=2.5), point(2, train_loss=1.5)])
    assert await workshop.poll() == 1
    assert await workshop.poll() == 1
    assert await workshop.poll() == 0
    assert await workshop.history(job_id) == [
        *STARTED,
        "METRIC_UPDATE",
        "METRIC_UPDATE",
        "MODEL_REGISTERED",
        "STATUS_CHANGE RUNNING>SUCCEEDED",
    ]
    job = await workshop.job(job_id)
    run_id = f"mlflow-{job_id}"
    assert (job["progress_percent"], job["uc_model_version"], job["mlflow_run_id"]) == (100, "1", run_id)
    assert job["started_at"] < job["completed_at"] <= job["updated_at"]
    assert (job["trainer_job_id"], job["lease_until"]) == (f"run-{job_id}", None)
    assert workshop.registry.models == {run_id: ARTIFACT}
    assert workshop.registry.points[run_id] == {1: {"train_loss": 2.5}, 2: {"train_loss": 1.5}}
    assert workshop.registry.finished == {run_id: JobStatus.SUCCEEDED}
    assert await workshop.desk.value("SELECT model_version FROM training_job_lineage") == "1"


async def test_the_request_carries_the_frozen_pairs_and_the_configuration(workshop: Workshop) -> None:
    job_id = await workshop.queued(split_seed=7, training_config={"epochs": 2, "note": "kept"})
    [request] = workshop.trainer.requests
    job = await workshop.job(job_id)
    assert (request.job_id, request.seed, request.config) == (job_id, 7, {"epochs": 2, "note": "kept"})
    assert len(request.train_file.read_bytes().splitlines()) == job["train_pairs"] == 4
    assert len(request.validation_file.read_bytes().splitlines()) == job["val_pairs"] == 1
    assert request.dataset_digest == job["dataset_digest"]
    assert job["total_epochs"] == 2


async def test_a_run_seen_done_while_queued_passes_running_in_the_same_transaction(workshop: Workshop) -> None:
    job_id = await workshop.queued()
    succeed(workshop, job_id)
    await workshop.poll()
    assert await workshop.history(job_id) == [*STARTED, "PROGRESS_UPDATE"]
    job = await workshop.job(job_id)
    assert (job["status"], job["progress_percent"]) == ("RUNNING", 99)
    assert job["trained_at"] is not None
    await workshop.poll()
    assert (await workshop.history(job_id))[-1] == "STATUS_CHANGE RUNNING>SUCCEEDED"


async def test_a_failed_run_fails_the_job_with_the_reason_and_the_end_of_its_log(workshop: Workshop) -> None:
    job_id = await workshop.running()
    workshop.trainer.log_text = "x" * 10_000 + "it's out of memory\x00"
    workshop.trainer.say(job_id, RunState.FAILED, error_code="OUT_OF_MEMORY", message="killed: it's 'too' big; --")
    await workshop.poll()
    job = await workshop.job(job_id)
    assert (job["status"], job["error_code"], job["error_message"]) == (
        "FAILED",
        "OUT_OF_MEMORY",
        "killed: it's 'too' big; --",
    )
    assert await workshop.history(job_id) == [*STARTED, "STATUS_CHANGE RUNNING>FAILED"]
    tail = (await workshop.last_event(job_id))["event_data"]["log_tail"]
    assert len(tail) == 4096
    assert tail.endswith("it's out of memory\ufffd")


async def test_a_run_that_fails_while_queued_fails_the_job_without_its_log_when_that_hangs(workshop: Workshop) -> None:
    job_id = await workshop.queued()
    workshop.trainer.fault("logs", away())
    workshop.trainer.say(job_id, RunState.FAILED)
    await workshop.poll()
    assert await workshop.history(job_id) == [*CREATED_AND_SUBMITTED, "STATUS_CHANGE QUEUED>FAILED"]
    event = await workshop.last_event(job_id)
    assert event["event_data"] == {
        "error_code": "TRAINING_FAILED",
        "error_message": "The trainer gave no reason; its word was 'it is failed'",
        "log_tail": None,
    }


async def test_a_run_that_nobody_here_cancelled_says_so(workshop: Workshop) -> None:
    job_id = await workshop.running()
    workshop.trainer.say(job_id, RunState.CANCELLED, "STOPPED", message="quota")
    await workshop.poll()
    event = await workshop.last_event(job_id)
    assert (event["old_status"], event["new_status"], event["actor"]) == ("RUNNING", "CANCELLED", None)
    assert event["message"] == "The trainer cancelled the run; nobody asked for it here"
    assert event["event_data"] == {"word": "STOPPED", "reason": "quota"}


async def test_an_unknown_word_keeps_the_job_and_is_told_once_for_each_word(workshop: Workshop) -> None:
    job_id = await workshop.running()
    for word in ("HIBERNATING", "HIBERNATING", "DREAMING", "HIBERNATING"):
        workshop.trainer.say(job_id, RunState.UNKNOWN, word)
        await workshop.poll()
    assert await workshop.history(job_id) == [*STARTED, "ERROR UNKNOWN_STATUS", "ERROR UNKNOWN_STATUS"]
    job = await workshop.job(job_id)
    assert (job["status"], job["failures"]) == ("RUNNING", 0)
    assert (await workshop.last_event(job_id))["message"] == (
        "The trainer said 'DREAMING', which is not known here; the job stays as it is"
    )


async def test_a_run_that_falls_back_to_the_queue_does_not_move_its_job_back(workshop: Workshop) -> None:
    job_id = await workshop.running()
    workshop.trainer.say(job_id, RunState.QUEUED)
    await workshop.poll()
    assert await workshop.history(job_id) == STARTED
    assert await workshop.status(job_id) == "RUNNING"


async def test_progress_never_goes_back_nor_past_what_is_certain(workshop: Workshop) -> None:
    job_id = await workshop.running()
    seen = []
    for percent in (40, 10, None, 250, -5):
        workshop.trainer.add(job_id, progress_percent=percent)
        await workshop.poll()
        seen.append((await workshop.job(job_id))["progress_percent"])
    assert seen == [40, 40, 40, 99, 99]
    assert await workshop.history(job_id) == [*STARTED, "PROGRESS_UPDATE", "PROGRESS_UPDATE"]


async def test_looks_that_bring_nothing_write_no_event(workshop: Workshop) -> None:
    job_id = await workshop.running()
    workshop.trainer.add(job_id, training_duration_seconds=1.0, tokens_processed=100)
    before = await workshop.job(job_id)
    for seconds in range(5):
        workshop.trainer.add(job_id, training_duration_seconds=float(seconds))
        await workshop.poll()
    after = await workshop.job(job_id)
    assert await workshop.history(job_id) == STARTED
    assert before == after


async def test_points_are_written_once_and_the_latest_values_kept_beside_them(workshop: Workshop) -> None:
    job_id = await workshop.running()
    points = [point(1, train_loss=2.0, val_accuracy=0.1, odd=7.0), point(2, train_loss=1.0)]
    for _ in range(2):  # a trainer may say again what it has said
        workshop.trainer.say(
            job_id,
            RunState.RUNNING,
            points=points,
            epochs_completed=1,
            tokens_processed=2**40,
            custom_metrics={"a": [math.nan, "x\x00"]},
        )
        await workshop.poll()
    rows = await workshop.desk.rows("SELECT key, step, value FROM training_job_metric_points ORDER BY step, key")
    assert rows == [("odd", 1, 7.0), ("train_loss", 1, 2.0), ("val_accuracy", 1, 0.1), ("train_loss", 2, 1.0)]
    latest = "SELECT train_loss, val_accuracy, val_loss, epochs_completed, tokens_processed, custom_metrics"
    assert await workshop.desk.one(f"{latest} FROM training_job_metrics") == (
        1.0,
        0.1,
        None,
        1,
        2**40,
        {"a": [None, "x\ufffd"]},
    )
    assert await workshop.history(job_id) == [*STARTED, "METRIC_UPDATE"]
    event = await workshop.last_event(job_id)
    assert event["event_data"] == {"step": 2, "epoch": None, "progress_percent": 0, "values": {"train_loss": 1.0}}
    assert event["message"] == "Step 2: train_loss 1"
    assert [handles[0].after_step for handles in workshop.trainer.observed[-2:]] == [None, 2]


async def test_epochs_completed_are_those_that_the_trainer_counts_and_not_its_steps(workshop: Workshop) -> None:
    job_id, latest = await workshop.running(), "SELECT epochs_completed FROM training_job_metrics"
    workshop.trainer.say(job_id, RunState.RUNNING, points=[point(412, train_loss=1.0)], epochs_completed=1)
    await workshop.poll()
    assert await workshop.desk.value(latest) == 1
    workshop.trainer.say(job_id, RunState.RUNNING, points=[point(413, train_loss=1.0)])
    await workshop.poll()
    assert await workshop.desk.value(latest) == 1


async def test_points_are_looked_through_beside_the_event_loop(workshop: Workshop) -> None:
    job_id, threads = await workshop.running(), set[threading.Thread]()

    class Values(UserDict[str, float]):
        def items(self) -> ItemsView[str, float]:
            threads.add(threading.current_thread())
            return super().items()

    workshop.trainer.add(job_id, points=[MetricPoint(1, NOON, Values(val_loss=0.5))])
    await workshop.poll()
    assert await workshop.desk.value("SELECT count(*) FROM training_job_metric_points") == 1
    assert threads
    assert threading.current_thread() not in threads


async def test_a_diverging_run_leaves_gaps_and_says_so_once(workshop: Workshop) -> None:
    job_id = await workshop.running()
    for step, loss in enumerate((1.0, math.nan, math.inf), start=1):
        workshop.trainer.add(job_id, points=[point(step, train_loss=loss)])
        await workshop.poll()
    rows = await workshop.desk.rows("SELECT step, value FROM training_job_metric_points ORDER BY step")
    assert rows == [(1, 1.0), (2, None), (3, None)]
    assert await workshop.desk.value("SELECT train_loss FROM training_job_metrics") is None
    assert await workshop.history(job_id) == [
        *STARTED,
        "METRIC_UPDATE",
        "METRIC_UPDATE",
        "ERROR DIVERGED",
        "METRIC_UPDATE",
    ]
    said = "SELECT message, event_data FROM training_job_events WHERE event_type = 'ERROR'"
    assert await workshop.desk.one(said) == (
        "The run diverged: train_loss is not finite at step 2",
        {"code": "DIVERGED", "key": "train_loss", "step": 2},
    )


async def test_an_outage_is_told_once_and_leaves_the_status_as_it_is(workshop: Workshop) -> None:
    job_id = await workshop.running()
    workshop.trainer.fault("observe", away(), times=3)
    told = None
    for _ in range(3):
        await workshop.poll()
        job = await workshop.job(job_id)
        assert (job["status"], job["failures"]) == ("RUNNING", 1)
        assert job["unreachable_since"] is not None
        assert told in {None, job["updated_at"]}, "written when it begins"
        told = job["updated_at"]
    await workshop.poll()
    job = await workshop.job(job_id)
    assert (job["failures"], job["unreachable_since"]) == (0, None)
    assert await workshop.history(job_id) == [*STARTED, "ERROR TRAINER_UNAVAILABLE"]
    assert (await workshop.last_event(job_id))["message"] == "The trainer is away; it is tried again"
    workshop.trainer.fault("observe", ValueError("garbage"))
    await workshop.poll()
    assert await workshop.history(job_id) == [*STARTED, *["ERROR TRAINER_UNAVAILABLE"] * 2]


async def test_an_observation_that_makes_no_sense_concerns_its_own_job_only(workshop: Workshop) -> None:
    broken, healthy = await workshop.queued(), await workshop.queued()
    workshop.trainer.say(broken, RunState.RUNNING, points=[point(1, train_loss="high")])  # type: ignore[arg-type]
    workshop.trainer.say(healthy, RunState.RUNNING)
    await workshop.poll()
    assert await workshop.status(healthy) == "RUNNING"
    assert await workshop.history(broken) == [*CREATED_AND_SUBMITTED, "ERROR TRAINER_UNAVAILABLE"]


async def test_whatever_a_trainer_says_of_an_ended_job_changes_nothing(workshop: Workshop) -> None:
    job_id = await workshop.running()
    workshop.trainer.say(job_id, RunState.FAILED)
    await workshop.poll()
    before = await workshop.job(job_id)
    for state in RunState:
        workshop.trainer.say(job_id, state)
        assert await workshop.poll() == 0
    after = await workshop.job(job_id)
    assert before == after
