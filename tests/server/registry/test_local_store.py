import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from server.registry import local_store


def create(data_dir: Path) -> str:
    uri = local_store.default_tracking_uri(data_dir)
    local_store.create_missing(uri, local_store.default_artifact_root(data_dir))
    return uri


def assert_whole(uri: str) -> None:
    from mlflow.tracking import MlflowClient  # noqa: PLC0415  (seconds, and only once it has been silenced)

    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    assert [experiment.name for experiment in client.search_experiments()] == ["Default"]
    assert list(client.search_registered_models()) == []


def test_everything_is_below_the_data_folder() -> None:
    assert local_store.default_tracking_uri(Path("/srv/data")) == "sqlite:////srv/data/mlflow/mlflow.db"
    assert local_store.default_artifact_root(Path("/srv/data")) == Path("/srv/data/mlflow/artifacts")


def test_killed_while_it_creates_the_tables_it_can_create_them_later(tmp_path: Path) -> None:
    draft = tmp_path / "mlflow" / ".mlflow.db.draft"
    program = f"""
from pathlib import Path
from server.registry import local_store
from server.registry.mlflow import prepare_environment
prepare_environment()
data = Path({str(tmp_path)!r})
local_store.create_missing(local_store.default_tracking_uri(data), local_store.default_artifact_root(data))
"""
    with subprocess.Popen([sys.executable, "-c", program], cwd=Path(__file__).parents[3]) as process:
        deadline = time.monotonic() + 60
        while not (draft.exists() and draft.stat().st_size > 100_000):
            assert process.poll() is None
            assert time.monotonic() < deadline
        process.kill()
    assert not (tmp_path / "mlflow" / "mlflow.db").exists()
    assert_whole(create(tmp_path))
    assert sorted(path.name for path in (tmp_path / "mlflow").iterdir()) == [".mlflow.db.lock", "mlflow.db"]


def test_created_by_several_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        (uri,) = set(pool.map(create, [tmp_path] * 3))
    assert_whole(uri)


def test_a_database_that_exists_is_left_as_it_is(data_dir: Path) -> None:
    database = data_dir / "mlflow" / "mlflow.db"
    before = database.read_bytes()
    create(data_dir)
    assert database.read_bytes() == before


def test_an_address_that_is_not_sqlite_makes_nothing(tmp_path: Path) -> None:
    local_store.create_missing("http://127.0.0.1:5000", tmp_path / "artifacts")
    assert list(tmp_path.iterdir()) == []
