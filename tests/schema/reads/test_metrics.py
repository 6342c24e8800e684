"""Series of metrics: whole when they are short, and thinned so that a chart shows the same shape when they are long."""

import math
import random
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from graphql import GraphQLSchema
from sqlalchemy.ext.asyncio import create_async_engine

from server.domain.ids import Kind
from server.storage import metrics, tables
from server.storage.metrics import Point
from server.storage.migrations import driver_url
from tests.database import DatabaseServer
from tests.schema.conftest import Api, opened
from tests.schema.rows import NEWEST, add, curated, job, rfc3339, stable_id

pytestmark = pytest.mark.database

JOB, OTHER = stable_id(Kind.JOB, 0), stable_id(Kind.JOB, 1)
DEFAULT = 500
QUERY = """query ($id: ID!, $keys: [String!], $most: Int) {
  trainingJob(id: $id) { metricHistory(keys: $keys, maxPoints: $most) { key steps values timestamps } }
}"""


def made() -> dict[str, list[Point]]:
    """Series by key, each in order of its steps."""
    draw = random.Random(7)  # noqa: S311  (a chart's shape, not a secret)
    noisy = [draw.gauss(0, 1) for _ in range(1_203)]
    noisy[700], noisy[701] = 50.0, -50.0
    values: dict[str, list[float | None]] = {
        "noisy": [None if place % 97 == 5 else value for place, value in enumerate(noisy)],
        "falling": [1 / (place + 1) for place in range(501)],
        "flat": [0.5] * 600,
        "exact": [float(place) for place in range(DEFAULT)],
        "nothing": [None] * 700,
        "short": [0.1, None, 1e300, -1e-300, 0.0],
        "single": [1.5],
        'ключ "x" \\': [2.5, 3.5],
    }
    return {
        key: [
            Point(key, 2**40 + 3 * place, value, NEWEST + timedelta(milliseconds=place))
            for place, value in enumerate(series)
        ]
        for key, series in values.items()
    }


SERIES = made()


async def fill(url: str) -> None:
    engine = create_async_engine(driver_url(url))
    _, _, training_sheet = await curated(engine)
    shuffled = [point for series in SERIES.values() for point in series]
    random.Random(1).shuffle(shuffled)  # noqa: S311
    async with engine.begin() as connection:
        await add(connection, tables.training_jobs, [job(number, training_sheet) for number in range(2)])
        await metrics.insert_points(connection, JOB, shuffled)
        await metrics.insert_points(connection, OTHER, [Point("noisy", 1, 7.0, NEWEST)])
    await engine.dispose()


@pytest.fixture(scope="module")
def filled(database_server: DatabaseServer, database_template: str) -> Iterator[str]:
    with database_server.temporary(database_template) as url, start_blocking_portal() as portal:
        portal.call(fill, url)
        yield url


@pytest.fixture
async def api(schema: GraphQLSchema, filled: str) -> AsyncIterator[Api]:
    async with opened(schema, filled) as api:
        yield api


async def history(api: Api, job_id: str = JOB, **variables: object) -> dict[str, list[Point]]:
    """The series that come back, as points."""
    found: list[dict[str, Any]] = (await api.ask(QUERY, id=job_id, **variables))["trainingJob"]["metricHistory"]
    assert [series["key"] for series in found] == sorted(series["key"] for series in found)
    moments = {rfc3339(point.at): point.at for series in SERIES.values() for point in series if point.at is not None}
    return {
        series["key"]: [
            Point(series["key"], step, value, moments[moment])
            for step, value, moment in zip(series["steps"], series["values"], series["timestamps"], strict=True)
        ]
        for series in found
    }


def finite(points: list[Point]) -> list[float]:
    return [point.value for point in points if point.value is not None]


def thinned(points: list[Point], most: int) -> list[Point]:
    """The ends, and of each of some equal stretches the least and the greatest value, the earlier of equal ones."""
    if len(points) <= most:
        return points
    stretches = max((most - 2) // 2, 1)
    kept = {points[0], points[-1]}
    for number in range(stretches if most > 3 else 0):
        stretch = [point for place, point in enumerate(points) if place * stretches // len(points) == number]
        kept.add(min(stretch, key=lambda point: (math.inf if point.value is None else point.value, point.step)))
        kept.add(min(stretch, key=lambda point: (math.inf if point.value is None else -point.value, point.step)))
    return sorted(kept, key=lambda point: point.step)


@pytest.mark.parametrize("most", [2, 3, 4, 5, 6, 7, 10, 100, 499, 500, 501, 1_202, 1_203, 1_204, 10_000, 2**31 - 1])
async def test_a_series_never_has_more_points_than_asked_for(api: Api, most: int) -> None:
    found = await history(api, most=most)
    assert set(found) == set(SERIES)
    for key, whole in SERIES.items():
        assert len(found[key]) <= most
        assert found[key] == thinned(whole, most), key
        assert (found[key][0], found[key][-1]) == (whole[0], whole[-1])
        if most > 3 and finite(whole):
            assert min(finite(found[key])) == min(finite(whole))
            assert max(finite(found[key])) == max(finite(whole))


async def test_without_a_number_a_series_has_up_to_500_points(api: Api) -> None:
    expected = {key: thinned(points, DEFAULT) for key, points in SERIES.items()}
    assert [len(expected[key]) for key in ("exact", "short")] == [500, 5]
    assert len(expected["falling"]) < 501
    assert await history(api) == expected
    assert await history(api, most=None) == expected
    plain = await api.ask(f'{{ trainingJob(id: "{JOB}") {{ metricHistory {{ key steps }} }} }}')
    assert {series["key"]: len(series["steps"]) for series in plain["trainingJob"]["metricHistory"]} == {
        key: len(points) for key, points in expected.items()
    }


async def test_points_come_in_order_of_their_steps(api: Api) -> None:
    for points in (await history(api, most=10_000)).values():
        steps = [point.step for point in points]
        assert steps == sorted(set(steps))


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (None, sorted(SERIES)),
        ([], []),
        (["short"], ["short"]),
        (["single", "short", "single"], ["short", "single"]),
        (["no such", "", "' OR true --"], []),
        (['ключ "x" \\'], ['ключ "x" \\']),
        ("short", ["short"]),
    ],
)
async def test_series_are_chosen_by_their_keys(api: Api, keys: object, expected: list[str]) -> None:
    assert list(await history(api, keys=keys)) == expected


async def test_a_job_has_its_own_series_only(api: Api) -> None:
    assert await history(api, OTHER) == {"noisy": [Point("noisy", 1, 7.0, NEWEST)]}


async def test_values_that_were_not_finite_are_null(api: Api) -> None:
    assert (await history(api, keys=["short"]))["short"] == SERIES["short"]
    assert [point.value for point in (await history(api, keys=["nothing"], most=4))["nothing"]] == [None] * 2


async def test_any_part_of_a_series_can_be_read_alone_and_twice(api: Api) -> None:
    query = """query ($id: ID!) { trainingJob(id: $id) {
      a: metricHistory(keys: ["short"]) { values v: values }
      b: metricHistory(keys: ["short"], maxPoints: 2) { steps }
      c: metricHistory(keys: ["short", "single"]) { __typename key }
    } }"""
    values = [point.value for point in SERIES["short"]]
    assert (await api.ask(query, id=JOB))["trainingJob"] == {
        "a": [{"values": values, "v": values}],
        "b": [{"steps": [2**40, 2**40 + 12]}],
        "c": [{"__typename": "MetricSeries", "key": "short"}, {"__typename": "MetricSeries", "key": "single"}],
    }


@pytest.mark.parametrize("most", [1, 0, -1, -(2**31)])
async def test_fewer_than_two_points_are_refused(api: Api, most: int) -> None:
    assert await api.refusals(QUERY, id=JOB, most=most) == [("INVALID_ARGUMENT", "maxPoints must be at least 2")]


async def test_a_key_that_can_t_be_stored_is_refused(api: Api) -> None:
    [(code, message)] = await api.refusals(QUERY, id=JOB, keys=["a\0b"])
    assert (code, message) == ("INVALID_ARGUMENT", "keys contains a NUL character (U+0000), which can't be stored")
