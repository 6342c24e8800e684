"""Whatever a trainer says of a run can be written: what can't be true or stored is taken as not told."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as some

from server.domain.metrics import MetricPoint
from server.domain.status import RunState
from server.reconciler.findings import clean
from server.trainers.trainer import Observation, TrainerEvent
from tests.server.scripted_trainer import NOON, RegisteringTrainer
from tests.server.workshop import Workshop, opened_workshop

JOBS = 40
ROUNDS = 3
BEGUN = ["CREATED >PENDING", "SUBMITTED PENDING>QUEUED", "STATUS_CHANGE QUEUED>RUNNING"]
IMPOSSIBLE = "ERROR IMPOSSIBLE_VALUE"

edges = some.sampled_from([-1, 0, 2**31 - 1, 2**31, 2**63 - 1, 2**63, 10**400])
wholes = some.none() | edges | some.integers(-(2**70), 2**70)
floats = some.floats() | some.just(10**400)
times = some.datetimes(timezones=some.none() | some.sampled_from([UTC, timezone(timedelta(hours=14))]))
texts = some.text(some.characters(), max_size=300)
points = some.builds(MetricPoint, edges | some.integers(0, 50), times, some.dictionaries(texts, floats, max_size=3))
json = some.recursive(
    some.none() | some.booleans() | floats | wholes | texts,
    lambda inner: some.lists(inner, max_size=2) | some.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
observations = some.builds(
    Observation,
    state=some.sampled_from([RunState.QUEUED, RunState.RUNNING, RunState.UNKNOWN]),
    word=texts,
    progress_percent=wholes,
    current_epoch=wholes,
    total_epochs=wholes,
    epochs_completed=wholes,
    points=some.lists(points, max_size=3),
    tokens_processed=wholes,
    training_duration_seconds=some.none() | floats,
    custom_metrics=some.dictionaries(texts, json, max_size=2),
    events=some.lists(some.builds(TrainerEvent, times, texts, texts, some.booleans()), max_size=2),
    estimated_end=some.none() | times,
    mlflow_run_id=some.none() | texts,
)


def drawn(number: int) -> list[Observation]:
    seen: list[Observation] = []

    @settings(
        max_examples=number,
        phases=[Phase.generate],
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
        deadline=None,
    )
    @given(observations)
    def note(observation: Observation) -> None:
        seen.append(observation)

    note()
    return seen


@pytest.mark.database
async def test_any_observation_is_written(database_url: str, tmp_path: Any) -> None:  # noqa: ANN401  (pytest's path)
    trainer = RegisteringTrainer()
    async with opened_workshop(database_url, tmp_path, scripted=trainer) as workshop:
        job_ids = [await workshop.create() for _ in range(JOBS)]
        await workshop.poll()
        seen = drawn(JOBS * ROUNDS)
        for first in range(0, len(seen), JOBS):
            for job_id, observation in zip(job_ids, seen[first : first + JOBS], strict=False):
                trainer.runs[job_id] = observation
                trainer.events[job_id] = list(observation.events)
            while await workshop.desk.value("SELECT count(*) FROM training_jobs WHERE status = 'PENDING'"):
                await workshop.poll()
            await workshop.poll()
        failed = "SELECT count(*) FROM training_job_events WHERE event_data ->> 'code' = 'INTERNAL_ERROR'"
        assert await workshop.desk.value(failed) == 0
        assert await workshop.desk.value("SELECT count(*) FROM training_jobs WHERE unreachable_since IS NOT NULL") == 0
        assert await workshop.desk.value("SELECT count(*) FROM training_job_metric_points") > JOBS


@pytest.mark.database
@pytest.mark.parametrize(
    ("told", "name"),
    [
        ({"current_epoch": 2**31}, "current epoch"),
        ({"current_epoch": -1}, "current epoch"),
        ({"total_epochs": 2**31}, "total epochs"),
        ({"epochs_completed": 2**31}, "epochs completed"),
        ({"tokens_processed": 2**63}, "tokens"),
        ({"training_duration_seconds": math.nan}, "duration"),
        ({"training_duration_seconds": -1.0}, "duration"),
        ({"estimated_end": datetime.min.replace(tzinfo=UTC)}, "estimated end"),
        ({"estimated_end": datetime(9999, 12, 31, tzinfo=timezone(timedelta(hours=-14)))}, "estimated end"),
        ({"estimated_end": datetime(2026, 11, 28)}, "estimated end"),  # noqa: DTZ001  (that is what is wrong with it)
        ({"points": [MetricPoint(2**63, NOON, {"loss": 1.0})]}, "step"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_can_not_be_true_is_said_once_and_what_was_known_stays(
    workshop: Workshop, told: dict[str, Any], name: str
) -> None:
    job_id = await workshop.running()
    workshop.trainer.say(job_id, RunState.RUNNING, current_epoch=1, total_epochs=3, estimated_end=NOON)
    await workshop.poll()
    before = await workshop.job(job_id)
    workshop.trainer.runs[job_id] = replace(workshop.trainer.runs[job_id], **told)
    for _ in range(2):
        await workshop.poll()
    after = await workshop.job(job_id)
    assert await workshop.history(job_id) == [*BEGUN, IMPOSSIBLE]
    event = await workshop.last_event(job_id)
    assert event["message"] == f"The trainer told a value that can't be true ({name}); it is taken as not told"
    kept = (
        "current_epoch",
        "total_epochs",
        "estimated_end_at",
        "mlflow_run_id",
        "last_metric_step",
        "unreachable_since",
    )
    assert {column: after[column] for column in kept} == {column: before[column] for column in kept}


@pytest.mark.database
async def test_a_point_of_an_impossible_time_is_kept_with_the_time_of_writing(workshop: Workshop) -> None:
    job_id = await workshop.running()
    long_ago = datetime.min.replace(tzinfo=UTC)
    workshop.trainer.say(job_id, RunState.RUNNING, points=[MetricPoint(1, long_ago, {"loss": 1.0, "odd": 10**400})])
    await workshop.poll()
    rows = await workshop.desk.rows(
        "SELECT key, value, now() - recorded_at < interval '1 minute' FROM training_job_metric_points ORDER BY key"
    )
    assert rows == [("loss", 1.0, True), ("odd", None, True)]


@given(texts)
def test_a_text_from_outside_can_be_stored(text: str) -> None:
    cleaned = clean(text, 250)
    assert "\x00" not in cleaned
    assert cleaned.encode().decode() == cleaned
    assert len(cleaned) <= 250
