"""AI Runtime's logs and workflows, below /api/2.0/ai-training/."""

from typing import Any

from tests.emulator.ai_training import TrainingRun
from tests.emulator.clock import iso
from tests.emulator.errors import invalid, whole
from tests.emulator.routing import Answer, Call, Routes

BASE = "/api/2.0/ai-training"
PAGE, PAGE_BOUND = 100, 10_000
NANOS = 1_000_000_000


def _record(at: float, node: int, line: str) -> dict[str, Any]:
    return {"time_unix_nano": str(round(at * NANOS)), "body": line, "node_index": node}


def _logs(call: Call) -> Answer:
    """A page of a run's lines, the oldest first unless `ascending` is false; `from` and `to` are seconds."""
    query = call.query
    run = call.world.training_runs.get(whole(call.parts, "run_id"))
    size, start = whole(query, "page_size", PAGE), whole(query, "page_token", 0)
    if not 0 < size <= PAGE_BOUND:
        raise invalid(f"page_size must be between 1 and {PAGE_BOUND}")
    lines = [_record(*line) for line in _wanted(call, run)]
    if query.get("ascending") == "false":
        lines.reverse()
    more = {"next_page_token": str(start + size)} if start + size < len(lines) else {}
    return {"log_records": lines[start : start + size], **more}


def _wanted(call: Call, run: TrainingRun) -> list[tuple[float, int, str]]:
    query = call.query
    since, until = whole(query, "from", 0), whole(query, "to", 1 << 62)
    node = whole(query, "filter.node_index", -1)
    if whole(query, "ref.attempt_number", 0):
        return []
    return [line for line in run.logs if since <= line[0] <= until and node in (-1, line[1])]


def _workflows(call: Call) -> Answer:
    active = call.query.get("active_only") == "true"
    return {
        "training_workflows": [
            {"job_run_id": str(run.run_id), "submit_time": iso(run.created)}
            for run in reversed(call.world.training_runs.runs.values())
            if run.by == call.caller and not (active and run.ended is not None)
        ]
    }


def _validate(call: Call) -> Answer:
    """The pre-flight of a training's configuration."""
    config = call.json().get("config") or call.json()
    missing = [name for name in ("experiment_name", "compute") if not config.get(name)]
    errors = [{"path": name, "message": f"{name} is required", "code": "REQUIRED"} for name in missing]
    return {"errors": errors}


ROUTES: Routes = (
    ("GET", f"{BASE}/workflows/by-run-id/{{run_id}}/logs", _logs),
    ("GET", f"{BASE}/workflows", _workflows),
    ("POST", f"{BASE}/config:validate", _validate),
)
