"""The Jobs API's one-time runs, below /api/2.2/jobs/runs/."""

from typing import Any

from tests.emulator.ai_training import INFRASTRUCTURE, WAITING, TrainingRun
from tests.emulator.errors import ApiError, invalid, whole
from tests.emulator.routing import Answer, Call, Routes

BASE = "/api/2.2/jobs"
PAGE, PAGE_BOUND = 20, 25


def _millis(seconds: float | None) -> int:
    """0 is Databricks' word for not yet."""
    return 0 if seconds is None else round(seconds * 1000)


def _states(run: TrainingRun, state: str) -> dict[str, Any]:
    """Both forms of a state: the older `state` and the newer `status`."""
    older: dict[str, Any] = {"life_cycle_state": state, "state_message": "", "user_cancelled_or_timedout": False}
    newer: dict[str, Any] = {"state": "TERMINATED" if state == "INTERNAL_ERROR" else state}
    if state == "QUEUED":
        older["state_message"] = "Run is queued."
        newer["queue_details"] = {"code": "ACTIVE_RUNS_LIMIT_REACHED", "message": "The run waits for other runs."}
    ending = run.ending
    if ending is not None:
        older |= {"result_state": ending.result, "state_message": ending.message}
        older["user_cancelled_or_timedout"] = ending.result in ("CANCELED", "TIMEDOUT")
        kind = "CLIENT_ERROR" if ending.code not in INFRASTRUCTURE else "INTERNAL_ERROR"
        kind = "SUCCESS" if ending.result in ("SUCCESS", "CANCELED") else kind
        newer["termination_details"] = {"code": ending.code, "type": kind, "message": ending.message}
    elif state == "RUNNING":
        older["state_message"] = "In run"
    return {"state": older, "status": newer}


def _task(run: TrainingRun) -> dict[str, Any]:
    return {
        **run.task,
        "run_id": run.task_run_id,
        "start_time": _millis(run.created),
        "setup_duration": 0,
        "execution_duration": _duration(run.task_started, run.ended),
        "cleanup_duration": 0,
        "end_time": _millis(run.ended),
        "attempt_number": 0,
        **_states(run, run.task_state),
    }


def _duration(started: float | None, ended: float | None) -> int:
    return 0 if started is None or ended is None else _millis(ended) - _millis(started)


def _run(call: Call, run: TrainingRun, *, tasks: bool) -> dict[str, Any]:
    described = {
        "job_id": run.job_id,
        "run_id": run.run_id,
        "number_in_job": run.run_id,
        "creator_user_name": run.by,
        "run_name": run.given.get("run_name", "Untitled"),
        "run_page_url": f"{call.base_url}/?o=999#job/{run.job_id}/run/{run.run_id}",
        "run_type": "SUBMIT_RUN",
        "format": "MULTI_TASK",
        "trigger": "ONE_TIME",
        "start_time": _millis(run.created),
        "setup_duration": 0,
        "execution_duration": 0,
        "cleanup_duration": 0,
        "run_duration": _duration(run.created, run.ended),
        "end_time": _millis(run.ended),
        **_states(run, run.state),
    }
    return described | ({"tasks": [_task(run)]} if tasks else {})


def _submit(call: Call) -> Answer:
    return {"run_id": call.world.training_runs.submit(call.json(), call.caller).run_id}


def _get(call: Call) -> Answer:
    return _run(call, call.world.training_runs.get(whole(call.query, "run_id")), tasks=True)


def _get_output(call: Call) -> Answer:
    """Only tasks have an output."""
    run_id = whole(call.query, "run_id")
    run = call.world.training_runs.get(run_id)
    if run_id == run.run_id:
        message = "Retrieving the output of runs with multiple tasks is not supported. "
        raise invalid(message + "Please retrieve the output of each individual task run instead.")
    output: dict[str, Any] = {}
    if run.tracked is not None:
        output = {"mlflow_experiment_id": run.tracked.experiment, "mlflow_run_id": run.tracked.id}
    if run.state == "RUNNING" and run.task_state == "PENDING":
        output["status_message"] = WAITING
    answer: dict[str, Any] = {"metadata": _task(run) | {"job_id": run.job_id}, "ai_runtime_task_output": output}
    if run.ending is not None and run.ending.result not in ("SUCCESS", "CANCELED"):
        answer |= {"error": run.ending.message, "error_trace": "\n".join(line for _, _, line in run.logs[-20:])}
    return answer


def _cancel(call: Call) -> Answer:
    call.world.training_runs.cancel(whole(call.json(), "run_id"))
    return {}


def _delete(call: Call) -> Answer:
    call.world.training_runs.delete(whole(call.json(), "run_id"))
    return {}


def _list(call: Call) -> Answer:
    query = call.query
    limit, start = whole(query, "limit", PAGE), whole(query, "page_token", 0)
    if not 0 < limit < PAGE_BOUND:
        raise invalid(f"Invalid value for limit: {limit}. It must be greater than 0 and less than {PAGE_BOUND}.")
    active, completed = query.get("active_only") == "true", query.get("completed_only") == "true"
    if active and completed:
        raise invalid("active_only and completed_only cannot both be true.")
    since, until = whole(query, "start_time_from", 0), whole(query, "start_time_to", 1 << 62)
    found = [
        run
        for run in reversed(call.world.training_runs.runs.values())
        if since <= _millis(run.created) <= until
        and not (active and run.ended is not None)
        and not (completed and run.ended is None)
        and query.get("run_type", "SUBMIT_RUN") == "SUBMIT_RUN"
    ]
    more = start + limit < len(found)
    tasks = query.get("expand_tasks") == "true"
    runs = [_run(call, run, tasks=tasks) for run in found[start : start + limit]]
    return {"runs": runs, "has_more": more, **({"next_page_token": str(start + limit)} if more else {})}


def _job(call: Call) -> Answer:
    """There are no jobs here, only one-time runs."""
    raise ApiError(400, "INVALID_PARAMETER_VALUE", f"Job {whole(call.query, 'job_id')} does not exist.")


ROUTES: Routes = (
    ("POST", f"{BASE}/runs/submit", _submit),
    ("GET", f"{BASE}/runs/get", _get),
    ("GET", f"{BASE}/runs/get-output", _get_output),
    ("POST", f"{BASE}/runs/cancel", _cancel),
    ("POST", f"{BASE}/runs/delete", _delete),
    ("GET", f"{BASE}/runs/list", _list),
    ("GET", f"{BASE}/get", _job),
)
