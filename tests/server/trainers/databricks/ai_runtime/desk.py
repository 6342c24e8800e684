"""An emulated workspace, and AI Runtime trainers as servers make them over it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from server.databricks.workspace import Workspace
from server.domain.metrics import MetricPoint
from server.trainers.databricks.ai_runtime.trainer import AiRuntimeTrainer
from server.trainers.trainer import Observation, RunHandle, TrainerJobId, TrainingRequest
from tests.emulator.ai_training import TrainingRun
from tests.emulator.requests import Recorded
from tests.emulator.served import Emulator

MODEL = "meta-llama/Llama-3.2-1B-Instruct"
VOLUME = "/Volumes/main/ft/data/tunegraph"
FOLDER = "/Shared/tunegraph"
NAMES = {
    "loss": "train_loss",
    "eval_loss": "val_loss",
    "mean_token_accuracy": "train_accuracy",
    "eval_mean_token_accuracy": "val_accuracy",
    "learning_rate": "learning_rate",
    "grad_norm": "grad_norm",
}
REGISTERED = "main.ft.invoice_desk"
PACE = 1000.0
RUNS = "/api/2.2/jobs/runs"
MLFLOW = "/api/2.0/mlflow"
UNITY_CATALOG = "/api/2.1/unity-catalog/models"


@dataclass
class Desk:
    """`workspace` waits for next to nothing, and lets the SDK repeat nothing."""

    databricks: Emulator
    folder: Path
    workspace: Workspace = field(init=False)

    def __post_init__(self) -> None:
        self.workspace = self.connected(request_seconds=0.5, longest_pause_seconds=0.0)

    def connected(self, request_seconds: float = 10.0, longest_pause_seconds: float = 5.0) -> Workspace:
        given = {"host": self.databricks.url, "token": self.databricks.token, "auth_type": "pat"}
        return Workspace(given, request_seconds=request_seconds, longest_pause_seconds=longest_pause_seconds)

    def trainer(
        self, workspace: Workspace | None = None, settle: float = 0.0, secrets: Sequence[str] = ()
    ) -> AiRuntimeTrainer:
        """As a server makes it when it starts."""
        return AiRuntimeTrainer(
            workspace or self.workspace,
            volume=VOLUME,
            folder=FOLDER,
            models=[MODEL, "/Volumes/main/ft/data/models/own"],
            alias="champion",
            secrets=secrets,
            settle=settle,
        )

    def request(
        self,
        job_id: str = "job_1",
        config: Mapping[str, Any] | None = None,
        base_model: str = MODEL,
        register_as: str | None = None,
    ) -> TrainingRequest:
        files = self.folder / "train.jsonl", self.folder / "validation.jsonl"
        for path, examples in zip(files, (40, 8), strict=True):
            path.write_text("".join(_line(number) for number in range(examples)), encoding="utf-8")
        return TrainingRequest(
            job_id=job_id,
            model_name="invoice-desk",
            base_model=base_model,
            config={"epochs": 2} if config is None else config,
            seed=7,
            train_file=files[0],
            validation_file=files[1],
            dataset_digest=sha256(b"".join(path.read_bytes() for path in files)).hexdigest(),
            register_as=register_as,
        )

    def passes(self, share: float) -> None:
        """Let so much of a training's time go by."""
        self.databricks.clock.advance(share * PACE)
        self.databricks.world.agenda.catch_up()

    def runs(self) -> list[TrainingRun]:
        return list(self.databricks.world.training_runs.runs.values())

    def logged(self) -> dict[int, dict[str, float]]:
        """What the first run has logged to MLflow by now: its steps, and their values under our names."""
        tracked = self.runs()[0].tracked
        steps: dict[int, dict[str, float]] = {}
        for key, points in {} if tracked is None else tracked.metrics.items():
            for point in points if key in NAMES else ():
                steps.setdefault(point.step, {})[NAMES[key]] = point.value
        return dict(sorted(steps.items()))

    def asked(self, method: str, path: str) -> list[Recorded]:
        return self.databricks.requests.to(method, path)


def values(points: Sequence[MetricPoint]) -> dict[int, dict[str, float]]:
    """Points as `Desk.logged` has them; none comes twice."""
    assert [point.step for point in points] == sorted({point.step for point in points})
    return {point.step: dict(point.values) for point in points}


async def look(
    trainer: AiRuntimeTrainer, job_id: str, name: TrainerJobId, after: int | None = None, events: int = 0
) -> Observation:
    return (await trainer.observe([RunHandle(job_id, name, after, events)]))[job_id]


def _line(number: int) -> str:
    turns = [
        {"role": "system", "content": "You are the invoice desk."},
        {"role": "user", "content": f"Where is invoice {number}?"},
        {"role": "assistant", "content": f"Invoice {number} is on its way."},
    ]
    return json.dumps({"messages": turns}) + "\n"


# every way in which a call is lost or throttled, before its effect and after
OUTAGES: tuple[dict[str, Any], ...] = tuple(
    {"kind": kind, "after": after, **rest}
    for kind, rest in (
        ("timeout", {}),
        ("reset", {}),
        ("cut", {}),
        ("429", {"retry_after": 7}),
        ("error", {"status": 500}),
        ("error", {"status": 503}),
        ("html", {}),
        ("truncated", {}),
    )
    for after in (False, True)
)
# refusals that say nothing about the run itself
REFUSALS: tuple[dict[str, Any], ...] = (
    {"kind": "error", "status": 401},
    {"kind": "error", "status": 403},
    {"kind": "error", "status": 404},
    {"kind": "error", "status": 410},
    {"kind": "feature_disabled"},
)

# where it makes no difference whether the call had its effect
LOST: tuple[dict[str, Any], ...] = OUTAGES[::2]
EACH_KIND: tuple[dict[str, Any], ...] = (*LOST, *REFUSALS[1:3])


def called(fault: dict[str, Any]) -> str:
    """How a test's parameter is called."""
    return "-".join(str(value) for value in fault.values())
