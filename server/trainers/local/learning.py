"""The retriever's loss and its gradients, its optimizer, and how a side is measured. Runs in the training process.

In the shapes, B is the questions of a batch, D the dimensions of the space, F the features, N the candidate answers.
Vectors are rows of float32 arrays; indices are int64.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from server.trainers.local import answerer
from server.trainers.local.answerer import Floats, unit

Integers = npt.NDArray[np.int64]

SCALE = 10.0  # the softmax is over this times the cosine: the inverse of its temperature
QUESTIONS_PER_CHUNK = 256  # compared with all candidates at once
ROWS_PER_CHUNK = 256  # of the table: what fits into the processor's cache moves three times as fast
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8  # of Adam, as Kingma & Ba (2015) recommend them


def gradients(questions: Floats, answers: Floats, truth: Integers) -> tuple[Floats, Floats]:
    """The gradients of a batch's loss by `questions` and by `answers`, both of shape (B, D) as these are.

    The loss is the mean over i of -log softmax(SCALE · cos(questions[i], answers))[i], with vectors of any length, and
    with the other answers of the batch as negatives: Karpukhin et al., Dense Passage Retrieval for Open-Domain Question
    Answering, 2020. `truth` has shape (B,) and says which answers are the same text: another row with question i's own
    answer is left out of its softmax.
    """
    question_units, answer_units = unit(questions), unit(answers)
    scores = _scores(question_units, answer_units)
    same = truth[:, None] == truth[None, :]
    np.fill_diagonal(same, val=False)
    scores[same] = -np.inf
    by_score = _softmax(scores)
    by_score[np.diag_indices_from(by_score)] -= 1
    by_score *= SCALE / len(truth)
    return (
        _through_unit(by_score @ answer_units, questions, question_units),
        _through_unit(by_score.T @ question_units, answers, answer_units),
    )


def rank(questions: Floats, candidates: Floats, truth: Sequence[int] | Integers) -> dict[str, float]:
    """`loss`, `accuracy` and `recall_at_5` of questions over all candidates.

    `questions` has shape (Q, D) and `candidates` (N, D), of unit vectors; `truth`, of shape (Q,), has the row of each
    question's answer. The loss is the mean of -log softmax(SCALE · cosines) at the answer, accuracy the share of
    questions whose answer has the highest cosine, recall at 5 that whose answer is among the five highest. A tie counts
    against the answer. Raises `ValueError` when there are no questions.
    """
    truth = np.asarray(truth)
    losses, places = [], []
    for first in range(0, len(truth), QUESTIONS_PER_CHUNK):
        own_rows = truth[first : first + QUESTIONS_PER_CHUNK]
        scores = _scores(questions[first : first + QUESTIONS_PER_CHUNK], candidates)
        own = scores[np.arange(len(own_rows)), own_rows]
        highest = scores.max(axis=1)
        losses.append(highest + np.log(np.exp(scores - highest[:, None]).sum(axis=1)) - own)
        places.append((scores >= own[:, None]).sum(axis=1) - 1)
    loss, place = np.concatenate(losses), np.concatenate(places)
    return {
        "loss": float(loss.mean()),
        "accuracy": float((place == 0).mean()),
        "recall_at_5": float((place < 5).mean()),  # noqa: PLR2004  (that is its name)
    }


def _scores(questions: Floats, answers: Floats) -> Floats:
    return np.asarray(SCALE * (questions @ answers.T), dtype=questions.dtype)


def _softmax(scores: Floats) -> Floats:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=scores.dtype)


def _through_unit(gradient: Floats, raw: Floats, units: Floats) -> Floats:
    """The gradient by `raw` vectors r from the gradient g by their units u = r/|r|: (g - u (u·g)) / |r|. All (B, D)."""
    lengths = np.maximum(np.linalg.norm(raw, axis=1, keepdims=True), answerer.SMALLEST_LENGTH)
    return np.asarray((gradient - units * (gradient * units).sum(axis=1, keepdims=True)) / lengths, dtype=raw.dtype)


class RowAdam:
    """AdamW (Loshchilov & Hutter, 2019) on the rows of a table (F, D) that a batch touches.

    A row moves by -rate · (m̂ / (√v̂ + EPSILON) + weight_decay · (row - its first value)): it decays to where it began,
    not to zero. Bias is corrected by the number of all steps, also for rows that were touched seldom. `table` is
    changed in place.
    """

    def __init__(self, table: Floats, weight_decay: float) -> None:
        self._table = table
        self._home = table.copy()
        self._first = np.zeros_like(table)
        self._second = np.zeros_like(table)
        self._weight_decay = weight_decay
        self._steps = 0

    def step(self, rows: sp.csr_matrix, gradient: Floats, rate: float) -> None:
        """One step: `rows` are the TF-IDF rows of a batch, (2B, F), `gradient` is by their vectors, (2B, D)."""
        self._steps += 1
        by_column = rows.tocsc()
        touched = np.flatnonzero(np.diff(by_column.indptr))
        by_row = np.asarray(by_column[:, touched].T @ gradient, dtype=np.float32)
        for start in range(0, len(touched), ROWS_PER_CHUNK):
            self._move(touched[start : start + ROWS_PER_CHUNK], by_row[start : start + ROWS_PER_CHUNK], rate)

    def _move(self, touched: Integers, gradient: Floats, rate: float) -> None:
        first = BETA_1 * self._first[touched] + (1 - BETA_1) * gradient
        second = BETA_2 * self._second[touched] + (1 - BETA_2) * gradient**2
        self._first[touched], self._second[touched] = first, second
        first /= 1 - BETA_1**self._steps
        second /= 1 - BETA_2**self._steps
        here = self._table[touched]
        decay = self._weight_decay * (here - self._home[touched])
        self._table[touched] = here - rate * (first / (np.sqrt(second) + EPSILON) + decay)
