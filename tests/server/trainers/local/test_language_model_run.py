"""Fine-tuning a language model on this machine, as any other local run."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from server.domain.status import RunState
from server.trainers.trainer import Observation, TrainerJobId, TrainingRequest
from tests.server.trainers import llm
from tests.server.trainers.bench import ENDED, Bench, look
from tests.waiting import until

pytestmark = [pytest.mark.llm, llm.NEEDS_LIBRARIES]

BRIEF = {"epochs": 2, "learning_rate": 0.01, "batch_size": 8, "max_seq_length": 128, "lora_rank": 8, "colour": "blue"}
BESIDE = 2  # slots, so that a run has half of the processors


def request(local: Bench, base_model: Path, **config: object) -> TrainingRequest:
    asked = local.request("job_1", BRIEF | config, str(base_model))
    train, validation = llm.export(local.data_dir)
    return replace(asked, train_file=train, validation_file=validation)


async def until_ended(local: Bench, name: TrainerJobId) -> list[Observation]:
    seen: list[Observation] = []

    async def ended() -> bool:
        seen.append(await look(local.trainers[0], "job_1", name))
        return seen[-1].state in ENDED

    await until(ended, within=llm.WITHIN)
    return seen


async def test_a_language_model_is_trained_and_told_of_like_any_other_run(local: Bench, tiny_model: Path) -> None:
    trainer = local.trainer(slots=BESIDE)
    asked = request(local, tiny_model)
    trainer.validate(asked.base_model, asked.config)
    name = await trainer.submit(asked)
    seen = await until_ended(local, name)
    last = seen[-1]
    assert (last.state, last.error_code, last.message) == (RunState.SUCCEEDED, None, None)
    assert list(dict.fromkeys(look.state for look in seen)) == [RunState.QUEUED, RunState.RUNNING, RunState.SUCCEEDED]
    for earlier, later in pairwise(seen):
        assert (earlier.progress_percent or 0) <= (later.progress_percent or 0) < 100
        assert list(later.points[: len(earlier.points)]) == list(earlier.points)
    assert (last.current_epoch, last.total_epochs, last.epochs_completed) == (2, 2, 2)
    assert {look.epochs_completed for look in seen} <= {None, 0, 1, 2}
    assert [point.step for point in last.points] == list(range(9))  # 32 examples, 8 at once, twice
    measured = {point.step: point.values["val_loss"] for point in last.points if "val_loss" in point.values}
    assert list(measured) == [0, 4, 8]
    assert measured[0] > measured[4] > measured[8]
    assert last.points[-1].values["train_loss"] < last.points[1].values["train_loss"]
    assert {"train_accuracy", "learning_rate"} <= set(last.points[1].values)
    assert (last.tokens_processed or 0) > 0
    assert last.custom_metrics["untrained_val_loss"] == measured[0]
    assert 0 < last.custom_metrics["trained_parameters"] < last.custom_metrics["parameters"]
    assert last.custom_metrics["examples_left_out"] == 0
    assert last.artifact is not None
    assert (last.artifact / "MLmodel").is_file()
    adapter = last.artifact / "artifacts" / "adapter"
    assert {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json"} <= {
        path.name for path in adapter.iterdir()
    }
    left = {path.name for path in local.run("job_1").folder.iterdir()}
    assert left == {"request.json", "started", "progress.jsonl", "result.json", "run.lock", "child.log", "model"}


async def test_cancelling_ends_it_in_the_midst_of_its_training(local: Bench, tiny_model: Path) -> None:
    trainer = local.trainer(slots=BESIDE)
    name = await trainer.submit(request(local, tiny_model, epochs=1000))

    async def trains() -> bool:
        seen = await look(trainer, "job_1", name)
        assert seen.state not in ENDED, seen
        return len(seen.points) > 3

    await until(trains, within=llm.WITHIN)
    await trainer.cancel(name)
    last = (await until_ended(local, name))[-1]
    assert (last.state, last.artifact, last.error_code) == (RunState.CANCELLED, None, None)
    result = local.run("job_1").result()
    assert result is not None
    assert result.training_duration_seconds is not None  # the child's own word
    assert not local.run("job_1").model.exists()


@pytest.mark.parametrize(
    ("config", "content", "message"),
    [({}, "", "there is no conversation in "), ({"max_seq_length": 8}, None, "no answer in ")],
)
async def test_data_that_can_not_be_learned_from_fails_with_its_reason(
    local: Bench, tiny_model: Path, config: dict[str, Any], content: str | None, message: str
) -> None:
    asked = request(local, tiny_model, **config)
    if content is not None:
        asked.train_file.write_text(content)
    name = await local.trainer(slots=BESIDE).submit(asked)
    last = (await until_ended(local, name))[-1]
    assert (last.state, last.error_code) == (RunState.FAILED, "NO_DATA")
    assert (last.message or "").startswith(message)


async def test_a_base_model_that_can_not_be_loaded_fails_with_its_reason(local: Bench, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{}")
    name = await local.trainer(slots=BESIDE).submit(request(local, tmp_path / "broken"))
    last = (await until_ended(local, name))[-1]
    assert (last.state, last.error_code) == (RunState.FAILED, "BASE_MODEL_NOT_FOUND")
    assert (last.message or "").startswith(f"there is no base model {tmp_path}/broken to load: ")
