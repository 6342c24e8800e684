"""Metrics: each point once, the latest values beside them."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.event import listen

from server.domain.metrics import MetricPoint
from server.storage import metrics
from server.storage.metrics import Point
from tests.server.scripted_trainer import NOON
from tests.server.workshop import Workshop, opened_workshop

pytestmark = pytest.mark.database


@pytest.fixture
async def workshop(database_url: str, tmp_path: Path) -> AsyncIterator[Workshop]:
    async with opened_workshop(database_url, tmp_path) as workshop:
        yield workshop


async def test_a_point_stays_as_it_was_first_written(workshop: Workshop) -> None:
    job_id = await workshop.create()
    later = NOON + timedelta(seconds=1)
    async with workshop.engine.begin() as connection:
        await metrics.insert_points(connection, job_id, [Point("loss", 1, 2.0, NOON), Point("loss", 1, 3.0, NOON)])
        again = [Point("loss", 1, 9.0, later), Point("loss", 2, None, later), Point("odd", 2**62, 1.0, later)]
        await metrics.insert_points(connection, job_id, again)
    rows = await workshop.desk.rows(
        "SELECT key, step, value, recorded_at FROM training_job_metric_points ORDER BY key, step"
    )
    assert rows == [("loss", 1, 2.0, NOON), ("loss", 2, None, later), ("odd", 2**62, 1.0, later)]


async def test_many_points_are_written_in_portions_that_are_encoded_quickly(workshop: Workshop) -> None:
    job_id, many = await workshop.create(), 2 * metrics.WRITTEN_AT_ONCE + 1
    portions: list[int] = []

    def note(*arguments: Any) -> None:  # noqa: ANN401  (a statement's, as SQLAlchemy hands them over)
        lists = [value for value in arguments[3] if isinstance(value, list)]
        portions.append(max(map(len, lists)))

    async with workshop.engine.begin() as connection:
        listen(connection.sync_connection, "before_cursor_execute", note)
        await metrics.insert_points(connection, job_id, [Point("loss", step, 1.0, NOON) for step in range(many)])
    assert portions == [metrics.WRITTEN_AT_ONCE, metrics.WRITTEN_AT_ONCE, 1]
    written = "SELECT count(*), min(step), max(step) FROM training_job_metric_points"
    assert await workshop.desk.one(written) == (many, 0, many - 1)


async def test_steps_are_read_whole_in_order_and_in_pages(workshop: Workshop) -> None:
    job_id, other = await workshop.create(), await workshop.create()
    points = [Point(key, step, step / 10, NOON) for step in range(5) for key in ("b", "a")]
    async with workshop.engine.begin() as connection:
        await metrics.insert_points(connection, job_id, [*points, Point("a", 7, None, NOON)])
        await metrics.insert_points(connection, other, [Point("a", 9, 1.0, NOON)])
        steps = [MetricPoint(step, NOON, {"a": step / 10, "b": step / 10}) for step in range(5)]
        assert await metrics.steps_after(connection, job_id, None) == steps
        assert await metrics.steps_after(connection, job_id, None, 2) == steps[:2]
        assert await metrics.steps_after(connection, job_id, 1, 2) == steps[2:4]
        assert await metrics.steps_after(connection, job_id, 4) == []


async def test_latest_values_that_are_not_given_stay(workshop: Workshop) -> None:
    job_id = await workshop.create()
    async with workshop.engine.begin() as connection:
        await metrics.upsert_latest(connection, job_id, {"train_loss": 1.0, "tokens_processed": 2**40})
        await metrics.upsert_latest(connection, job_id, {"train_loss": None, "val_loss": 0.5})
    latest = "SELECT train_loss, val_loss, tokens_processed FROM training_job_metrics"
    assert await workshop.desk.one(latest) == (None, 0.5, 2**40)
