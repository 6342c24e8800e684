from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from server.trainers.databricks.ai_runtime.trainer import AiRuntimeTrainer
from server.trainers.trainer import TrainingRequest
from tests.emulator.served import emulator
from tests.server.trainers.contract import Subject, TrainerContract
from tests.server.trainers.databricks.ai_runtime.desk import MODEL, Desk


@dataclass
class AiRuntime:
    desk: Desk
    base_model: str = MODEL
    refused_config: Mapping[str, Any] = field(default_factory=lambda: {"accelerator_type": "GPU_1xA100"})
    refused_key: str = "accelerator_type"

    def trainer(self) -> AiRuntimeTrainer:
        return self.desk.trainer(self.desk.connected())

    def request(self, job_id: str, base_model: str | None = None) -> TrainingRequest:
        return self.desk.request(job_id, base_model=base_model or self.base_model)


class TestAiRuntime(TrainerContract):
    @pytest.fixture
    async def subject(self, tmp_path: Path) -> AsyncIterator[Subject]:
        async with emulator(pace=30.0) as databricks:
            yield AiRuntime(Desk(databricks, tmp_path))
