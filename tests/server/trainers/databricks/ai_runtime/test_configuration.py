from typing import Any

import pytest

from server.domain.errors import InvalidInput
from server.domain.status import TrainerKind
from server.trainers.databricks.ai_runtime import configuration
from server.trainers.databricks.ai_runtime.configuration import Compute, Secret
from server.trainers.databricks.ai_runtime.run_spec import absolute

MODELS = ("meta-llama/Llama-3.2-1B-Instruct", "/Volumes/main/ft/models/own/")
DAY = 24 * 3600


@pytest.mark.parametrize(
    ("config", "compute"),
    [
        ({}, Compute("GPU_1xA10", 1, DAY)),
        ({"accelerator_count": 4}, Compute("GPU_1xA10", 4, DAY)),
        ({"accelerator_count": 2.0}, Compute("GPU_1xA10", 2, DAY)),
        ({"accelerator_type": "GPU_1xH100"}, Compute("GPU_1xH100", 1, DAY)),
        ({"accelerator_type": "GPU_8xH100"}, Compute("GPU_8xH100", 8, DAY)),
        ({"accelerator_type": "GPU_8xB300", "accelerator_count": 64}, Compute("GPU_8xB300", 64, DAY)),
        ({"acceleratorType": "GPU_8xH100", "acceleratorCount": 16}, Compute("GPU_8xH100", 16, DAY)),
        ({"accelerator_type": "GPU_1xH100", "acceleratorType": "GPU_1xH100"}, Compute("GPU_1xH100", 1, DAY)),
        ({"accelerator_type": None, "accelerator_count": None}, Compute("GPU_1xA10", 1, DAY)),
        ({"timeout_minutes": 1}, Compute("GPU_1xA10", 1, 60)),
        ({"timeoutMinutes": 10_080}, Compute("GPU_1xA10", 1, 7 * DAY)),
    ],
)
def test_the_gpus_of_a_configuration(config: dict[str, Any], compute: Compute) -> None:
    assert configuration.compute(config) == compute
    configuration.check(MODELS[0], {**config, "colour": "blue"}, MODELS)


@pytest.mark.parametrize(
    ("config", "key", "reason"),
    [
        ({"accelerator_type": "GPU_1xA100"}, "accelerator_type", "must be one of GPU_1xA10, GPU_1xH100, GPU_8xH100"),
        ({"acceleratorType": 1}, "acceleratorType", "must be one of"),
        ({"accelerator_type": ["GPU_1xA10"]}, "accelerator_type", "must be one of"),
        ({"accelerator_count": 0}, "accelerator_count", "must be a whole number from 1 to 64"),
        ({"accelerator_count": -1}, "accelerator_count", "from 1 to 64"),
        ({"accelerator_count": 65}, "accelerator_count", "from 1 to 64"),
        ({"accelerator_count": True}, "accelerator_count", "from 1 to 64"),
        ({"accelerator_count": "2"}, "accelerator_count", "from 1 to 64"),
        ({"accelerator_count": 1.5}, "accelerator_count", "from 1 to 64"),
        ({"accelerator_count": 1e300}, "accelerator_count", "from 1 to 64"),
        ({"accelerator_count": float("inf")}, "accelerator_count", "from 1 to 64"),
        ({"accelerator_count": float("nan")}, "accelerator_count", "from 1 to 64"),
        (
            {"accelerator_type": "GPU_8xH100", "accelerator_count": 12},
            "accelerator_count",
            "must be a multiple of 8 from 8 to 64: all GPUs of GPU_8xH100 nodes",
        ),
        ({"accelerator_type": "GPU_1xA10", "acceleratorType": "GPU_1xH100"}, "acceleratorType", "contradicts"),
        ({"timeout_minutes": 0}, "timeout_minutes", "must be a whole number from 1 to 10080 (7 days)"),
        ({"timeout_minutes": 10_081}, "timeout_minutes", "from 1 to 10080"),
        ({"timeoutMinutes": "1h"}, "timeoutMinutes", "from 1 to 10080"),
        ({"epochs": 0}, "epochs", "must be a whole number from 1 to 1000"),
        ({"lora_rank": 2000}, "lora_rank", "from 1 to 1024"),
    ],
)
def test_what_can_not_be_asked_for(config: dict[str, Any], key: str, reason: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        configuration.check(MODELS[0], config, MODELS)
    assert refusal.value.path == ("input", "trainingConfig", key)
    assert refusal.value.message.startswith(f"trainingConfig.{key} ")
    assert reason in refusal.value.message


def test_a_base_model_that_is_not_offered_is_refused_with_those_that_are() -> None:
    with pytest.raises(InvalidInput) as refusal:
        configuration.check("nobody/nothing", {}, MODELS)
    assert refusal.value.path == ("input", "baseModel")
    assert refusal.value.message == f"AI Runtime has no base model 'nobody/nothing'; it has {', '.join(MODELS)}"


def test_without_any_base_model_the_setting_is_named() -> None:
    with pytest.raises(InvalidInput, match="it has none: TUNEGRAPH_AI_RUNTIME_MODELS names them"):
        configuration.check(MODELS[0], {}, ())


def test_base_models_are_offered_in_their_order_under_short_names() -> None:
    offered = configuration.base_models(MODELS)
    assert [(model.name, model.display_name) for model in offered] == [
        (MODELS[0], "Llama-3.2-1B-Instruct"),
        (MODELS[1], "own"),
    ]
    assert {model.trainer for model in offered} == {TrainerKind.AI_RUNTIME}


def test_epochs_are_known_beforehand() -> None:
    assert (configuration.total_epochs({}), configuration.total_epochs({"epochs": 5.0})) == (3, 5)


def test_secrets_are_variables_and_where_their_values_are() -> None:
    found = configuration.secrets(["HF_TOKEN=my_scope/hf-token", " WANDB_API_KEY=s/k "])
    assert found == (Secret("HF_TOKEN", "my_scope", "hf-token"), Secret("WANDB_API_KEY", "s", "k"))
    assert configuration.secrets([]) == ()


@pytest.mark.parametrize("line", ["", "HF_TOKEN", "HF_TOKEN=hf_abc", "HF_TOKEN=a/b/c", "1=a/b", "A=B=c/d", "A=/b"])
def test_a_secret_that_is_no_reference_is_refused_unread(line: str) -> None:
    with pytest.raises(ValueError, match="is written as VARIABLE=scope/key"):
        configuration.secrets([line])


@pytest.mark.parametrize("folder", ["/Shared/ft", "Shared/ft/", "/Workspace/Shared/ft", "/Workspace/Shared/ft/"])
def test_folders_begin_as_ai_runtime_wants_them(folder: str) -> None:
    assert absolute(folder) == "/Workspace/Shared/ft"
