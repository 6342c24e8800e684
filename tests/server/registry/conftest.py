import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from server.registry import local_store
from server.registry.mlflow import prepare_environment
from server.registry.registry import RunFacts
from tests.emulator.served import emulator
from tests.server.registry.stores import WorkspaceStore

pytest.register_assert_rewrite("tests.server.registry.contract")

NOW = datetime(2026, 2, 6, 10, 0, 0, 250_000, tzinfo=UTC)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """MLflow's store is declared with a loader strategy that SQLAlchemy 2.1 deprecates; it says so once, on import."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"))


def facts(job_id: str = "job_1", **over: object) -> RunFacts:
    given: dict[str, Any] = {
        "job_id": job_id,
        "model_name": "invoice-desk",
        "base_model": "local/retriever-small",
        "trainer": "LOCAL",
        "training_sheet_id": "tsheet_1",
        "training_sheet_name": "Invoices, 2026",
        "dataset_digest": "ab" * 32,
        "parameters": {"epochs": 3, "learning_rate": 0.05},
        "train_pairs": 400,
        "val_pairs": 100,
        "created_by": "ada",
        "started_at": NOW,
    }
    return RunFacts(**given | over)


@pytest.fixture(scope="session", autouse=True)
def _silence() -> None:
    """Before any of these tests imports MLflow."""
    prepare_environment()


@pytest.fixture(scope="session")
def created_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's tables, made once: it takes seconds."""
    folder = tmp_path_factory.mktemp("created")
    local_store.create_missing(local_store.default_tracking_uri(folder), local_store.default_artifact_root(folder))
    return folder / "mlflow" / "mlflow.db"


@pytest.fixture
def data_dir(tmp_path: Path, created_database: Path) -> Path:
    """A data folder with an empty MLflow; its name is one that an address has to quote."""
    folder = tmp_path / "da ta #1 100%"
    (folder / "mlflow").mkdir(parents=True)
    shutil.copy(created_database, folder / "mlflow" / "mlflow.db")
    return folder


@pytest.fixture
async def workspace_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[WorkspaceStore]:
    """A workspace that the SDK finds in the environment, and nothing else there."""
    for name in [name for name in os.environ if name.startswith("DATABRICKS_")]:
        monkeypatch.delenv(name)
    # MLflow keeps the way to a run's artifacts by the run's id, for as long as the process lives
    async with emulator(seed=str(tmp_path)) as databricks:
        monkeypatch.setenv("DATABRICKS_HOST", databricks.url)
        monkeypatch.setenv("DATABRICKS_TOKEN", databricks.token)
        monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "none"))
        yield WorkspaceStore(databricks, monkeypatch)


@pytest.fixture(scope="session")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model in MLflow's format that answers a question with the question."""
    folder = tmp_path_factory.mktemp("artifact")
    source = folder / "echo.py"
    source.write_text(
        "import mlflow\n"
        "class Echo(mlflow.pyfunc.PythonModel):\n"
        "    def predict(self, context, model_input: list[str], params=None) -> list[str]:\n"
        "        return [f'You asked: {question}' for question in model_input]\n"
        "mlflow.models.set_model(Echo())\n"
    )
    saving = f"""
import mlflow.pyfunc
mlflow.pyfunc.save_model({str(folder / "model")!r}, python_model={str(source)!r}, pip_requirements=["mlflow-skinny"])
"""
    subprocess.run([sys.executable, "-c", saving], check=True, timeout=60)  # as a trainer's own process does
    return folder / "model"
