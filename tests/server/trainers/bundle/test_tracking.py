"""The training's run in MLflow."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from server.registry.local_store import create_missing, default_artifact_root, default_tracking_uri
from server.trainers.bundle import tracking
from server.trainers.bundle.hyperparameters import Request
from server.trainers.bundle.progress import Point
from server.trainers.bundle.tracking import Tracking

if TYPE_CHECKING:
    from mlflow.entities import Metric
    from mlflow.tracking import MlflowClient

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> "MlflowClient":
    from mlflow.tracking import MlflowClient  # noqa: PLC0415  (takes seconds)

    folder = tmp_path_factory.mktemp("mlflow")
    uri = default_tracking_uri(folder)
    create_missing(uri, default_artifact_root(folder))
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


@pytest.fixture
def run_id(client: "MlflowClient") -> str:
    return str(client.create_run("0").info.run_id)


def point(step: int, **values: float) -> Point:
    return Point(step, step / 10, NOON, values)


def test_what_is_trained_with_what_is_logged_and_what_stands_already_stays(client: "MlflowClient", run_id: str) -> None:
    client.log_param(run_id, "seed", "of somebody else")
    config = {"epochs": 2.0, "colour": ["blue"], "a=b": None, "long": "x" * 10_000}
    described = {"job_id": "job_1", "base_model": "org/name"}
    request = Request("org/name", Path("train.jsonl"), config=config, seed=7, described=described)
    Tracking(client, run_id).begin(request)
    Tracking(client, run_id).begin(request)
    logged = client.get_run(run_id).data.params
    assert {key: logged[key] for key in ("job_id", "base_model", "seed", "epochs", "lora_rank", "colour", "a_b")} == {
        "job_id": "job_1",
        "base_model": "org/name",
        "seed": "of somebody else",
        "epochs": "2",
        "lora_rank": "16",
        "colour": '["blue"]',
        "a_b": "null",
    }
    assert len(logged["long"]) == 6000


def test_metrics_have_their_step_their_time_and_the_names_of_transformers(client: "MlflowClient", run_id: str) -> None:
    tracked = Tracking(client, run_id)
    for step in range(3):
        tracked.point(point(step, loss=float(step), eval_loss=step + 0.5), tokens=100 * step)
    tracked.end("FINISHED")
    history = client.get_metric_history(run_id, "eval_loss")
    assert [(metric.step, metric.value, metric.timestamp) for metric in history] == [
        (step, step + 0.5, 1795435200000) for step in range(3)
    ]
    assert [metric.value for metric in client.get_metric_history(run_id, "epoch")] == [0, 0.1, 0.2]
    assert [metric.value for metric in client.get_metric_history(run_id, "num_tokens")] == [0, 100, 200]
    assert client.get_run(run_id).info.status == "FINISHED"


class Flaky:
    """A client whose first request fails."""

    def __init__(self) -> None:
        self.logged: list[float] = []
        self.requests = 0

    def log_batch(self, _run_id: str, metrics: Sequence["Metric"]) -> None:
        self.requests += 1
        if self.requests == 1:
            raise ConnectionError("nobody there")
        self.logged += [metric.value for metric in metrics if metric.key == "loss"]


def test_metrics_that_could_not_be_logged_are_logged_with_the_next(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    flaky = Flaky()
    tracked = Tracking(cast("Any", flaky), "run")
    monkeypatch.setattr(tracking, "BETWEEN_BATCHES_SECONDS", 0.0)
    tracked.point(point(1, loss=1.0), 0)
    assert flaky.logged == []
    assert "MLflow does not answer" in caplog.text
    tracked.point(point(2, loss=2.0), 0)
    assert flaky.logged == [1.0, 2.0]


def test_metrics_that_follow_each_other_soon_share_a_request(client: "MlflowClient") -> None:
    flaky = Flaky()
    flaky.requests = 1
    tracked = Tracking(cast("Any", flaky), "run")
    for step in range(1, 1501):
        tracked.point(point(step, loss=float(step)), 0)
    tracked.flush()
    assert flaky.logged == [float(step) for step in range(1, 1501)]
    assert flaky.requests <= 8


def test_a_failed_run_says_why(client: "MlflowClient", run_id: str) -> None:
    Tracking(client, run_id).end("FAILED", "OUT_OF_MEMORY", "lower batch_size")
    run = client.get_run(run_id)
    assert run.info.status == "FAILED"
    assert run.data.tags[tracking.ERROR_CODE_TAG] == "OUT_OF_MEMORY"
    assert run.data.tags[tracking.ERROR_TAG] == "lower batch_size"


@pytest.mark.parametrize(("failing", "version", "why"), [(2, "1", None), (3, None, "nobody there")])
def test_a_model_that_can_not_be_registered_is_tried_again_and_stays_with_its_run(
    client: "MlflowClient",
    run_id: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    failing: int,
    version: str | None,
    why: str | None,
) -> None:
    import mlflow  # noqa: PLC0415  (takes seconds)

    tried: list[tuple[str, str]] = []

    def register(source: str, name: str) -> SimpleNamespace:
        tried.append((source, name))
        if len(tried) <= failing:
            raise ConnectionError("nobody there")
        return SimpleNamespace(version="1")

    monkeypatch.setattr(mlflow, "register_model", register)
    monkeypatch.setattr(tracking, "PAUSES_SECONDS", (0.0, 0.0))
    (tmp_path / "MLmodel").touch()
    Tracking(client, run_id).model(tmp_path, "main.ft.invoice-desk")
    assert tried == [(f"runs:/{run_id}/model", "main.ft.invoice-desk")] * 3
    tags = client.get_run(run_id).data.tags
    assert (tags.get(tracking.VERSION_TAG), tags.get(tracking.REGISTRATION_ERROR_TAG)) == (version, why)
    assert [file.path for file in client.list_artifacts(run_id, "model")] == ["model/MLmodel"]


def test_what_is_beside_the_metrics_is_a_file_of_the_run(client: "MlflowClient", run_id: str, tmp_path: Path) -> None:
    Tracking(client, run_id).custom({"parameters": 12, "device": "cpu"})
    found = client.download_artifacts(run_id, tracking.CUSTOM, str(tmp_path))
    assert json.loads(Path(found).read_bytes()) == {"parameters": 12, "device": "cpu"}


@pytest.mark.parametrize("variables", [{}, {"MLFLOW_RUN_ID": ""}, {"MLFLOW_RUN_ID": "r", "RANK": "3"}])
def test_without_a_run_and_beside_the_first_process_nothing_is_tracked(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    for name in ("MLFLOW_RUN_ID", "RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert tracking.from_environment() is None
