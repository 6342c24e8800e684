"""The file that says what to train."""

import json
from pathlib import Path
from typing import Any

import pytest

from server.trainers.bundle import hyperparameters
from server.trainers.bundle.hyperparameters import BadInput

LEAST = {"base_model": "org/name", "train_file": "train.jsonl"}


def written(folder: Path, content: object) -> Path:
    path = folder / "hyperparameters.yaml"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_yaml_and_json_say_the_same(tmp_path: Path) -> None:
    in_yaml = """
job_id: job_1
base_model: org/name
train_file: train.jsonl
validation_file: /elsewhere/validation.jsonl
seed: 7
config:
  epochs: 2
  learning_rate: 0.001
  colour: [blue]
output: model
register_as: main.ft.invoice-desk
"""
    read = hyperparameters.read(written(tmp_path, in_yaml))
    config = {"epochs": 2, "learning_rate": 0.001, "colour": ["blue"]}
    in_json = LEAST | {"job_id": "job_1", "seed": 7, "config": config, "output": "model"}
    in_json |= {"validation_file": "/elsewhere/validation.jsonl", "register_as": "main.ft.invoice-desk"}
    assert read == hyperparameters.read(written(tmp_path, in_json))
    assert read.train_file == tmp_path / "train.jsonl"
    assert read.validation_file == Path("/elsewhere/validation.jsonl")
    assert read.output == tmp_path / "model"
    assert (read.seed, read.register_as) == (7, "main.ft.invoice-desk")
    assert read.described == {"job_id": "job_1", "base_model": "org/name"}


def test_what_is_left_out_has_its_default_and_what_is_not_known_is_kept(tmp_path: Path) -> None:
    read = hyperparameters.read(written(tmp_path, LEAST | {"config": {"lora_rank": 4.0, "colour": None}}))
    assert (read.whole("lora_rank"), read.whole("epochs"), read.number("learning_rate")) == (4, 3, 0.0002)
    assert isinstance(read.whole("lora_rank"), int)
    assert read.config == {"lora_rank": 4.0, "colour": None}
    assert read.validation_file is None
    assert set(hyperparameters.used({})) == set(hyperparameters.BOUNDS)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("base_model: [", "the hyper-parameters are neither JSON nor YAML: while parsing"),
        ("just words", "hyperparameters.yaml must be an object with base_model, train_file, …"),
        ({"train_file": "train.jsonl"}, "base_model is missing"),
        ({"base_model": "org/name"}, "train_file is missing"),
        (LEAST | {"base_model": 3}, "base_model must be a text"),
        (LEAST | {"output": ""}, "output must be a text"),
        (LEAST | {"seed": "seven"}, "seed must be a whole number"),
        (LEAST | {"seed": True}, "seed must be a whole number"),
        (LEAST | {"config": [1]}, "config must be an object"),
        (LEAST | {"config": {"epochs": 0}}, "config.epochs must be a whole number from 1 to 1000; it is 0"),
        (LEAST | {"config": {"lora_alpha": "8"}}, "config.lora_alpha must be a number above 0 and at most 4096"),
    ],
)
def test_what_can_not_be_trained_is_refused_in_one_line(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(BadInput) as refusal:
        hyperparameters.read(written(tmp_path, content))
    assert str(refusal.value).startswith(message)
    assert "\n" not in str(refusal.value)
    assert refusal.value.code == "BAD_HYPERPARAMETERS"


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"the hyper-parameters can't be read: .*No such file"):
        hyperparameters.read(tmp_path / "missing.yaml")


@pytest.mark.parametrize("key", hyperparameters.BOUNDS)
@pytest.mark.parametrize("value", [True, "3", None, [3], {}, float("nan"), float("inf"), -1, 10**400])
def test_a_value_beyond_its_bounds_is_refused_by_its_key(key: str, value: object) -> None:
    config: dict[str, Any] = {key: value}
    found = hyperparameters.refusal(config)
    assert found is not None
    assert found[0] == key
    assert found[1].startswith("must be a ")


def test_defaults_are_within_their_bounds() -> None:
    assert hyperparameters.refusal(hyperparameters.used({})) is None
