import warnings
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.registry.mlflow import prepare_environment
from tests.server.trainers import bench, llm
from tests.server.trainers.bench import Bench, Finished

pytest.register_assert_rewrite("tests.server.trainers.contract")

prepare_environment()
with warnings.catch_warnings():
    # MLflow warns of its own type hints, once, as it is imported
    warnings.simplefilter("ignore")
    import mlflow.pyfunc  # noqa: F401


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[Bench]:
    """A data folder with local trainers over it; whatever they have started ends with the test."""
    made = Bench(tmp_path)
    yield made
    await made.close()


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A run from its submission to its end, with everything that was observed on the way."""
    return bench.run_to_the_end(tmp_path_factory.mktemp("finished"))


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the libraries are installed, a name that looks like one of the hub must not be looked for there."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny language model."""
    return llm.make_base_model(tmp_path_factory.mktemp("base") / "tiny")
