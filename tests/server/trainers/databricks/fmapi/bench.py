"""An emulated workspace whose clock tests put forward, and FMAPI trainers over it."""

import json
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from server.databricks.workspace import Workspace
from server.trainers.databricks.fmapi.trainer import FmapiTrainer
from server.trainers.trainer import BaseModel, Observation, RunHandle, TrainerJobId, TrainingRequest
from tests.emulator.finetuning import Finetune
from tests.emulator.requests import Recorded
from tests.emulator.served import Emulator, emulator

START, PACE = 1_795_000_000.0, 100.0
TOKEN = "dapi-0123456789abcdef"  # noqa: S105  (opens nothing but an emulator)
SMALL = "meta-llama/Llama-3.2-1B-Instruct"
VOLUME, FOLDER, MODEL = "/Volumes/main/ft/data/desk", "/Shared/desk", "main.ft.desk"
GRAPHQL = "/api/2.0/genai-mapi/graphql"
CONFIG = {"epochs": 2, "learning_rate": 5e-7, "max_seq_length": 4096}
# what a workspace that no longer has FMAPI may answer it; its other endpoints work
GONE = {"path": GRAPHQL, "times": None}


def conversations(count: int) -> str:
    turns = [{"role": "user", "content": "Where is it?"}, {"role": "assistant", "content": "In the drawer."}]
    return (json.dumps({"messages": turns}) + "\n") * count


@dataclass
class Bench:
    """Trainers that follow one another, or run beside each other."""

    databricks: Emulator
    folder: Path
    known: Sequence[BaseModel] = field(default_factory=list)

    def workspace(self, **limits: Any) -> Workspace:  # noqa: ANN401  (of Workspace)
        given = {"host": self.databricks.url, "token": TOKEN, "auth_type": "pat"}
        return Workspace(given, **{"request_seconds": 1.0, "repeat_seconds": 1, "longest_pause_seconds": 0.1, **limits})

    def trainer(self, **settings: Any) -> FmapiTrainer:  # noqa: ANN401  (of FmapiTrainer)
        ours: dict[str, Any] = {
            "volume": VOLUME,
            "folder": FOLDER,
            "alias": "champion",
            "now": self.now,
            "registering": 0.0,
        }
        ours |= {"histories_per_second": math.inf}
        chosen: dict[str, Any] = {**ours, **settings}
        made = FmapiTrainer(chosen.pop("workspace", None) or self.workspace(), **chosen)
        made._catalogue.known = self.known
        return made

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.databricks.clock.now(), UTC)

    def request(self, job_id: str, base_model: str = SMALL, **changes: Any) -> TrainingRequest:  # noqa: ANN401  (fields)
        files = self.folder / "train.jsonl", self.folder / "validation.jsonl"
        for path, count in zip(files, (40, 8), strict=True):
            if not path.exists():
                path.write_text(conversations(count), encoding="utf-8")
        asked: dict[str, Any] = {"config": CONFIG, "register_as": MODEL, **changes}
        return TrainingRequest(
            job_id=job_id,
            model_name="desk",
            base_model=base_model,
            seed=7,
            train_file=files[0],
            validation_file=files[1],
            dataset_digest="0" * 64,
            **asked,
        )

    async def started(self, trainer: FmapiTrainer, job_id: str = "job_1") -> TrainerJobId:
        """A run in the middle of its training."""
        name = await trainer.submit(self.request(job_id))
        self.advance(0.5)
        return name

    def advance(self, share: float) -> None:
        """Put the clock forward by a share of the time that a training takes."""
        self.databricks.clock.advance(share * PACE)
        self.databricks.world.agenda.catch_up()

    @property
    def runs(self) -> list[Finetune]:
        return list(self.databricks.world.finetunes.named.values())

    def creations(self) -> list[Recorded]:
        return self.databricks.requests.to(operation="CreateFinetune")


@asynccontextmanager
async def opened(folder: Path, **options: Any) -> AsyncIterator[Bench]:  # noqa: ANN401  (of the emulator)
    given = {"held_at": START, "pace": PACE, "token": TOKEN, **options}
    async with emulator(folder=folder / "workspace", **given) as databricks:
        yield Bench(databricks, folder)


async def look(trainer: FmapiTrainer, job_id: str, name: TrainerJobId, step: int | None = None) -> Observation:
    return (await trainer.observe([RunHandle(job_id, name, step)]))[job_id]
