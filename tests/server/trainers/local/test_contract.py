from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from server.trainers.local.trainer import LocalTrainer
from server.trainers.trainer import TrainingRequest
from tests.server.trainers.bench import LONG, SMALL, Bench
from tests.server.trainers.contract import Subject, TrainerContract


@dataclass
class Local:
    bench: Bench
    base_model: str = SMALL
    refused_config: Mapping[str, Any] = field(default_factory=lambda: {"epochs": 0})
    refused_key: str = "epochs"

    def trainer(self) -> LocalTrainer:
        return self.bench.trainer()

    def request(self, job_id: str, base_model: str | None = None) -> TrainingRequest:
        return self.bench.request(job_id, LONG, base_model or self.base_model)


class TestLocal(TrainerContract):
    @pytest.fixture
    def subject(self, local: Bench) -> Subject:
        return Local(local)
