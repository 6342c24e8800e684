import socket
import time
from pathlib import Path

import pytest

from server.domain.errors import Unavailable
from server.domain.status import JobStatus
from server.registry import local_store
from server.registry.mlflow import MlflowRegistry
from server.threads import Threads
from tests.server.registry.conftest import facts
from tests.server.registry.contract import RegistryContract
from tests.server.registry.stores import LocalStore, run_program


@pytest.fixture
def store(data_dir: Path) -> LocalStore:
    return LocalStore(data_dir)


@pytest.fixture
def registry(store: LocalStore) -> MlflowRegistry:
    return store.open()


class TestMlflow(RegistryContract):
    """In SQLite and files."""


async def test_artifacts_are_below_the_data_folder(registry: MlflowRegistry, store: LocalStore, data_dir: Path) -> None:
    await registry.start_run(facts())
    experiment = store.client.get_experiment_by_name("tunegraph")
    assert experiment is not None
    assert experiment.artifact_location == (data_dir / "mlflow" / "artifacts").as_uri()


async def test_a_run_belongs_to_whoever_asked_for_the_job(registry: MlflowRegistry, store: LocalStore) -> None:
    assert store.client.get_run(await registry.start_run(facts())).info.user_id == "ada"


async def test_a_version_has_the_tags_of_its_run(registry: MlflowRegistry, store: LocalStore, artifact: Path) -> None:
    run_id = await registry.start_run(facts())
    await registry.log_model(run_id, artifact)
    version = store.client.get_model_version(
        "main.ft.invoice_desk", await registry.register(run_id, "main.ft.invoice_desk", "job_1")
    )
    assert version.tags["tunegraph.job_id"] == "job_1"
    assert version.tags["tunegraph.dataset_digest"] == "ab" * 32


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
        registry = MlflowRegistry(address, tmp_path, Threads(2), request_seconds=0.2)
        with pytest.raises(Unavailable, match=r"^MLflow did not answer within 0\.2 seconds$"):
            await registry.finish("0" * 32, JobStatus.FAILED)


async def test_a_folder_that_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file is in the way")
    registry = MlflowRegistry(local_store.default_tracking_uri(tmp_path / "data"), tmp_path / "artifacts", Threads(2))
    with pytest.raises(Unavailable, match="Not a directory"):
        await registry.start_run(facts())


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
