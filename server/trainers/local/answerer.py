"""The trained model, as MLflow loads it: a question in, the best of the known answers out.

MLflow keeps this file with the model ("models from code") and runs it wherever the model is loaded, so it needs nothing
of Tunegraph: numpy, scipy and scikit-learn are enough.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import mlflow.models
import mlflow.pyfunc
import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp
from sklearn.feature_extraction.text import HashingVectorizer

Floats = npt.NDArray[np.float32]

WORD = re.compile(r"\w+|[^\w\s]")
HASHED_FEATURES = 2**17
TEXTS_AT_ONCE = 2_000
SHORTEST_PART, LONGEST_PART = 3, 5  # characters of a part of a word
SMALLEST_LENGTH = 1e-6  # of a vector; shorter ones are divided by this


def tokens(text: str, most: int) -> list[str]:
    """The words of a text, in lower case, and its punctuation; at most so many."""
    return WORD.findall(text.casefold())[:most]


def features(text: str, most: int, *, characters: bool) -> Iterator[str]:
    """What a text is made of: its words, pairs of words that follow each other, and if asked for, parts of words."""
    words = tokens(text, most)
    yield from words
    yield from (f"{first} {second}" for first, second in pairwise(words))
    if characters:
        for word in words:
            marked = f"<{word}>"
            for size in range(SHORTEST_PART, LONGEST_PART + 1):
                yield from (f"#{marked[at : at + size]}" for at in range(len(marked) - size + 1))


class Encoder:
    """Texts as unit vectors: hashed features, weighted by TF-IDF, summed from a table with a row for each feature.

    `columns` are the hashed features that were seen in training, `weights` their inverse document frequencies, `table`
    has shape (features, dimensions).
    """

    def __init__(
        self, *, columns: npt.NDArray[np.int64], weights: Floats, table: Floats, characters: bool, max_seq_length: int
    ) -> None:
        self.columns = columns
        self.weights = weights
        self.table = table
        self.characters = characters
        self.max_seq_length = max_seq_length

    @staticmethod
    def counts(texts: Iterable[str], max_seq_length: int, *, characters: bool) -> sp.csr_matrix:
        """How often each hashed feature occurs, as a sparse matrix of shape (texts, 131,072)."""
        vectorizer = HashingVectorizer(
            analyzer=lambda text: features(text, max_seq_length, characters=characters),
            n_features=HASHED_FEATURES,
            alternate_sign=False,
            norm=None,
            dtype=np.float32,
        )
        return sp.csr_matrix(vectorizer.transform(texts))

    def sparse(self, texts: Iterable[str]) -> sp.csr_matrix:
        """TF-IDF rows of length 1 over the features that were seen: a float32 matrix of shape (texts, features)."""
        waiting = iter(texts)
        parts = [sp.csr_matrix((0, len(self.columns)), dtype=np.float32)]
        while some := list(islice(waiting, TEXTS_AT_ONCE)):  # all at once, hashing would need several times the memory
            counted = self.counts(some, self.max_seq_length, characters=self.characters)
            parts.append(weighted(counted[:, self.columns], self.weights))
        return sp.csr_matrix(sp.vstack(parts))

    def encode(self, rows: sp.csr_matrix) -> Floats:
        """The unit vectors of TF-IDF rows, float32 (texts, dimensions); a text without a known feature has zeros."""
        return unit(np.asarray(rows @ self.table, dtype=np.float32))


def weighted(counts: sp.csr_matrix, weights: Floats) -> sp.csr_matrix:
    """TF-IDF of a matrix of counts (texts, features): (1 + log count) · weight, each row then of length 1."""
    rows = sp.csr_matrix(counts, dtype=np.float32, copy=True)
    rows.data = 1 + np.log(rows.data)
    rows = sp.csr_matrix(rows.multiply(weights))
    lengths = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
    return sp.csr_matrix(sp.diags(1 / np.maximum(lengths, SMALLEST_LENGTH)) @ rows, dtype=np.float32)


def unit(vectors: Floats) -> Floats:
    """The rows of an array (vectors, dimensions) at length 1, in its dtype."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, SMALLEST_LENGTH), dtype=vectors.dtype)


class Answerer(mlflow.pyfunc.PythonModel):  # type: ignore[name-defined, misc]  # MLflow makes the class as it is imported
    """Finds the answer whose vector is nearest to the question's."""

    def load_context(self, context: Any) -> None:  # noqa: ANN401  (MLflow's)
        """Read the folder that `Training.save` wrote; MLflow calls this when the model is loaded."""
        folder = Path(context.artifacts["retriever"])
        described = json.loads((folder / "retriever.json").read_text(encoding="utf-8"))
        with np.load(folder / "retriever.npz") as arrays:
            self._encoder = Encoder(
                columns=arrays["columns"],
                weights=arrays["weights"],
                table=arrays["table"],
                characters=described["characters"],
                max_seq_length=described["max_seq_length"],
            )
        self._answers: list[str] = described["answers"]
        self._vectors = self._encoder.encode(self._encoder.sparse(self._answers))

    def predict(
        self,
        context: Any,  # noqa: ANN401, ARG002  (MLflow's)
        model_input: pd.DataFrame,
        params: Mapping[str, Any] | None = None,  # noqa: ARG002
    ) -> pd.DataFrame:
        """For each `question`, the best `answer` and its `score`: the cosine between the two, at most 1."""
        questions = self._encoder.encode(self._encoder.sparse(model_input["question"].tolist()))
        scores = questions @ self._vectors.T
        best = scores.argmax(axis=1)
        answers = [self._answers[index] for index in best]
        return pd.DataFrame({"answer": answers, "score": scores[np.arange(len(best)), best].astype(float)})


mlflow.models.set_model(Answerer())
