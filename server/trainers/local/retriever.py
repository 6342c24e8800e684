"""A dense retrieval model: questions and answers in one space, where a question should lie next to its answer.

Texts are hashed TF-IDF features summed from a table of vectors. The table begins as the truncated SVD of the train side
(latent semantic analysis: the untrained model), and is trained with a softmax over the answers of each batch
("in-batch negatives", as in Karpukhin et al., Dense Passage Retrieval, 2020) by AdamW, only in the rows that a batch
touches, and drawn back to where it began by the weight decay.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow.pyfunc
import numpy as np
import scipy.sparse as sp
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema
from sklearn.utils.extmath import randomized_svd

from server.trainers.local import answerer
from server.trainers.local.answerer import Encoder, tokens
from server.trainers.local.learning import Integers, RowAdam, gradients, rank

NUMPY_SEEDS = 2**32  # a seed of a job may be negative, one of numpy not
MOST_FITTED = 20_000  # texts that the features, their weights and the SVD are made of
MOST_MEASURED = 2_000  # questions of a side
FINAL_RATE_SHARE = 0.1  # of the learning rate's peak


@dataclass(frozen=True, slots=True)
class Examples:
    """Questions and their answers, in file order."""

    questions: list[str]
    answers: list[str]


@dataclass(frozen=True, slots=True)
class Configuration:
    """How to train; `characters` adds parts of words to the features."""

    dimensions: int
    characters: bool
    epochs: int
    learning_rate: float
    batch_size: int
    warmup_steps: int
    weight_decay: float
    max_seq_length: int
    seed: int


@dataclass(frozen=True, slots=True)
class Epoch:
    """What was measured after an epoch; step 0 is the untrained model."""

    step: int
    values: dict[str, float]


class Diverged(ArithmeticError):
    """A loss or another measurement is not finite: the learning rate is too high for the data."""


def read(path: Path) -> Examples:
    """Read a file of chat JSONL: the answer is the last assistant message, the question all before it but the system's.

    Raises `OSError`, and `ValueError` or `KeyError` for a line that is no conversation with an assistant's message.
    """
    questions, answers = [], []
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            messages = json.loads(line)["messages"]
            last = max(index for index, message in enumerate(messages) if message["role"] == "assistant")
            contents = [message["content"] for message in messages[:last] if message["role"] != "system"]
            questions.append("\n".join(contents))
            answers.append(messages[last]["content"])
    return Examples(questions, answers)


class Training:
    """The training of one model. Candidates for an answer are the distinct answers of both sides.

    The features, their weights and the table are made from the train side alone, from 20,000 of its texts when there
    are more. The same examples and configuration give the same numbers. A side of more than 2,000 questions is measured
    on 2,000 of them. What is drawn is drawn once, with the seed. Every call blocks.
    """

    def __init__(self, train: Examples, validation: Examples, configuration: Configuration) -> None:
        self.tokens = 0
        self._configuration = configuration
        self._draw = np.random.default_rng(configuration.seed % NUMPY_SEEDS)
        self._candidates = list(dict.fromkeys([*train.answers, *validation.answers]))
        place = {answer: index for index, answer in enumerate(self._candidates)}
        self._truth = np.array([place[answer] for answer in train.answers])
        self._encoder = self._fitted(train)
        self._questions = self._encoder.sparse(train.questions)
        self._answers = self._encoder.sparse(self._candidates)
        self._optimizer = RowAdam(self._encoder.table, configuration.weight_decay)
        self._epoch = 0
        self._tokens_an_epoch = sum(
            len(tokens(text, configuration.max_seq_length)) for text in (*train.questions, *train.answers)
        )
        self._sides = {
            "train": self._measured(self._questions, self._truth),
            "val": self._measured(
                self._encoder.sparse(validation.questions), np.array([place[answer] for answer in validation.answers])
            ),
        }
        self._untrained: dict[str, float] = {}
        self._latest: dict[str, float] = {}

    def measure(self) -> Epoch:
        """Measure both sides with the model as it is. Raises `Diverged` when a figure is not finite."""
        candidates = self._encoder.encode(self._answers)
        values = {"learning_rate": self._rate(self._epoch * self._steps)}
        for side, (questions, truth) in self._sides.items():
            measured = rank(self._encoder.encode(questions), candidates, truth)
            values |= {f"{side}_{name}": value for name, value in measured.items()}
        if not all(math.isfinite(value) for value in values.values()):
            raise Diverged(f"the loss is not finite any more after epoch {self._epoch}; try a lower learning_rate")
        self._latest = values
        if self._epoch == 0:
            self._untrained = values
        return Epoch(self._epoch, values)

    def epoch(self, stop: Callable[[], bool]) -> Epoch | None:
        """Train on each example once and measure; None when `stop`, which is called before each batch, returned true.

        Raises `Diverged` when a figure is not finite.
        """
        order = self._draw.permutation(len(self._truth))
        for number in range(self._steps):
            if stop():
                return None
            first = number * self._configuration.batch_size
            self._step(order[first : first + self._configuration.batch_size], self._epoch * self._steps + number)
        self._epoch += 1
        self.tokens += self._tokens_an_epoch
        return self.measure()

    def custom(self) -> dict[str, Any]:
        """Custom metrics: chance, the number of candidates, the accuracy before training, and recall at 5."""
        return {
            "chance": 1 / len(self._candidates),
            "candidates": len(self._candidates),
            "untrained_train_accuracy": self._untrained["train_accuracy"],
            "untrained_val_accuracy": self._untrained["val_accuracy"],
            "train_recall_at_5": self._latest["train_recall_at_5"],
            "val_recall_at_5": self._latest["val_recall_at_5"],
        }

    def save(self, folder: Path) -> None:
        """Write the model in MLflow's format: a pyfunc with the columns question → answer, score. Raises `OSError`."""
        with TemporaryDirectory(dir=folder.parent) as temporary:
            self._save(folder, Path(temporary, "retriever"))

    def _save(self, folder: Path, parts: Path) -> None:
        parts.mkdir()
        encoder = self._encoder
        np.savez(parts / "retriever.npz", columns=encoder.columns, weights=encoder.weights, table=encoder.table)
        described = {
            "characters": encoder.characters,
            "max_seq_length": encoder.max_seq_length,
            "answers": self._candidates,
        }
        (parts / "retriever.json").write_text(json.dumps(described, ensure_ascii=False), encoding="utf-8")
        mlflow.pyfunc.save_model(
            path=folder,
            python_model=str(Path(answerer.__file__)),
            artifacts={"retriever": str(parts)},
            signature=ModelSignature(
                inputs=Schema([ColSpec(DataType.string, "question")]),
                outputs=Schema([ColSpec(DataType.string, "answer"), ColSpec(DataType.double, "score")]),
            ),
            pip_requirements=[
                f"{name}=={version(name)}" for name in ("mlflow-skinny", "numpy", "pandas", "scikit-learn", "scipy")
            ],
        )

    @property
    def _steps(self) -> int:
        return math.ceil(len(self._truth) / self._configuration.batch_size)

    def _fitted(self, train: Examples) -> Encoder:
        configuration = self._configuration
        texts = self._sample([*train.questions, *dict.fromkeys(train.answers)], MOST_FITTED)
        counted = Encoder.counts(texts, configuration.max_seq_length, characters=configuration.characters)
        frequencies = np.bincount(counted.indices, minlength=counted.shape[1])
        columns = np.flatnonzero(frequencies)
        weights = (np.log((1 + len(texts)) / (1 + frequencies[columns])) + 1).astype(np.float32)
        rows = answerer.weighted(counted[:, columns], weights)
        rank_ = max(1, min(configuration.dimensions, *(size - 1 for size in rows.shape)))
        _, _, directions = randomized_svd(rows, rank_, n_iter=5, random_state=configuration.seed % NUMPY_SEEDS)
        return Encoder(
            columns=columns,
            weights=weights,
            table=np.ascontiguousarray(directions.T, dtype=np.float32),
            characters=configuration.characters,
            max_seq_length=configuration.max_seq_length,
        )

    def _sample(self, texts: list[str], most: int) -> list[str]:
        if len(texts) <= most:
            return texts
        return [texts[index] for index in np.sort(self._draw.choice(len(texts), most, replace=False))]

    def _measured(self, questions: sp.csr_matrix, truth: Integers) -> tuple[sp.csr_matrix, Integers]:
        if len(truth) <= MOST_MEASURED:
            return questions, truth
        chosen = np.sort(self._draw.choice(len(truth), MOST_MEASURED, replace=False))
        return questions[chosen], truth[chosen]

    def _rate(self, step: int) -> float:
        """The learning rate at a step: linear warm-up, then half a cosine down to `FINAL_RATE_SHARE` of the peak."""
        warmup = self._configuration.warmup_steps
        if step < warmup:
            return self._configuration.learning_rate * (step + 1) / warmup
        decaying = max(1, self._steps * self._configuration.epochs - warmup)
        fallen = (1 + math.cos(math.pi * min(1.0, (step - warmup) / decaying))) / 2
        return self._configuration.learning_rate * (FINAL_RATE_SHARE + (1 - FINAL_RATE_SHARE) * fallen)

    def _step(self, batch: Integers, step: int) -> None:
        truth = self._truth[batch]
        questions, answers = self._questions[batch], self._answers[truth]
        by_question, by_answer = gradients(
            np.asarray(questions @ self._encoder.table), np.asarray(answers @ self._encoder.table), truth
        )
        rows = sp.csr_matrix(sp.vstack([questions, answers]))
        self._optimizer.step(rows, np.vstack([by_question, by_answer]), self._rate(step))
