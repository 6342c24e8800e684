"""What the tests that train a language model share."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from server.trainers.local import language_models
from tests.server.trainers import bench

MISSING = [name for name in language_models.LIBRARIES if importlib.util.find_spec(name) is None]
NEEDS_LIBRARIES = pytest.mark.skipif(
    bool(MISSING), reason=f"make test-llm installs what trains language models: {', '.join(MISSING)}"
)
WITHIN = 300.0  # seconds; loading the libraries alone takes ten on an idle machine
EXAMPLES = 40


def make_base_model(folder: Path) -> Path:
    """A tiny language model that knows the words of the sample."""
    texts = [text for pair in bench.paraphrases() for text in pair]
    subprocess.run(
        [sys.executable, "-m", "tests.server.trainers.tiny_model", str(folder)],
        input=json.dumps(texts),
        text=True,
        check=True,
        capture_output=True,
        timeout=WITHIN,
    )
    return folder


def export(folder: Path) -> tuple[Path, Path]:
    """A few of the sample's pairs to train on, and to measure on, as the server exports them."""
    train, validation = bench.split(bench.paraphrases()[:EXAMPLES], 0)
    return bench.export(folder / "train.jsonl", train), bench.export(folder / "validation.jsonl", validation)
