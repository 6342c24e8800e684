"""Which language models can be named as a base model."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from server.domain.errors import InvalidInput
from server.domain.status import TrainerKind
from server.trainers.local import configuration, language_models
from server.trainers.local.trainer import LocalTrainer
from tests.server.trainers.bench import BASE, SMALL


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language_models, "are_installed", lambda: True)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps({"max_position_embeddings": 4096}))
    return tmp_path


def refusal(base_model: str, config: dict[str, object] | None = None) -> InvalidInput:
    with pytest.raises(InvalidInput) as refused:
        configuration.check(base_model, config or {})
    return refused.value


@pytest.mark.parametrize("name", ["meta-llama/Llama-3.2-1B-Instruct", "nobody/nothing", "/models/llama"])
def test_without_the_libraries_the_refusal_says_what_to_do(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(language_models, "are_installed", lambda: False)
    refused = refusal(name)
    assert refused.path == ("input", "baseModel")
    assert refused.message == (
        f"this trainer can't fine-tune '{name}' yet: `make llm` installs what trains language models"
    )


@pytest.mark.usefixtures("installed")
def test_a_folder_with_a_model_and_an_id_of_the_hub_can_be_trained(folder: Path) -> None:
    configuration.check(str(folder), {"lora_rank": 4, "colour": "blue", "batch_size": 1})
    configuration.check("meta-llama/Llama-3.2-1B-Instruct", {})


@pytest.mark.usefixtures("installed")
def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    refused = refusal(str(tmp_path))
    assert refused.path == ("input", "baseModel")
    assert refused.message.startswith("there is no language model at '/")
    assert refused.message.endswith("it has no config.json")


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    "name", ["llama", "models/of/mine", "../models", "~/llama", "org/", "/", "a b/c", "local/llama"]
)
def test_what_is_neither_a_path_from_the_root_nor_an_id_of_the_hub_is_refused(name: str) -> None:
    assert refusal(name).path == ("input", "baseModel")


@pytest.mark.usefixtures("installed")
def test_offline_only_a_model_that_was_loaded_before_can_be_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    assert refusal("org/name").message == (
        "'org/name' was never loaded here, and HF_HUB_OFFLINE forbids to load it from the hub"
    )
    (tmp_path / "hub" / "models--org--name").mkdir(parents=True)
    configuration.check("org/name", {})


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"lora_rank": 0}, "trainingConfig.lora_rank must be a whole number from 1 to 1024; it is 0"),
        ({"epochs": True}, "trainingConfig.epochs must be a whole number from 1 to 1000"),
    ],
)
def test_hyperparameters_are_checked_by_the_bounds_of_language_models(config: dict[str, object], message: str) -> None:
    refused = refusal("org/name", config)
    assert refused.message == message
    assert refused.path == ("input", "trainingConfig", next(iter(config)))


@pytest.mark.usefixtures("installed")
async def test_those_that_the_settings_name_are_listed_after_our_own(folder: Path) -> None:
    listed = await LocalTrainer(folder, 1, [str(folder), "org/name"]).base_models()
    assert [(model.name, model.max_context_length) for model in listed] == [
        (SMALL, None),
        (BASE, None),
        (str(folder), 4096),
        ("org/name", None),
    ]
    assert {model.trainer for model in listed} == {TrainerKind.LOCAL}


async def test_without_the_libraries_none_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    listed = await LocalTrainer(tmp_path, 1, ["org/name"]).base_models()
    assert [model.name for model in listed] == [SMALL, BASE]


def test_looking_for_the_libraries_loads_none() -> None:
    program = (
        "import sys; from server.trainers.local import language_models; language_models.are_installed();"
        "print({*language_models.LIBRARIES} & {*sys.modules})"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout == b"set()\n"


@pytest.mark.parametrize(("config", "epochs"), [({}, 3), ({"epochs": 7}, 7)])
def test_its_epochs_are_known_beforehand(tmp_path: Path, config: dict[str, object], epochs: int) -> None:
    trainer = LocalTrainer(tmp_path, slots=1)
    assert trainer.total_epochs("someone/model", config) == epochs
    assert trainer.total_epochs("local/retriever-small", {}) == 20, "our own have another default"
