"""What the emulator understands of a training bundle: the files beside command.sh.

Read are, all optional:
- `hyperparameters.yaml`, the file whose path the script gets as $HYPERPARAMETERS_PATH: `train_file` and
  `validation_file` (chat JSONL below /Volumes), `config` with `epochs` (3) and `learning_rate` (2e-4), and
  `register_as`, the three-level name under which the script registers what it trained;
- `parameters` of `training_config.yaml`, for those of these names that the first file lacks.
Without `train_file` the command runs for its time and ends well, but trains nothing.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


class Unusable(Exception):
    """The script could not start with this bundle."""


@dataclass(frozen=True, slots=True)
class Bundle:
    train_file: str | None = None
    validation_file: str | None = None
    epochs: float = 3.0
    learning_rate: float = 2e-4
    register_as: str | None = None


def read(command: Path) -> Bundle:
    """Read what stands beside a command.

    Raises:
        Unusable: When the command is not there, or what is beside it can't be read.
    """
    if not command.is_file():
        raise Unusable(f"Unable to access {command.name}.")
    given = _mapping(command.with_name("training_config.yaml")).get("parameters") or {}
    given = {**given, **_mapping(command.with_name("hyperparameters.yaml"))}
    config = given.get("config") or {}
    try:
        return Bundle(
            train_file=_text(given, "train_file"),
            validation_file=_text(given, "validation_file"),
            epochs=float(config.get("epochs") or 3),
            learning_rate=float(config.get("learning_rate") or 2e-4),
            register_as=_text(given, "register_as"),
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise Unusable(f"hyperparameters.yaml: {error}") from None


def _mapping(place: Path) -> dict[str, Any]:
    if not place.is_file():
        return {}
    try:
        value = yaml.safe_load(place.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Unusable(f"{place.name}: {error}") from None
    if not isinstance(value, dict):
        raise Unusable(f"{place.name} holds no mapping.")
    return value


def _text(given: dict[str, Any], name: str) -> str | None:
    value = given.get(name)
    return None if value in (None, "") else str(value)
