"""Metric series as the oracle thins them."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import create_async_engine

from server.storage import tables
from server.storage.migrations import driver_url
from tests.oracle.asking import data
from tests.oracle.conftest import opened
from tests.oracle.metrics import thinned
from tests.schema import rows
from tests.schema.rows import NEWEST, rfc3339

VALUES = st.lists(st.one_of(st.none(), st.integers(-3, 3).map(float)), max_size=60)


def points(*values: float | None) -> list[dict[str, Any]]:
    return [{"step": step, "value": value} for step, value in enumerate(values)]


def steps(values: list[float | None], most: int) -> list[int]:
    return [point["step"] for point in thinned(points(*values), most)]


def test_a_short_series_is_whole() -> None:
    assert steps([1.0, None, 3.0], 3) == [0, 1, 2]


def test_with_two_or_three_points_only_the_ends_are_kept() -> None:
    values: list[float | None] = [1.0, 9.0, -9.0, 2.0]
    assert steps(values, 2) == steps(values, 3) == [0, 3]


def test_each_stretch_keeps_its_first_extremes() -> None:
    values: list[float | None] = [5.0, 9.0, 9.0, 1.0, 1.0, 7.0, None, 6.0, 8.0, 8.0, 6.0, 7.0]
    assert steps(values, 6) == [0, 1, 3, 7, 8, 11]


def test_a_stretch_without_numbers_keeps_its_first_point() -> None:
    values: list[float | None] = [1.0, 2.0, 3.0, None, None, None, 4.0, 6.0, 5.0]
    assert steps(values, 8) == [0, 2, 3, 6, 7, 8]


@given(VALUES, st.integers(4, 20))
def test_never_too_many_and_the_extremes_of_all_are_kept(values: list[float | None], most: int) -> None:
    kept = [point["value"] for point in thinned(points(*values), most)]
    measured = [value for value in values if value is not None]
    assert len(kept) <= most
    assert not measured or {min(measured), max(measured)} <= set(kept)


@pytest.mark.database
async def test_series_are_parallel_lists_in_the_order_of_their_keys(database_url: str) -> None:
    engine = create_async_engine(driver_url(database_url))
    _, _, sheet = await rows.curated(engine)
    job = rows.job(1, sheet)
    series = {
        key: [
            {"job_id": job["id"], "key": key, "step": first + step, "value": value, "recorded_at": moment(step)}
            for step, value in enumerate(values)
        ]
        for key, first, values in (("b", 2**40, [0.5, None]), ("a", 0, [1.0, 3.0, 2.0, 2.0]), ("Z", 0, [1.0]))
    }
    async with engine.begin() as connection:
        await rows.add(connection, tables.training_jobs, [job])
        await rows.add(connection, tables.training_job_metric_points, [row for many in series.values() for row in many])
    await engine.dispose()
    text = """query($id: ID!) { trainingJob(id: $id) {
        all: metricHistory { key steps values timestamps } some: metricHistory(keys: ["a", "c"], maxPoints: 2) { steps }
        none: metricHistory(keys: []) { key }
    } }"""
    async with opened(database_url, []) as oracle:
        found = await data(oracle, text, id=job["id"])
    assert found["trainingJob"] == {
        "all": [
            {"key": "Z", "steps": [0], "values": [1.0], "timestamps": [rfc3339(moment(0))]},
            {
                "key": "a",
                "steps": [0, 1, 2, 3],
                "values": [1.0, 3.0, 2.0, 2.0],
                "timestamps": [rfc3339(moment(step)) for step in range(4)],
            },
            {
                "key": "b",
                "steps": [2**40, 2**40 + 1],
                "values": [0.5, None],
                "timestamps": [rfc3339(moment(0)), rfc3339(moment(1))],
            },
        ],
        "some": [{"steps": [0, 3]}],
        "none": [],
    }


def moment(step: int) -> Any:  # noqa: ANN401  (a datetime)
    return NEWEST + timedelta(seconds=step)
