from typing import Any

import pytest

from server.domain.errors import InvalidInput
from server.domain.status import TrainerKind
from server.trainers.local import configuration
from tests.server.trainers.bench import BASE, SMALL

ACCEPTED: dict[str, list[float]] = {
    "epochs": [1, 3, 3.0, 1000],
    "learning_rate": [1e-9, 0.002, 1, 1.0],
    "batch_size": [2, 64.0, 4096],
    "warmup_steps": [0, 100_000],
    "weight_decay": [0, 0.5, 1],
    "max_seq_length": [8, 131_072],
}
REFUSED: dict[str, list[float]] = {
    "epochs": [0, -1, 1001, 2.5],
    "learning_rate": [0, -0.1, 1.0001],
    "batch_size": [1, 4097, 3.5],
    "warmup_steps": [-1, 100_001, 0.5],
    "weight_decay": [-0.01, 1.01],
    "max_seq_length": [7, 131_073, 8.5],
}
NO_NUMBERS: list[object] = [
    True,
    False,
    "3",
    None,
    [3],
    {},
    float("nan"),
    float("inf"),
    float("-inf"),
    10**400,
    -(10**400),
]


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in ACCEPTED.items() for value in values])
def test_takes_values_within_the_limits(key: str, value: float) -> None:
    configuration.check(SMALL, {key: value})
    assert configuration.value({key: value}, key) == value


@pytest.mark.parametrize(
    ("key", "value"),
    [(key, value) for key, values in REFUSED.items() for value in values]
    + [(key, value) for key in REFUSED for value in NO_NUMBERS],
)
def test_refuses_values_beyond_the_limits_and_what_is_no_number(key: str, value: object) -> None:
    with pytest.raises(InvalidInput) as refusal:
        configuration.check(SMALL, {key: value})
    assert refusal.value.path == ("input", "trainingConfig", key)
    assert refusal.value.message.startswith(f"trainingConfig.{key} must be a ")
    assert len(refusal.value.message) < 120


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"epochs": 0}, "trainingConfig.epochs must be a whole number from 1 to 1000; it is 0"),
        ({"epochs": 2.5}, "trainingConfig.epochs must be a whole number from 1 to 1000; it is 2.5"),
        ({"epochs": True}, "trainingConfig.epochs must be a whole number from 1 to 1000"),
        ({"learning_rate": 0}, "trainingConfig.learning_rate must be a number above 0 and at most 1; it is 0"),
    ],
)
def test_says_what_is_allowed(config: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        configuration.check(SMALL, config)
    assert refusal.value.message == message


def test_whole_numbers_may_come_as_floats_and_defaults_fill_the_rest() -> None:
    assert configuration.whole({"epochs": 3.0}, "epochs") == 3
    assert isinstance(configuration.whole({"epochs": 3.0}, "epochs"), int)
    assert configuration.whole({}, "epochs") == 20


def test_keys_that_it_does_not_know_pass() -> None:
    configuration.check(BASE, {"lora_rank": "eight", "": None})


@pytest.mark.parametrize("name", ["", "local/retriever", "LOCAL/RETRIEVER-SMALL", "x" * 10_000])
def test_an_unknown_base_model_is_refused_with_those_that_there_are(name: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        configuration.check(name, {})
    assert refusal.value.path == ("input", "baseModel")
    assert refusal.value.message.endswith("it has local/retriever-small, local/retriever-base")
    assert len(refusal.value.message) < 250


def test_base_models_are_named_for_what_they_are() -> None:
    models = configuration.base_models()
    assert [model.name for model in models] == [SMALL, BASE]
    assert {model.trainer for model in models} == {TrainerKind.LOCAL}
    assert ["128" in model.display_name for model in models] == [True, False]
    assert ["256" in model.display_name for model in models] == [False, True]
