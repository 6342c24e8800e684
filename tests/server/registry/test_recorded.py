"""What is sent to a workspace is what the real clients were seen to send."""

import json
from pathlib import Path
from typing import Any

import pytest

from server.domain.errors import Unavailable
from server.domain.metrics import MetricPoint
from server.domain.status import JobStatus
from tests.server.registry.conftest import NOW, facts
from tests.server.registry.stores import NAME, ROOT, WorkspaceStore

RECORDED = ROOT / "tests" / "emulator" / "recorded"
POINTS = [MetricPoint(step, NOW, {"loss": 1 / (step + 1)}) for step in range(4)]
HOUR_MILLISECONDS = 3_600_000
FILES = (
    "mlflow_20_uc_create_registered_model",
    "mlflow_21_uc_get_registered_model",
    "mlflow_25_uc_search_versions",
    "mlflow_30_uc_create_model_version_sdkrepo",
    "sdk_11_registered_model",
    "sdk_12_experiments",
)
NOT_OURS = frozenset(  # of these files
    {
        ("POST", "/api/2.1/unity-catalog/models"),
        ("GET", "/api/2.1/unity-catalog/models/main.ft.m/versions"),
        ("GET", "/api/2.1/unity-catalog/models/main.ft.m/aliases/champion"),
    }
)
AS_NEEDED = frozenset({"tags", "description", "params", "metrics"})


async def test_the_requests_are_those_that_were_recorded(workspace_store: WorkspaceStore, artifact: Path) -> None:
    await live(workspace_store, artifact)
    sent = [(call.method, call.path, call.query, call.body) for call in workspace_store.emulator.requests]
    compared = 0
    for file in FILES:
        for recorded in json.loads((RECORDED / f"{file}.json").read_text()):
            if (recorded["method"], recorded["path"]) not in NOT_OURS:
                assert any(is_alike(recorded, *one) for one in sent), recorded
                compared += 1
    assert compared == 28


async def live(store: WorkspaceStore, artifact: Path) -> None:
    """All that is done for a job, and once more by another process; then a version that was left is replaced."""
    registry = store.open()
    run_id = await registry.start_run(facts())
    await registry.log_points(run_id, POINTS[:2])
    await store.open().log_points(run_id, POINTS)
    await registry.log_model(run_id, artifact)
    await registry.register(run_id, NAME, "job_1")
    for version in store.emulator.world.registry.models[NAME].versions.values():
        version.status = "PENDING_REGISTRATION"
    with pytest.raises(Unavailable, match="still being registered"):
        await store.open(ready_seconds=0.1).register(run_id, NAME, "job_1")
    for version in store.emulator.world.registry.models[NAME].versions.values():
        version.created -= HOUR_MILLISECONDS
    await store.open().register(run_id, NAME, "job_1")
    await registry.finish(run_id, JobStatus.SUCCEEDED)


def is_alike(recorded: dict[str, Any], method: str, path: str, query: list[tuple[str, str]], body: object) -> bool:
    """The same method, place and names in the query, and a body of the same form."""
    place = recorded["path"].replace("main.ft.m", NAME).replace("main/ft/m/", f"{NAME.replace('.', '/')}/")
    if (method, path) != (recorded["method"], place.replace("python_model.pkl", "echo.py")):
        return False
    if {name for name, _ in query} != {name for name, _ in recorded.get("query", [])}:
        return False
    expected = recorded.get("body")
    if not isinstance(expected, dict):
        return (body is None) == (expected is None)
    if not isinstance(body, dict) or body.keys() - AS_NEEDED != expected.keys() - AS_NEEDED:
        return False
    return all(form(body[key]) == form(expected[key]) for key in body.keys() & expected.keys())


def form(value: object) -> object:
    """The types in a body; a list has that of its first."""
    if isinstance(value, dict):
        return {key: form(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [form(inner) for inner in value[:1]]
    return type(value)
