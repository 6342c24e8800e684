"""MLflow's tracking endpoints, below /api/2.0/mlflow/."""

import math
from collections.abc import Iterable
from typing import Any

from tests.emulator import searching
from tests.emulator.errors import ApiError, invalid, missing, text, whole
from tests.emulator.routing import Answer, Call, Routes
from tests.emulator.tracking_store import Experiment, Metric, Run, TrackingStore

BASE = "/api/2.0/mlflow"
MOST_METRICS, MOST_PARAMS, MOST_TAGS = 1000, 100, 100
HISTORY_PAGE = 25_000
SEARCH_PAGE = 1000


def _pairs(given: Iterable[dict[str, Any]] | None) -> dict[str, str]:
    return {text(pair, "key"): str(pair.get("value", "")) for pair in given or ()}


def _listed(pairs: dict[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in pairs.items()]


def _experiment(one: Experiment) -> dict[str, Any]:
    return {
        "experiment_id": one.id,
        "name": one.name,
        "artifact_location": one.artifact_location,
        "lifecycle_stage": "active",
        "creation_time": one.created,
        "last_update_time": one.updated,
        "tags": _listed(one.tags),
    }


def _metric(point: Metric) -> dict[str, Any]:
    value: float | str = point.value
    if not math.isfinite(point.value):
        # What protobuf's JSON has for numbers that JSON lacks.
        value = "NaN" if math.isnan(point.value) else f"{'-' * (point.value < 0)}Infinity"
    return {"key": point.key, "value": value, "timestamp": point.timestamp, "step": point.step}


def _run(run: Run) -> dict[str, Any]:
    info = {
        "run_id": run.id,
        "run_uuid": run.id,
        "run_name": run.name,
        "experiment_id": run.experiment,
        "user_id": run.user,
        "status": run.status,
        "start_time": run.started,
        "artifact_uri": run.artifact_uri,
        "lifecycle_stage": "active",
    }
    if run.ended is not None:
        info["end_time"] = run.ended
    latest = [_metric(point) for point in run.latest().values()]
    data = {"metrics": latest, "params": _listed(run.params), "tags": _listed(run.tags)}
    return {"info": info, "data": data, "inputs": {}}


def _store(call: Call) -> TrackingStore:
    return call.world.tracking


def _asked_run(call: Call) -> Run:
    """The run of the query or the body; `run_uuid` is its old name."""
    given = dict(call.query) | call.json()
    return _store(call).run(text({"run_id": given.get("run_id") or given.get("run_uuid")}, "run_id"))


def _get_by_name(call: Call) -> Answer:
    name = text(call.query, "experiment_name")
    found = _store(call).named(name)
    if found is None:
        raise missing(f"Node {name} does not exist.")
    return {"experiment": _experiment(found)}


def _get_experiment(call: Call) -> Answer:
    return {"experiment": _experiment(_store(call).experiment(text(call.query, "experiment_id")))}


def _create_experiment(call: Call) -> Answer:
    given = call.json()
    return {"experiment_id": _store(call).create_experiment(text(given, "name"), _pairs(given.get("tags"))).id}


def _set_experiment_tag(call: Call) -> Answer:
    given = call.json()
    _store(call).experiment(text(given, "experiment_id")).tags[text(given, "key")] = str(given.get("value", ""))
    return {}


def _create_run(call: Call) -> Answer:
    given = call.json()
    started = whole(given, "start_time") if given.get("start_time") else None
    name, tags = str(given.get("run_name") or ""), _pairs(given.get("tags"))
    return {"run": _run(_store(call).create_run(text(given, "experiment_id"), call.caller, name, started, tags))}


def _get_run(call: Call) -> Answer:
    return {"run": _run(_asked_run(call))}


def _update_run(call: Call) -> Answer:
    run = _asked_run(call)
    _store(call).update_run(run, call.json())
    return {"run_info": _run(run)["info"]}


def _point(given: dict[str, Any]) -> Metric:
    try:
        value = float(given["value"])
    except (KeyError, TypeError, ValueError):
        raise invalid(f"Got invalid value {given.get('value')!r} for metric '{given.get('key')}'") from None
    return Metric(text(given, "key"), value, whole(given, "timestamp"), whole(given, "step", 0))


def _log_batch(call: Call) -> Answer:
    """All or nothing, and at most so many of each."""
    given, run, store = call.json(), _asked_run(call), _store(call)
    metrics, params, tags = (given.get(name) or [] for name in ("metrics", "params", "tags"))
    for what, items, most in (
        ("metrics", metrics, MOST_METRICS),
        ("params", params, MOST_PARAMS),
        ("tags", tags, MOST_TAGS),
    ):
        if len(items) > most:
            raise invalid(f"A batch logging request can contain at most {most} {what}. Got {len(items)} {what}.")
    points, named = [_point(metric) for metric in metrics], _pairs(params)
    for key, value in named.items():
        store.log_param(run, key, value)
    for point in points:
        store.log_metric(run, point)
    for key, value in _pairs(tags).items():
        store.set_tag(run, key, value)
    return {}


def _log_metric(call: Call) -> Answer:
    _store(call).log_metric(_asked_run(call), _point(call.json()))
    return {}


def _log_param(call: Call) -> Answer:
    given = call.json()
    _store(call).log_param(_asked_run(call), text(given, "key"), str(given.get("value", "")))
    return {}


def _set_tag(call: Call) -> Answer:
    given = call.json()
    _store(call).set_tag(_asked_run(call), text(given, "key"), str(given.get("value", "")))
    return {}


def _log_inputs(call: Call) -> Answer:
    _asked_run(call)
    return {}


def _search_logged_models(_: Call) -> Answer:
    """Models are kept as artifacts and registered; none is logged as an entity of its own."""
    return {"models": []}


def _search_runs(call: Call) -> Answer:
    given = call.json()
    wanted = set(given.get("experiment_ids") or ())
    matches = searching.matcher(str(given.get("filter") or ""))
    found = [run for run in _store(call).runs.values() if run.experiment in wanted and matches(run)]
    found = searching.ordered(found, given.get("order_by") or [])
    start, size = whole(given, "page_token", 0), whole(given, "max_results", SEARCH_PAGE)
    more = {"next_page_token": str(start + size)} if start + size < len(found) else {}
    return {"runs": [_run(run) for run in found[start : start + size]], **more}


def _history(call: Call) -> Answer:
    points = _asked_run(call).metrics.get(text(call.query, "metric_key"), [])
    start, size = whole(call.query, "page_token", 0), whole(call.query, "max_results", HISTORY_PAGE)
    if not 0 < size <= HISTORY_PAGE:
        raise ApiError(400, "INVALID_PARAMETER_VALUE", f"max_results has to be between 1 and {HISTORY_PAGE}")
    more = {"next_page_token": str(start + size)} if start + size < len(points) else {}
    return {"metrics": [_metric(point) for point in points[start : start + size]], **more}


def _artifacts(call: Call) -> Answer:
    run = _asked_run(call)
    return {"root_uri": run.artifact_uri, "files": _store(call).artifacts(run, call.query.get("path", ""))}


ROUTES: Routes = (
    ("GET", f"{BASE}/experiments/get-by-name", _get_by_name),
    ("GET", f"{BASE}/experiments/get", _get_experiment),
    ("POST", f"{BASE}/experiments/create", _create_experiment),
    ("POST", f"{BASE}/experiments/set-experiment-tag", _set_experiment_tag),
    ("POST", f"{BASE}/runs/create", _create_run),
    ("GET", f"{BASE}/runs/get", _get_run),
    ("POST", f"{BASE}/runs/update", _update_run),
    ("POST", f"{BASE}/runs/search", _search_runs),
    ("POST", f"{BASE}/runs/log-batch", _log_batch),
    ("POST", f"{BASE}/runs/log-metric", _log_metric),
    ("POST", f"{BASE}/runs/log-parameter", _log_param),
    ("POST", f"{BASE}/runs/set-tag", _set_tag),
    ("POST", f"{BASE}/runs/log-inputs", _log_inputs),
    ("POST", f"{BASE}/logged-models/search", _search_logged_models),
    ("GET", f"{BASE}/metrics/get-history", _history),
    ("GET", f"{BASE}/artifacts/list", _artifacts),
)
