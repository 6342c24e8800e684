"""The trained model as anybody loads it: another process, elsewhere, without this project."""

import json
import os
import subprocess
import sys
from importlib.metadata import version
from typing import Any

import pytest

from server.trainers.local import answerer
from tests.server.trainers.bench import Finished, paraphrases, split

PROGRAM = """
import json, sys
import mlflow.pyfunc, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
questions = json.load(sys.stdin)
answered = model.predict(pandas.DataFrame({"question": questions}))
assert not [name for name in sys.modules if name.partition(".")[0] in {"server", "tests", "schema"}]
json.dump({"answers": answered["answer"].tolist(), "scores": answered["score"].tolist()}, sys.stdout)
"""


@pytest.fixture(scope="module")
def answered(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the model answers to the held-out questions, and to one of words that it has never seen."""
    _, held_out = split(paraphrases(), 0)
    kept = ("PATH", "HOME", "LANG")
    ran = subprocess.run(
        [sys.executable, "-I", "-c", PROGRAM, str(finished.artifact)],
        input=json.dumps([*(question for question, _ in held_out), "Xylophon"]),
        cwd=tmp_path_factory.mktemp("elsewhere"),
        env={name: os.environ[name] for name in kept if name in os.environ} | {"MLFLOW_DISABLE_TELEMETRY": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def test_the_loaded_model_is_as_good_as_was_told(finished: Finished, answered: dict[str, Any]) -> None:
    _, held_out = split(paraphrases(), 0)
    right = sum(answer == own for answer, (_, own) in zip(answered["answers"], held_out, strict=False))
    assert right / len(held_out) == finished.seen[-1].points[-1].values["val_accuracy"]


def test_every_question_gets_one_of_the_known_answers_and_a_cosine(answered: dict[str, Any]) -> None:
    assert set(answered["answers"]) <= {answer for _, answer in paraphrases()}
    assert all(-1.0001 <= score <= 1.0001 for score in answered["scores"])
    assert answered["scores"][-1] == 0


def test_the_model_says_what_it_takes_and_needs(finished: Finished) -> None:
    requirements = (finished.artifact / "requirements.txt").read_text().split()
    assert sorted(requirements) == [
        f"{name}=={version(name)}" for name in ("mlflow-skinny", "numpy", "pandas", "scikit-learn", "scipy")
    ]
    description = (finished.artifact / "MLmodel").read_text()
    assert '"name": "question"' in description
    assert '"name": "answer"' in description


def test_words_are_folded_cut_and_kept_apart_from_punctuation() -> None:
    assert answerer.tokens("Überfällige Rechnung, 2. MAHNUNG!", 99) == [
        "überfällige",
        "rechnung",
        ",",
        "2",
        ".",
        "mahnung",
        "!",
    ]
    assert answerer.tokens("one two three", 2) == ["one", "two"]


def test_features_are_words_pairs_and_if_asked_for_parts_of_words() -> None:
    assert list(answerer.features("due on", 9, characters=False)) == ["due", "on", "due on"]
    parts = list(answerer.features("due", 9, characters=True))
    assert parts == ["due", "#<du", "#due", "#ue>", "#<due", "#due>", "#<due>"]
