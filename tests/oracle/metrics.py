"""Metric series, thinned to what a chart can show."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Any

from tests.oracle.arguments import Arguments, BadArgument, Check, Info, refuse_unstorable
from tests.oracle.fields import Field, finite
from tests.oracle.loading import Row

FEWEST, MOST, USUAL = 2, 10_000, 500
ENDS_ALONE = 3
POINTS = "SELECT * FROM training_job_metric_points WHERE job_id = ANY($1::text[])"
BY_STEP = "ORDER BY job_id, key, step"


def _history(job: Row, info: Info, **arguments: Any) -> Any:  # noqa: ANN401  (series or their future)
    keys, most = arguments.get("keys"), _most(arguments)
    if keys is None:
        points = info.context.rows(f"{POINTS} {BY_STEP}", "job_id")
    else:
        points = info.context.rows(f"{POINTS} AND key = ANY($2::text[]) {BY_STEP}", "job_id", tuple(keys))
    return points.load(job["id"], partial(_series, most=most))


def _most(arguments: Arguments) -> int:
    asked = arguments.get("maxPoints")
    if asked is None:
        return USUAL
    if asked < FEWEST:
        raise BadArgument(f"maxPoints must be at least {FEWEST}")
    return min(int(asked), MOST)


def _check_keys(keys: Sequence[str]) -> None:
    for key in keys:
        refuse_unstorable("keys", key)


METRIC_HISTORY = Field(_history, Check(_most, {"keys": _check_keys}))


def _series(points: Sequence[Row], *, most: int) -> list[Mapping[str, object]]:
    return [_one(key, thinned(list(of_key), most)) for key, of_key in groupby(points, itemgetter("key"))]


def _one(key: str, points: Sequence[Row]) -> Mapping[str, object]:
    return {
        "key": key,
        "steps": [point["step"] for point in points],
        "values": [finite(point["value"]) for point in points],
        "timestamps": [point["recorded_at"] for point in points],
    }


def thinned(points: Sequence[Any], most: int) -> Sequence[Any]:
    """At most `most` of the points of a series: its ends, and the extremes of stretches of equal length.

    Of equal values the earliest counts; a stretch without a finite value keeps its first point.
    """
    total = len(points)
    if total <= most:
        return points
    kept = {0, total - 1}
    if most > ENDS_ALONE:
        stretches = (most - 2) // 2
        for _, places in groupby(range(total), lambda place: place * stretches // total):
            kept |= _extremes(points, list(places))
    return [points[place] for place in sorted(kept)]


def _extremes(points: Sequence[Any], places: Sequence[int]) -> set[int]:
    measured = [place for place in places if finite(points[place]["value"]) is not None]
    if not measured:
        return {places[0]}
    # min and max both give the first of equals
    lowest = min(measured, key=lambda place: points[place]["value"])
    return {lowest, max(measured, key=lambda place: points[place]["value"])}
