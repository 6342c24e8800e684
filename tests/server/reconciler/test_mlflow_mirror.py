"""The MLflow run beside a job: it follows, and it never holds anything up."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import text

from server.domain.status import JobStatus, RunState
from server.reconciler.mlflow_mirror import STEPS_PER_CALL
from server.storage import metrics, mirrors
from server.storage.metrics import Point
from server.storage.mirrors import MirrorClaim
from tests.server.scripted_trainer import NOON, point
from tests.server.services.desk import ANNA
from tests.server.workshop import Workshop, opened_workshop, succeed
from tests.waiting import until

pytestmark = pytest.mark.database

QUEUED = ["CREATED >PENDING", "SUBMITTED PENDING>QUEUED"]
BEGUN = "STATUS_CHANGE QUEUED>RUNNING"


async def opened(workshop: Workshop, job_id: str) -> None:
    async def noted() -> bool:
        return bool((await workshop.job(job_id))["mlflow_run_id"] == f"mlflow-{job_id}")

    await workshop.eventually(noted)


async def gone(workshop: Workshop) -> None:
    async def nothing_is_left() -> bool:
        return bool(await workshop.desk.value("SELECT NOT EXISTS (SELECT FROM mlflow_mirrors)"))

    await until(nothing_is_left)


def tasks(name: str) -> list[asyncio.Task[None]]:
    return [task for task in asyncio.all_tasks() if task.get_name().startswith(name)]


async def kill(workshop: Workshop) -> None:
    """End the loop of the workshop's own replica as a crash would."""
    await workshop.mirrored()
    loops = tasks("mirror loop")
    for loop in loops:
        loop.cancel()
    await asyncio.gather(*loops, return_exceptions=True)


async def release(workshop: Workshop, claim: MirrorClaim) -> None:
    async with workshop.engine.begin() as connection:
        await mirrors.release(connection, claim)
    workshop.reconciler.runtime.mirror.wake()


async def test_a_run_is_opened_once_the_job_is_queued_and_describes_it(workshop: Workshop) -> None:
    job_id = await workshop.queued()
    await opened(workshop, job_id)
    [facts] = workshop.registry.facts.values()
    job = await workshop.job(job_id)
    assert (facts.job_id, facts.trainer, facts.parameters) == (job_id, "LOCAL", {"epochs": 3})
    assert (facts.dataset_digest, facts.training_sheet_name) == (job["dataset_digest"], "invoice desk")
    assert (facts.train_pairs, facts.val_pairs, facts.created_by) == (4, 1, ANNA.name)
    assert facts.started_at == job["created_at"]
    assert await workshop.history(job_id) == QUEUED


async def test_metrics_are_mirrored_as_they_come(workshop: Workshop) -> None:
    job_id = await workshop.running()
    logged = workshop.registry.points[f"mlflow-{job_id}"]
    for step in (1, 2):
        workshop.trainer.add(job_id, points=[point(step, val_loss=float(step), odd=float("nan"))])
        await workshop.poll()
        await workshop.logged(lambda step=step: logged.get(step) == {"val_loss": float(step)})  # type: ignore[misc]


async def test_a_slow_registry_holds_up_neither_the_first_step_nor_the_looks(workshop: Workshop) -> None:
    workshop.registry.held["start_run"] = asyncio.Event()
    job_id = await workshop.running()
    workshop.trainer.add(job_id, points=[point(1, train_loss=1.0)])
    await workshop.poll()
    assert await workshop.history(job_id) == [*QUEUED, BEGUN, "METRIC_UPDATE"]
    assert workshop.registry.calls == ["start_run"]
    workshop.registry.held.pop("start_run").set()
    await workshop.logged(lambda: workshop.registry.points[f"mlflow-{job_id}"] == {1: {"train_loss": 1.0}})
    assert workshop.registry.calls.count("start_run") == 1


async def test_a_job_is_mirrored_by_one_at_a_time_which_misses_nothing(workshop: Workshop) -> None:
    job_id = await workshop.running()
    await opened(workshop, job_id)
    workshop.registry.held["log_points"] = asyncio.Event()
    for step in (1, 2, 3):
        workshop.trainer.add(job_id, points=[point(step, train_loss=float(step))])
        await workshop.poll()
    await workshop.logged(lambda: "log_points" in workshop.registry.calls)
    workshop.reconciler.runtime.mirror.wake()
    assert workshop.registry.calls.count("log_points") == 1
    workshop.registry.held.pop("log_points").set()
    await workshop.logged(lambda: sorted(workshop.registry.points[f"mlflow-{job_id}"]) == [1, 2, 3])
    assert workshop.registry.calls.count("log_points") <= 3


async def test_points_are_sent_once_over_batches_replicas_and_the_registration(workshop: Workshop) -> None:
    job_id, steps = await workshop.running(), range(1, 2 * STEPS_PER_CALL + 2)
    workshop.trainer.add(job_id, points=[point(step, train_loss=1 / step) for step in steps])
    await workshop.poll()
    await workshop.mirrored()
    assert workshop.registry.calls.count("log_points") == 3
    async with workshop.another() as other:
        succeed(workshop, job_id)
        await workshop.poll(other)
        workshop.registry.fail("log_model", times=1)
        await workshop.poll(other)
        await workshop.mirrored()
    assert await workshop.status(job_id) == "SUCCEEDED"
    assert workshop.registry.calls.count("log_points") == 3
    assert sorted(workshop.registry.points[f"mlflow-{job_id}"]) == list(steps)


async def test_a_registry_that_is_away_is_told_once_and_caught_up_with_later(database_url: str, tmp_path: Path) -> None:
    async with opened_workshop(database_url, tmp_path, first_retry=0.01, longest_retry=0.02) as workshop:
        workshop.registry.fail("start_run")
        job_id = await workshop.running()
        workshop.trainer.add(job_id, points=[point(1, train_loss=1.0)])
        await workshop.poll()
        await workshop.logged(lambda: workshop.registry.calls.count("start_run") >= 4)
        history = await workshop.history(job_id)
        assert sorted(history) == sorted([*QUEUED, BEGUN, "METRIC_UPDATE", "ERROR MLFLOW_UNAVAILABLE"])
        said = "SELECT message FROM training_job_events WHERE event_type = 'ERROR'"
        assert await workshop.desk.value(said) == (
            "MLflow could not be reached; training goes on, and its metrics are sent later"
        )
        workshop.registry.mend()
        await workshop.logged(lambda: workshop.registry.points[f"mlflow-{job_id}"] == {1: {"train_loss": 1.0}})
        await opened(workshop, job_id)


async def test_the_run_of_a_failed_job_ends_as_the_job_did(workshop: Workshop) -> None:
    job_id = await workshop.running()
    await opened(workshop, job_id)
    workshop.trainer.say(job_id, RunState.FAILED, points=[point(1, train_loss=9.0)])
    await workshop.poll()
    await workshop.logged(lambda: workshop.registry.finished == {f"mlflow-{job_id}": JobStatus.FAILED})
    assert workshop.registry.points[f"mlflow-{job_id}"] == {1: {"train_loss": 9.0}}


async def test_a_run_is_finished_however_long_its_registry_is_away(database_url: str, tmp_path: Path) -> None:
    async with opened_workshop(database_url, tmp_path, first_retry=0.001, longest_retry=0.002) as workshop:
        job_id = await workshop.running()
        await opened(workshop, job_id)
        workshop.registry.fail("finish")
        await workshop.jobs.cancel(ANNA, job_id)
        await workshop.poll()
        await workshop.logged(lambda: workshop.registry.calls.count("finish") > 12)
        ended = [*QUEUED, BEGUN, "CANCEL_REQUESTED", "STATUS_CHANGE RUNNING>CANCELLED"]
        assert await workshop.history(job_id) == ended
        workshop.registry.mend()
        await workshop.logged(lambda: workshop.registry.finished == {f"mlflow-{job_id}": JobStatus.CANCELLED})
        await gone(workshop)
        assert await workshop.history(job_id) == ended, "nothing follows the terminal event"


async def test_what_a_server_left_undone_when_it_died_is_done_by_the_next(workshop: Workshop) -> None:
    async with workshop.another() as dying:
        job_id = await workshop.running()
        await opened(workshop, job_id)
        await kill(workshop)
        workshop.trainer.say(job_id, RunState.FAILED, points=[point(1, train_loss=9.0)])
        await workshop.observe(dying)
    assert await workshop.status(job_id) == "FAILED"
    assert workshop.registry.finished == {}
    async with workshop.another():
        await workshop.logged(lambda: workshop.registry.finished == {f"mlflow-{job_id}": JobStatus.FAILED})
        await gone(workshop)
    assert workshop.registry.points[f"mlflow-{job_id}"] == {1: {"train_loss": 9.0}}


async def test_a_run_that_could_not_be_opened_before_its_job_ended_is_opened_after(
    database_url: str, tmp_path: Path
) -> None:
    async with opened_workshop(database_url, tmp_path, first_retry=0.001, longest_retry=0.002) as workshop:
        workshop.registry.fail("start_run")
        job_id = await workshop.running()
        workshop.trainer.say(job_id, RunState.FAILED, points=[point(1, train_loss=9.0)])
        await workshop.poll()
        assert await workshop.status(job_id) == "FAILED"
        workshop.registry.mend()
        await workshop.logged(lambda: workshop.registry.finished == {f"mlflow-{job_id}": JobStatus.FAILED})
        assert workshop.registry.points[f"mlflow-{job_id}"] == {1: {"train_loss": 9.0}}
        await opened(workshop, job_id)


async def test_only_one_replica_opens_a_run(workshop: Workshop) -> None:
    workshop.registry.held["start_run"] = asyncio.Event()
    job_id = await workshop.queued()
    await workshop.logged(lambda: workshop.registry.calls == ["start_run"])
    async with workshop.another() as other:
        async with workshop.engine.begin() as connection:
            assert await mirrors.claim_due(connection, 60) is None
            assert await mirrors.claim_one(connection, job_id, 60) is None
        waiting = asyncio.create_task(other.runtime.mirror.caught_up(job_id))
        workshop.registry.held.pop("start_run").set()
        assert await waiting == f"mlflow-{job_id}"
    assert workshop.registry.calls.count("start_run") == 1


async def test_a_replica_whose_lease_ran_out_while_it_opened_a_run_writes_nothing(workshop: Workshop) -> None:
    workshop.registry.held["start_run"] = asyncio.Event()
    job_id = await workshop.queued()
    await workshop.logged(lambda: workshop.registry.calls == ["start_run"])
    await workshop.execute("UPDATE mlflow_mirrors SET lease_until = clock_timestamp()")
    async with workshop.engine.begin() as connection:
        later = await mirrors.claim_one(connection, job_id, 60)
    assert later is not None
    before = await workshop.job(job_id)
    workshop.registry.held.pop("start_run").set()
    await workshop.logged(lambda: len(workshop.registry.facts) == 1)
    async with asyncio.timeout(20):
        await asyncio.gather(*tasks("mirror job_"))
    assert await workshop.job(job_id) == before
    assert await workshop.desk.one("SELECT fence, lease_until IS NULL FROM mlflow_mirrors") == (later.fence, False)


async def test_a_replica_that_lost_its_lease_stops_before_its_call_has_ended(database_url: str, tmp_path: Path) -> None:
    async with opened_workshop(database_url, tmp_path, lease=0.3) as workshop:
        workshop.registry.held["start_run"] = asyncio.Event()
        job_id = await workshop.queued()
        await workshop.logged(lambda: workshop.registry.calls == ["start_run"])
        await workshop.execute("UPDATE mlflow_mirrors SET fence = fence + 1, lease_until = 'infinity'")
        async with asyncio.timeout(20):
            await asyncio.gather(*tasks(f"mirror {job_id}"))
        assert not workshop.registry.facts


async def test_an_outage_is_told_once_by_replicas_that_meet_it_one_after_the_other(
    database_url: str, tmp_path: Path
) -> None:
    async with opened_workshop(database_url, tmp_path, first_retry=0.001, longest_retry=0.002) as workshop:
        workshop.registry.fail("start_run")
        async with workshop.another(), workshop.another():
            job_id = await workshop.queued()
            await workshop.logged(lambda: workshop.registry.calls.count("start_run") > 12)
        assert await workshop.history(job_id) == [*QUEUED, "ERROR MLFLOW_UNAVAILABLE"]


async def test_new_points_do_not_hasten_a_retry(workshop: Workshop) -> None:
    job_id = await workshop.running()
    await opened(workshop, job_id)
    workshop.registry.fail("log_points")
    workshop.trainer.add(job_id, points=[point(1, train_loss=1.0)])
    await workshop.poll()
    await workshop.logged(lambda: workshop.registry.calls.count("log_points") == 1)
    async with asyncio.timeout(20):
        await asyncio.gather(*tasks("mirror job_"))
    later = "UPDATE mlflow_mirrors SET due_at = due_at + interval '1 hour' RETURNING due_at"
    async with workshop.engine.begin() as connection:
        due_at = (await connection.execute(text(later))).scalar_one()
    workshop.trainer.add(job_id, points=[point(2, train_loss=1.0)])
    await workshop.poll()
    assert await workshop.desk.one("SELECT due_at, failures, logged_step FROM mlflow_mirrors") == (due_at, 1, None)


async def test_a_lane_with_nothing_to_do_writes_nothing(workshop: Workshop) -> None:
    job_id = await workshop.running()
    await opened(workshop, job_id)
    await workshop.mirrored()
    row = "SELECT ctid::text, xmin::text, xmax::text FROM mlflow_mirrors"
    before = await workshop.desk.one(row)
    for _ in range(3):
        workshop.reconciler.runtime.mirror.wake()
        await workshop.poll()
    assert await workshop.desk.one(row) == before


async def test_points_that_come_while_others_are_sent_make_the_mirror_due_again(workshop: Workshop) -> None:
    job_id = await workshop.queued()
    await workshop.mirrored()
    async with workshop.engine.begin() as connection:
        claim = await mirrors.claim_one(connection, job_id, 60)
    assert claim is not None
    async with workshop.engine.begin() as writing:
        await metrics.insert_points(writing, job_id, [Point("train_loss", 1, 1.0, NOON)])
        releasing = asyncio.create_task(release(workshop, claim))
        await workshop.desk.someone_waits()
    await releasing
    await workshop.logged(lambda: workshop.registry.points[f"mlflow-{job_id}"] == {1: {"train_loss": 1.0}})


async def test_closing_gives_back_what_is_under_way(workshop: Workshop) -> None:
    workshop.registry.held["start_run"] = asyncio.Event()
    await kill(workshop)
    async with workshop.another() as other:
        await workshop.create()
        await workshop.poll(other)
        await workshop.logged(lambda: workshop.registry.calls == ["start_run"])
        assert len(tasks("mirror job_")) == 1
    assert tasks("mirror") == []
    assert await workshop.desk.one("SELECT lease_until, due_at <= clock_timestamp() FROM mlflow_mirrors") == (
        None,
        True,
    )
