from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.domain.errors import InvalidInput
from server.domain.status import TrainerKind
from server.trainers.databricks.fmapi.configuration import check, duration, total_epochs
from server.trainers.trainer import BaseModel
from tests.server.trainers.databricks.fmapi.bench import SMALL

KEYS = ["epochs", "learning_rate", "max_seq_length", "training_duration", "eval_prompts", "custom_weights_path"]
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text() | st.none())
KNOWN = [BaseModel(SMALL, "Small", TrainerKind.FMAPI, 4096)]


def refused(config: dict[str, Any], base_model: str = SMALL) -> InvalidInput:
    with pytest.raises(InvalidInput) as refusal:
        check(base_model, config, KNOWN)
    return refusal.value


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"epochs": 3, "learning_rate": 0.0001, "max_seq_length": 4096},
        {"epochs": 3.0},
        {"training_duration": "100ba"},
        {"training_duration": "1_000_000tok"},
        {"eval_prompts": ["Hello?"], "custom_weights_path": "dbfs:/databricks/mlflow-tracking/1/2/artifacts/x"},
        {"batch_size": 8, "colour": None},
    ],
)
def test_what_can_be_trained_passes(config: dict[str, Any]) -> None:
    check(SMALL, config, KNOWN)


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("epochs", 0, "must be a whole number from 1 to 1000"),
        ("epochs", 2.5, "must be a whole number from 1 to 1000"),
        ("epochs", True, "must be a whole number from 1 to 1000"),
        ("epochs", "3", "must be a whole number from 1 to 1000"),
        ("epochs", 10**400, "must be a whole number from 1 to 1000"),
        ("learning_rate", 0, "must be a number above 0 and at most 1"),
        ("learning_rate", float("nan"), "must be a number above 0 and at most 1"),
        ("max_seq_length", 4097, "must be a whole number from 8 to 4096"),
        ("training_duration", "3", "must be a number of epochs, batches or tokens, such as 3ep, 100ba or 1_000_000tok"),
        ("training_duration", "0ep", "must be a number of epochs, batches or tokens"),
        ("training_duration", 3, "must be a number of epochs, batches or tokens"),
        ("eval_prompts", "Hello?", "must be a list of at most 100 texts"),
        ("eval_prompts", [" "], "must be a list of at most 100 texts"),
        ("eval_prompts", ["Hello?"] * 101, "must be a list of at most 100 texts"),
        ("custom_weights_path", "/Volumes/weights", "must be a path that begins with dbfs:/"),
    ],
)
def test_what_can_not_be_trained_is_refused_by_its_key(key: str, value: object, reason: str) -> None:
    refusal = refused({key: value})
    assert refusal.path == ("input", "trainingConfig", key)
    assert refusal.message.startswith(f"trainingConfig.{key} {reason}")


def test_a_duration_is_given_once() -> None:
    assert refused({"epochs": 3, "training_duration": "3ep"}).path == ("input", "trainingConfig", "training_duration")


@pytest.mark.parametrize("name", ["", "small", "a b/c", "a/", "/a", "a/b\n", "a/" + "b" * 300])
def test_what_is_no_name_of_a_model_is_refused_before_the_models_are_known(name: str) -> None:
    with pytest.raises(InvalidInput, match="is not the name of a base model") as refusal:
        check(name, {}, [])
    assert refusal.value.path == ("input", "baseModel")


def test_a_model_is_only_unknown_when_the_models_are_known() -> None:
    check("nobody/nothing", {}, [])
    assert refused({}, "nobody/nothing").path == ("input", "baseModel")


@pytest.mark.parametrize(
    ("config", "sent", "count"),
    [({}, "1ep", 1), ({"epochs": 4.0}, "4ep", 4), ({"training_duration": "100ba"}, "100ba", None)],
)
def test_the_duration_is_sent_in_the_services_words(config: dict[str, Any], sent: str, count: int | None) -> None:
    assert (duration(config), total_epochs(config)) == (sent, count)


@given(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=3))
def test_no_value_breaks_the_check(config: dict[str, Any]) -> None:
    with suppress(InvalidInput):
        check(SMALL, config, KNOWN)
        assert total_epochs(config) is None or total_epochs(config) == int(duration(config)[:-2].replace("_", ""))
