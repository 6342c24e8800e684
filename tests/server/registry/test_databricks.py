import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from server.domain.errors import Unavailable
from server.domain.metrics import MetricPoint
from server.domain.status import JobStatus
from server.registry.databricks import DatabricksRegistry
from tests.emulator.faults import Kind
from tests.server.registry.conftest import NOW, facts
from tests.server.registry.contract import STARTED, RegistryContract, logged
from tests.server.registry.stores import ALIAS, NAME, ROOT, WorkspaceStore, contents

Result = TypeVar("Result")

MLFLOW = "/api/2.0/mlflow"
UNITY = f"{MLFLOW}/unity-catalog"
POINTS = [MetricPoint(step, NOW, {"loss": 1 / (step + 1), "odd": step % 2}) for step in range(20)]
HOUR_MILLISECONDS = 3_600_000
REFUSALS = [Kind.TOO_MANY, Kind.ERROR, Kind.HTML, Kind.TRUNCATED]
LOST = [Kind.RESET, Kind.CUT, Kind.TIMEOUT]
BRIEFLY = [Kind.ERROR, Kind.TRUNCATED, Kind.RESET]


@pytest.fixture
def store(workspace_store: WorkspaceStore) -> WorkspaceStore:
    return workspace_store


@pytest.fixture
def registry(store: WorkspaceStore) -> DatabricksRegistry:
    return store.open()


class TestDatabricks(RegistryContract):
    """In a workspace."""


async def at_the_second_time(
    store: WorkspaceStore, call: Callable[[], Awaitable[Result]], path: str, kind: Kind, *, after: bool
) -> Result:
    """What a call gives after it was `Unavailable` for a fault in one of its requests."""
    fault = store.emulator.faults.script(kind, path, after=after)
    with pytest.raises(Unavailable) as refused:
        await call()
    assert fault.times == 0
    assert store.emulator.token not in str(refused.value)
    return await call()


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("kind", [*REFUSALS, *LOST])
async def test_a_call_that_went_wrong_works_the_next_time_and_leaves_nothing_twice(
    *, kind: Kind, after: bool, store: WorkspaceStore, registry: DatabricksRegistry, artifact: Path
) -> None:
    async def again(call: Callable[[], Awaitable[Result]], path: str) -> Result:
        return await at_the_second_time(store, call, path, kind, after=after)

    run_id = await again(lambda: registry.start_run(facts()), f"{MLFLOW}/runs/create")
    await registry.log_points(run_id, POINTS[:5])
    await again(lambda: registry.log_points(run_id, POINTS), f"{MLFLOW}/runs/log-batch")
    await registry.log_model(run_id, artifact)
    version = await again(lambda: registry.register(run_id, NAME, "job_1"), "*/aliases/*")
    await again(lambda: registry.finish(run_id, JobStatus.SUCCEEDED), f"{MLFLOW}/runs/update")

    assert [(run.id, run.status) for run in store.runs()] == [(run_id, "FINISHED")]
    for key in ("loss", "odd"):
        assert store.history(run_id, key) == [(point.step, STARTED, point.values[key]) for point in POINTS]
    assert [one.number for one in store.versions()] == [version]
    assert store.aliases() == {ALIAS: int(version)}


async def test_an_experiment_is_made_once(registry: DatabricksRegistry, store: WorkspaceStore) -> None:
    path = f"{MLFLOW}/experiments/create"
    store.emulator.faults.script(Kind.RESET, path)
    with pytest.raises(Unavailable):
        await registry.start_run(facts())
    store.emulator.faults.script(Kind.RESET, path, after=True)
    await registry.start_run(facts())  # as when another has just made it
    assert len(store.emulator.requests.to("POST", path)) == 2
    assert [one.name for one in store.emulator.world.tracking.experiments.values()] == [store.experiment]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("kind", BRIEFLY)
@pytest.mark.parametrize("step", ["create", "finalize"])
async def test_a_version_whose_making_went_wrong_is_found_or_replaced_the_next_time(
    *, step: str, kind: Kind, after: bool, store: WorkspaceStore, registry: DatabricksRegistry, artifact: Path
) -> None:
    run_id = await logged(registry, artifact)
    path = f"{UNITY}/model-versions/{step}"
    version = await at_the_second_time(store, lambda: registry.register(run_id, NAME, "job_1"), path, kind, after=after)
    assert_whole(store, version, run_id, artifact)
    created = store.emulator.requests.to("POST", f"{UNITY}/model-versions/create")
    assert len(created) == (1 if step == "finalize" and after else 2)  # one whose files are not there is made anew


@pytest.mark.parametrize("kind", [Kind.ERROR, Kind.HTML])
async def test_an_upload_that_went_wrong_is_made_up_for(
    kind: Kind, store: WorkspaceStore, registry: DatabricksRegistry, artifact: Path
) -> None:
    run_id = await registry.start_run(facts())
    files = "/api/2.0/fs/files"
    await at_the_second_time(
        store, lambda: registry.log_model(run_id, artifact), f"{files}/Work*/MLmodel", kind, after=False
    )
    version = await at_the_second_time(
        store, lambda: registry.register(run_id, NAME, "job_1"), f"{files}/Models/*/MLmodel", kind, after=False
    )
    assert_whole(store, version, run_id, artifact)


async def test_a_version_that_is_made_for_too_long_is_made_once(store: WorkspaceStore, artifact: Path) -> None:
    run_id = await logged(store.open(), artifact)
    registry = store.open(model_seconds=1.5)
    store.emulator.faults.script(Kind.TIMEOUT, f"{UNITY}/model-versions/create", after=True)
    with pytest.raises(Unavailable, match=r"^MLflow did not answer within 1\.5 seconds$"):
        await registry.register(run_id, NAME, "job_1")
    with pytest.raises(Unavailable, match="did not answer"):  # the first is still at it
        await registry.register(run_id, NAME, "job_1")
    store.emulator.faults.clear()
    deadline = time.monotonic() + 20
    version = None
    while version is None:
        assert time.monotonic() < deadline
        try:
            version = await registry.register(run_id, NAME, "job_1")
        except Unavailable:
            continue
    assert_whole(store, version, run_id, artifact)


async def test_a_version_that_was_left_without_its_files_is_replaced_once_it_is_old(
    store: WorkspaceStore, artifact: Path
) -> None:
    registry = store.open(ready_seconds=0)
    run_id = await logged(registry, artifact)
    store.emulator.world.registry.create(NAME, "me@example.com")
    left = store.emulator.world.registry.create_version(NAME, "", run_id, "me@example.com")
    with pytest.raises(Unavailable, match=f"version 1 of {NAME} is still being registered"):
        await registry.register(run_id, NAME, "job_1")
    left.created -= HOUR_MILLISECONDS
    version = await registry.register(run_id, NAME, "job_1")
    assert left not in store.emulator.world.registry.models[NAME].versions.values()
    assert_whole(store, version, run_id, artifact)


def assert_whole(store: WorkspaceStore, version: str, run_id: str, artifact: Path) -> None:
    """There is this one version, with all its files, and under its alias."""
    (kept,) = store.versions()
    assert (kept.number, kept.run_id, kept.status) == (version, run_id, "READY")
    assert store.files(version) == contents(artifact)
    assert store.aliases() == {ALIAS: int(version)}


async def test_what_is_known_to_be_logged_is_not_asked_for(registry: DatabricksRegistry, store: WorkspaceStore) -> None:
    run_id = await registry.start_run(facts())
    store.emulator.requests.clear()
    for end in (5, 10, 20):
        points = [MetricPoint(point.step, NOW.replace(second=point.step), point.values) for point in POINTS[:end]]
        await registry.log_points(run_id, points[end // 2 :])
    await registry.log_points(run_id, points[10:])
    assert [call.path.rpartition("/")[2] for call in store.emulator.requests] == ["get", "log-batch"] * 3


async def test_long_parameters_are_sent_in_requests_of_less_than_a_megabyte(
    registry: DatabricksRegistry, store: WorkspaceStore
) -> None:
    await registry.start_run(facts(parameters={f"note {n}": "ß" * 6000 for n in range(60)}))
    (run,) = store.runs()
    assert {run.params[f"note {n}"] for n in range(60)} == {"ß" * 6000}
    sizes = [int(call.headers["content-length"]) for call in store.emulator.requests.to("POST", "*/log-batch")]
    assert len(sizes) == 3
    assert max(sizes) < 1_000_000


async def test_the_alias_goes_to_the_newest(store: WorkspaceStore, artifact: Path) -> None:
    registry = store.open()
    for number, job_id in ((1, "job_1"), (2, "job_2")):
        assert await registry.register(await logged(registry, artifact, job_id), NAME, job_id) == str(number)
        assert store.aliases() == {ALIAS: number}


async def test_no_message_has_the_token(registry: DatabricksRegistry, store: WorkspaceStore, artifact: Path) -> None:
    said = {"message": f"the token {store.emulator.token} is odd", "status": 400}
    store.emulator.faults.script(Kind.ERROR, f"{MLFLOW}/runs/create", **said)
    with pytest.raises(Unavailable, match=r"^Databricks: HTTP 400 INVALID_PARAMETER_VALUE: the token \*\*\* is odd$"):
        await registry.start_run(facts())
    run_id = await logged(registry, artifact)
    store.emulator.faults.script(Kind.ERROR, f"{UNITY}/model-versions/create", **said)
    with pytest.raises(Unavailable, match=r"^MLflow: .*the token \*\*\* is odd"):
        await registry.register(run_id, NAME, "job_1")


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [("DATABRICKS_TOKEN", "dapi-wrong", "HTTP 403"), ("DATABRICKS_HOST", "http://127.0.0.1:9", "can't be reached")],
)
async def test_a_workspace_that_can_not_be_used(
    variable: str, value: str, said: str, store: WorkspaceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(Unavailable, match=said):
        await store.open().start_run(facts())


def test_importing_it_imports_neither_library() -> None:
    program = "import sys, server.registry.databricks; print({'mlflow', 'databricks.sdk', 'requests'} & {*sys.modules})"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert ended.stdout == "set()\n"


async def test_calls_that_are_given_up_are_finished_before_the_next(
    registry: DatabricksRegistry, store: WorkspaceStore
) -> None:
    run_id = await registry.start_run(facts())
    first = asyncio.create_task(registry.log_points(run_id, POINTS))
    await asyncio.sleep(0)
    first.cancel()
    await registry.log_points(run_id, POINTS)
    assert store.history(run_id, "loss") == [(point.step, STARTED, point.values["loss"]) for point in POINTS]


async def test_a_service_principal_may_do_all_of_it(
    store: WorkspaceStore, artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABRICKS_TOKEN")
    monkeypatch.setenv("DATABRICKS_CLIENT_ID", store.emulator.world.options.client_id)
    monkeypatch.setenv("DATABRICKS_CLIENT_SECRET", store.emulator.world.options.client_secret)
    registry = store.open()
    run_id = await logged(registry, artifact)
    await registry.log_points(run_id, POINTS)
    assert_whole(store, await registry.register(run_id, NAME, "job_1"), run_id, artifact)
    await registry.finish(run_id, JobStatus.SUCCEEDED)
    assert [run.status for run in store.runs()] == ["FINISHED"]
