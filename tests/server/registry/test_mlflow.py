import asyncio
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from server.domain.errors import Unavailable
from server.domain.status import JobStatus
from server.registry import local_store
from server.registry.mlflow import MlflowRegistry
from server.registry.registry import LoggedPoint
from server.threads import Threads
from tests.server.registry.conftest import NOW, facts

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

OpenRegistry = Callable[..., MlflowRegistry]
NAME = "main.ft.invoice_desk"


@pytest.fixture
def client(data_dir: Path) -> "MlflowClient":
    from mlflow.tracking import MlflowClient  # noqa: PLC0415  (seconds, and only once it has been silenced)

    uri = local_store.default_tracking_uri(data_dir)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def all_runs(client: "MlflowClient") -> "list[Run]":
    return [run for experiment in client.search_experiments() for run in client.search_runs([experiment.experiment_id])]


def versions(client: "MlflowClient", name: str = NAME) -> "list[ModelVersion]":
    return sorted(client.search_model_versions(f"name = '{name}'"), key=lambda version: int(version.version))


def set_version_status(data_dir: Path, status: str) -> None:
    with closing(sqlite3.connect(data_dir / "mlflow" / "mlflow.db")) as database, database:
        database.execute("UPDATE model_versions SET status = ?", (status,))


def run_program(text: str) -> subprocess.CompletedProcess[str]:
    """In an environment where MLflow is left to itself: under pytest and on CI it is silent anyway."""
    named = ("MLFLOW_", "PYTEST_", "DO_NOT_TRACK", "CI")
    return subprocess.run(
        [sys.executable, "-c", text],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={name: value for name, value in os.environ.items() if not name.startswith(named)},
        cwd=Path(__file__).parents[3],
    )


async def test_a_run_is_described(registry: MlflowRegistry, client: "MlflowClient", data_dir: Path) -> None:
    run_id = await registry.start_run(
        facts(parameters={"epochs": 3, "schedule": {"warmup": [1, 2]}, "note": "x" * 9000})
    )
    run = client.get_run(run_id)
    experiment = client.get_experiment(run.info.experiment_id)
    assert experiment.name == "tunegraph"
    assert experiment.artifact_location == (data_dir / "mlflow" / "artifacts").as_uri()
    assert (run.info.run_name, run.info.status, run.info.user_id) == ("invoice-desk", "RUNNING", "ada")
    assert run.info.start_time == 1_770_372_000_250
    assert run.data.tags == {
        "tunegraph.job_id": "job_1",
        "tunegraph.model_name": "invoice-desk",
        "tunegraph.base_model": "local/retriever-small",
        "tunegraph.trainer": "LOCAL",
        "tunegraph.training_sheet_id": "tsheet_1",
        "tunegraph.training_sheet_name": "Invoices, 2026",
        "tunegraph.dataset_digest": "ab" * 32,
        "mlflow.user": "ada",
        "mlflow.source.name": "tunegraph",
        "mlflow.source.type": "JOB",
        "mlflow.runName": "invoice-desk",
    }
    assert run.data.params == {
        "epochs": "3",
        "schedule": '{"warmup": [1, 2]}',
        "note": "x" * 6000,
        "base_model": "local/retriever-small",
        "trainer": "LOCAL",
        "train_pairs": "400",
        "val_pairs": "100",
    }


async def test_a_configuration_of_any_size_and_with_any_names_is_logged(
    registry: MlflowRegistry, client: "MlflowClient"
) -> None:
    odd = {"": 1, "..": 2, "../up": 3, "a//b": 4, "größe%": 5, "k" * 300: 6} | {f"key {n:03}": n for n in range(250)}
    run_id = await registry.start_run(facts(parameters=odd))
    logged = client.get_run(run_id).data.params
    assert len(logged) == len(odd) + 4
    assert [logged[key] for key in ("_", "_..", "_.._up", "_a__b", "größe_", "k" * 250)] == [
        "1",
        "2",
        "3",
        "4",
        "5",
        "6",
    ]


async def test_a_job_has_one_run_whoever_starts_it_again(open_registry: OpenRegistry, client: "MlflowClient") -> None:
    run_id = await open_registry().start_run(facts())
    assert await open_registry().start_run(facts()) == run_id
    assert await open_registry().start_run(facts("job_2")) != run_id
    assert len(all_runs(client)) == 2


async def test_a_run_that_was_made_but_not_described_is_completed(
    registry: MlflowRegistry, client: "MlflowClient", data_dir: Path
) -> None:
    experiment = client.create_experiment("tunegraph")
    left_behind = client.create_run(experiment, tags={"tunegraph.job_id": "job_1"}).info.run_id
    assert await registry.start_run(facts()) == left_behind
    assert client.get_run(left_behind).data.params["epochs"] == "3"


async def test_starting_a_run_many_times_at_once_makes_one(registry: MlflowRegistry, client: "MlflowClient") -> None:
    started = await asyncio.gather(*(registry.start_run(facts()) for _ in range(6)))
    assert len(set(started)) == 1
    assert len(all_runs(client)) == 1


async def test_points_are_logged_once_and_only_finite_values(registry: MlflowRegistry, client: "MlflowClient") -> None:
    run_id = await registry.start_run(facts())
    points = [
        LoggedPoint(1, NOW, {"train_loss": 2.5, "val_loss": float("nan")}),
        LoggedPoint(2, NOW + timedelta(seconds=1), {"train_loss": 1.5, "val_loss": float("inf"), "val_accuracy": 1}),
    ]
    await registry.log_points(run_id, points[:1])
    await registry.log_points(run_id, points)
    await registry.log_points(run_id, [])
    assert [(m.step, m.timestamp, m.value) for m in client.get_metric_history(run_id, "train_loss")] == [
        (1, 1_770_372_000_250, 2.5),
        (2, 1_770_372_001_250, 1.5),
    ]
    assert client.get_run(run_id).data.metrics == {"train_loss": 1.5, "val_accuracy": 1.0}


async def test_more_values_than_one_request_may_hold(registry: MlflowRegistry, client: "MlflowClient") -> None:
    run_id = await registry.start_run(facts())
    points = [LoggedPoint(step, NOW, {"a": step, "b": -step, "c": 0.5}) for step in range(700)]
    await registry.log_points(run_id, points)
    for key, last in (("a", 699.0), ("b", -699.0), ("c", 0.5)):
        history = client.get_metric_history(run_id, key)
        assert (len(history), history[-1].value) == (700, last)


async def test_a_registered_version_loads_in_another_process_and_answers(
    registry: MlflowRegistry, artifact: Path, data_dir: Path
) -> None:
    run_id = await registry.start_run(facts())
    await registry.log_model(run_id, artifact)
    version = await registry.register(run_id, NAME, "job_1")
    program = f"""
from server.registry.mlflow import prepare_environment
prepare_environment()
import mlflow
mlflow.set_tracking_uri({local_store.default_tracking_uri(data_dir)!r})
print(mlflow.pyfunc.load_model("models:/{NAME}/{version}").predict(["When is it due?"]))
"""
    loaded = await asyncio.to_thread(run_program, program)
    assert (loaded.returncode, loaded.stdout) == (0, "['You asked: When is it due?']\n"), loaded.stderr


async def test_registering_again_is_the_same_version(
    open_registry: OpenRegistry, client: "MlflowClient", artifact: Path
) -> None:
    registry = open_registry()
    run_id = await registry.start_run(facts())
    await registry.log_model(run_id, artifact)
    again = [registry.register(run_id, NAME, "job_1") for _ in range(4)]
    assert await asyncio.gather(*again) == ["1"] * 4
    assert await open_registry().register(run_id, NAME, "job_1") == "1"
    (version,) = versions(client)
    assert (version.run_id, version.tags["tunegraph.job_id"]) == (run_id, "job_1")
    assert version.tags["tunegraph.dataset_digest"] == "ab" * 32


async def test_two_jobs_that_register_at_once_get_a_version_each(
    open_registry: OpenRegistry, client: "MlflowClient", artifact: Path
) -> None:
    async def train(job_id: str) -> tuple[str, str]:
        registry = open_registry()
        run_id = await registry.start_run(facts(job_id))
        await registry.log_model(run_id, artifact)
        return await registry.register(run_id, NAME, job_id), run_id

    registered = await asyncio.gather(train("job_1"), train("job_2"))
    assert sorted(version for version, _ in registered) == ["1", "2"]
    assert {(str(version.version), version.run_id) for version in versions(client)} == set(registered)


async def test_a_model_is_copied_once(registry: MlflowRegistry, artifact: Path, data_dir: Path) -> None:
    run_id = await registry.start_run(facts())
    await registry.log_model(run_id, artifact)
    (copied,) = (data_dir / "mlflow" / "artifacts").rglob("MLmodel")
    assert copied.read_bytes() == (artifact / "MLmodel").read_bytes()
    before = copied.stat()
    await registry.log_model(run_id, artifact)
    assert copied.stat().st_mtime_ns == before.st_mtime_ns


async def test_a_copy_that_was_broken_off_is_completed(
    registry: MlflowRegistry, artifact: Path, data_dir: Path
) -> None:
    run_id = await registry.start_run(facts())
    half = data_dir / "mlflow" / "artifacts" / run_id / "artifacts" / "model"
    half.mkdir(parents=True)
    (half / "MLmodel").write_text("broken off")
    await registry.log_model(run_id, artifact)
    assert (half / "MLmodel").read_bytes() == (artifact / "MLmodel").read_bytes()


async def test_a_folder_without_a_model_is_refused(registry: MlflowRegistry, tmp_path: Path) -> None:
    run_id = await registry.start_run(facts())
    with pytest.raises(Unavailable, match=r"no model in MLflow's format at nothing$"):
        await registry.log_model(run_id, tmp_path / "nothing")


async def test_a_run_without_a_model_is_not_registered(registry: MlflowRegistry, client: "MlflowClient") -> None:
    run_id = await registry.start_run(facts())
    with pytest.raises(Unavailable, match="has no model to register"):
        await registry.register(run_id, NAME, "job_1")
    assert list(client.search_registered_models()) == []


async def test_registering_waits_until_the_version_is_ready(
    open_registry: OpenRegistry, artifact: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.registry.mlflow.BETWEEN_LOOKS", 0.01)
    registry = open_registry(ready_within=0.1)
    run_id = await registry.start_run(facts())
    await registry.log_model(run_id, artifact)
    await registry.register(run_id, NAME, "job_1")

    set_version_status(data_dir, "PENDING_REGISTRATION")
    with pytest.raises(Unavailable, match=f"version 1 of {NAME} is still being registered"):
        await registry.register(run_id, NAME, "job_1")
    patient = asyncio.create_task(open_registry().register(run_id, NAME, "job_1"))
    set_version_status(data_dir, "READY")
    assert await patient == "1"


async def test_a_version_that_failed_is_replaced_by_another(
    registry: MlflowRegistry, artifact: Path, data_dir: Path
) -> None:
    run_id = await registry.start_run(facts())
    await registry.log_model(run_id, artifact)
    assert await registry.register(run_id, NAME, "job_1") == "1"
    set_version_status(data_dir, "FAILED_REGISTRATION")
    assert await registry.register(run_id, NAME, "job_1") == "2"
    assert await registry.register(run_id, NAME, "job_1") == "2"


@pytest.mark.parametrize(
    ("status", "run_status"),
    [(JobStatus.SUCCEEDED, "FINISHED"), (JobStatus.FAILED, "FAILED"), (JobStatus.CANCELLED, "KILLED")],
)
async def test_a_run_ends_once_as_its_job_has_ended(
    registry: MlflowRegistry, client: "MlflowClient", status: JobStatus, run_status: str
) -> None:
    run_id = await registry.start_run(facts())
    await registry.finish(run_id, status)
    ended = client.get_run(run_id).info
    assert ended.status == run_status
    await registry.finish(run_id, status)
    assert client.get_run(run_id).info.end_time == ended.end_time


async def test_nothing_listens_at_the_address(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    registry = MlflowRegistry(f"http://ada:secret@127.0.0.1:{port}", tmp_path, Threads(2))
    began = time.monotonic()
    with pytest.raises(Unavailable) as refused:
        await registry.start_run(facts())
    assert time.monotonic() - began < 10
    assert str(refused.value).startswith(f"MLflow: API request to http://127.0.0.1:{port}/api/2.0/mlflow/experiments/")
    assert "secret" not in str(refused.value)
    assert refused.value.__cause__ is not None


async def test_a_server_that_never_answers(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        registry = MlflowRegistry(address, tmp_path, Threads(2), answer_within=0.2)
        with pytest.raises(Unavailable, match=r"^MLflow did not answer within 0\.2 seconds$"):
            await registry.finish("0" * 32, JobStatus.FAILED)


async def test_a_folder_that_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file is in the way")
    registry = MlflowRegistry(local_store.default_tracking_uri(tmp_path / "data"), tmp_path / "artifacts", Threads(2))
    with pytest.raises(Unavailable, match="Not a directory"):
        await registry.start_run(facts())


async def test_a_deleted_experiment_is_named(registry: MlflowRegistry, client: "MlflowClient") -> None:
    client.delete_experiment(client.create_experiment("tunegraph"))
    with pytest.raises(Unavailable, match=r"experiment tunegraph was deleted; .* --experiment-id 1` brings it back"):
        await registry.start_run(facts())


async def test_an_unknown_run_is_unavailable(registry: MlflowRegistry) -> None:
    with pytest.raises(Unavailable, match=r"MLflow: .*not found"):
        await registry.finish("0" * 32, JobStatus.FAILED)


def test_a_program_hears_nothing_from_mlflow_and_nobody_hears_from_it(tmp_path: Path) -> None:
    program = f"""
import asyncio, os, sys
from pathlib import Path
before = dict(os.environ)
from server.registry.mlflow import MlflowRegistry
from server.registry import local_store
from server.threads import Threads
from tests.server.registry.conftest import facts
assert "mlflow" not in sys.modules and dict(os.environ) == before
data = Path({str(tmp_path / "data")!r})
registry = MlflowRegistry(local_store.default_tracking_uri(data), local_store.default_artifact_root(data), Threads(1))
asyncio.run(registry.start_run(facts()))
from mlflow.telemetry import get_telemetry_client
import logging, threading
assert get_telemetry_client() is None
assert all(logging.getLogger(name).propagate for name in ("mlflow", "alembic", "sqlalchemy.engine"))
assert logging.getLogger("mlflow").handlers == []
assert [thread.name for thread in threading.enumerate() if thread.name != "MLflow"] == ["MainThread"]
"""
    ended = run_program(program)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("", "", 0)
    assert (tmp_path / "data" / "mlflow").stat().st_mode & 0o777 == 0o700
