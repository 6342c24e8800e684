from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from server.trainers.databricks.fmapi.trainer import FmapiTrainer
from server.trainers.trainer import TrainingRequest
from tests.server.trainers.contract import Subject, TrainerContract
from tests.server.trainers.databricks.fmapi.bench import SMALL, Bench


@dataclass
class Fmapi:
    bench: Bench
    base_model: str = SMALL
    refused_config: Mapping[str, Any] = field(default_factory=lambda: {"epochs": 0})
    refused_key: str = "epochs"

    def trainer(self) -> FmapiTrainer:
        return self.bench.trainer()

    def request(self, job_id: str, base_model: str | None = None) -> TrainingRequest:
        return self.bench.request(job_id, base_model or self.base_model)


class TestFmapi(TrainerContract):
    @pytest.fixture
    async def subject(self, bench: Bench) -> Subject:
        bench.known = await bench.trainer().base_models()  # as when somebody has looked at what can be trained
        return Fmapi(bench)
