"""What was observed of many jobs is written with a few statements, and as it would have been one by one."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from server.domain.status import RunState
from server.reconciler import observation, together
from server.reconciler.findings import find
from server.reconciler.outcomes import write
from server.storage import claims, lanes
from server.storage.claims import Claim
from server.trainers.trainer import Observation, TrainerEvent
from tests.server.scripted_trainer import ARTIFACT, NOON, RegisteringTrainer, point
from tests.server.services.desk import ANNA
from tests.server.workshop import Workshop, opened_workshop

pytestmark = pytest.mark.database

JOBS, EVENTS = 40, 8
MOST_STATEMENTS = 30  # for all of them: what was observed takes six
EVENTS_OF = """
    SELECT sequence, event_type, old_status, new_status, message, event_data, actor FROM training_job_events
    WHERE job_id = :id AND sequence > 2 ORDER BY sequence
"""
POINTS_OF = "SELECT key, step, value, recorded_at FROM training_job_metric_points WHERE job_id = :id ORDER BY key, step"
LATEST_OF = """
    SELECT train_loss, val_loss, learning_rate, epochs_completed, training_duration_seconds, tokens_processed,
        custom_metrics FROM training_job_metrics WHERE job_id = :id
"""
OWN = {"id", "created_at", "updated_at", "started_at", "trained_at", "trainer_job_id", "due_at", "split_seed"}
OWN |= {"submit_started_at", "dataset_digest", "mlflow_run_id"}
SEEN = Observation(
    RunState.RUNNING,
    "busy",
    progress_percent=40,
    current_epoch=1,
    total_epochs=3,
    epochs_completed=1,
    points=[point(1, train_loss=0.1 + 0.2, learning_rate=5e-7), point(2, train_loss=1e-12, val_loss=2.5)],
    tokens_processed=2**53 + 1,
    training_duration_seconds=12.5,
    custom_metrics={"kept": [1, None, "ü"]},
    estimated_end=NOON + timedelta(hours=1),
    events=[TrainerEvent(NOON, "STARTED", "It has begun"), TrainerEvent(NOON, "FAILED", "A node was lost", bad=True)],
)


@contextmanager
def statements(workshop: Workshop) -> Iterator[list[str]]:
    """Those that are sent meanwhile."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:  # noqa: ANN401  (SQLAlchemy's)
        sent.append(statement)

    event.listen(workshop.engine.sync_engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(workshop.engine.sync_engine, "before_cursor_execute", note)


async def observable(workshop: Workshop, *job_ids: str) -> list[Claim]:
    async with workshop.engine.begin() as connection:
        await connection.execute(text("UPDATE observation_lanes SET lease_until = clock_timestamp()"))
        lease = await lanes.take(connection, workshop.trainer.kind.value, 30.0)
        assert isinstance(lease, lanes.LaneLease)
        found = {claim.job_id: claim for claim in await claims.read_observed(connection, job_ids, lease)}
    return [found[job_id] for job_id in job_ids]


async def write_together(workshop: Workshop, seen: Observation, *claims: Claim) -> frozenset[str]:
    runtime = workshop.reconciler.runtime
    outcomes = [(claim, await observation.outcome(runtime, claim, seen, find(claim, seen))) for claim in claims]
    assert claims[0].under is not None
    return await together.write(runtime, claims[0].under, outcomes)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"state": RunState.QUEUED},
        {"points": ()},
        {"events": ()},
        {"state": RunState.SUCCEEDED, "artifact": ARTIFACT},
    ],
    ids=["it begins", "it waits", "without points", "without events", "it is done"],
)
async def test_what_is_written_together_is_what_is_written_alone(workshop: Workshop, changes: dict[str, Any]) -> None:
    seen = replace(SEEN, **changes)
    alone, first, second = [await workshop.queued(training_config={"epochs": 3}) for _ in range(3)]
    await workshop.mirrored()
    await workshop.execute("UPDATE training_jobs SET unreachable_since = clock_timestamp(), mlflow_run_id = 'run'")
    one, *many = await observable(workshop, alone, first, second)
    runtime = workshop.reconciler.runtime
    assert await write(runtime, one, await observation.outcome(runtime, one, seen, find(one, seen)))
    assert await write_together(workshop, seen, *many) == {first, second}

    wanted = await workshop.job(alone)
    for job_id in (first, second):
        job = await workshop.job(job_id)
        assert {name: job[name] for name in job.keys() - OWN} == {name: wanted[name] for name in job.keys() - OWN}
        for name in ("started_at", "trained_at", "due_at"):
            assert (job[name] is None) == (wanted[name] is None)
        for statement in (EVENTS_OF, POINTS_OF, LATEST_OF):
            assert await workshop.desk.rows(statement, id=job_id) == await workshop.desk.rows(statement, id=alone)
        assert await workshop.history(job_id) == await workshop.history(alone)
    assert await write_together(workshop, seen, *many) == frozenset()  # their fences have moved


async def test_a_job_that_another_holds_or_a_person_cancels_is_left_to_them(workshop: Workshop) -> None:
    held, cancelled, free = [await workshop.queued() for _ in range(3)]
    many = await observable(workshop, held, cancelled, free)
    await workshop.jobs.cancel(ANNA, cancelled, None)
    before = await workshop.job(held)
    async with workshop.engine.begin() as connection:
        await connection.execute(text("SELECT id FROM training_jobs WHERE id = :id FOR UPDATE"), {"id": held})
        async with asyncio.timeout(5):
            assert await write_together(workshop, SEEN, *many) == {free}
    assert await workshop.job(held) == before
    assert (await workshop.history(cancelled))[2] == "CANCEL_REQUESTED"


async def test_observations_under_a_lane_that_another_has_taken_write_nothing(workshop: Workshop) -> None:
    job_id = await workshop.queued()
    [claim] = await observable(workshop, job_id)
    await observable(workshop, job_id)  # takes the lane
    assert await write_together(workshop, SEEN, claim) == frozenset()
    assert await workshop.status(job_id) == "QUEUED"


async def test_many_jobs_with_many_events_cost_a_few_statements(database_url: str, tmp_path: Path) -> None:
    trainer = RegisteringTrainer()
    async with opened_workshop(database_url, tmp_path, scripted=trainer) as workshop:
        job_ids = [await workshop.create() for _ in range(JOBS)]
        while await workshop.desk.value("SELECT count(*) FROM training_jobs WHERE status = 'PENDING'"):
            await workshop.poll()
        for job_id in job_ids:
            trainer.say(job_id, RunState.RUNNING, points=[point(1, train_loss=1.0)])
            trainer.events[job_id] = [TrainerEvent(NOON, f"EVENT_{number}", "Told") for number in range(EVENTS)]
        with statements(workshop) as sent:
            await workshop.observe(workshop.reconciler)
        for job_id in job_ids:
            assert len(await workshop.history(job_id)) == 2 + 1 + EVENTS + 1
        assert len(sent) <= MOST_STATEMENTS
