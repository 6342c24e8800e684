"""How the retriever learns: the loss of a batch and its gradients, the optimizer, and how a side is measured."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from server.trainers.local import answerer
from server.trainers.local.answerer import Floats, unit

Integers = npt.NDArray[np.int64]

SHARPNESS = 10.0  # the softmax is over this times the cosine
CHUNK = 256  # questions compared with all answers at once
ROWS_AT_ONCE = 256  # of the table: what fits into the processor's cache moves three times as fast
FIRST_MOMENT, SECOND_MOMENT, TINY = 0.9, 0.999, 1e-8


def slopes(questions: Floats, answers: Floats, truth: Integers) -> tuple[Floats, Floats]:
    """The gradients of the in-batch softmax loss by the raw vectors of questions and answers, shapes as given.

    An answer that equals a question's own counts as neither right nor wrong for it.
    """
    question_units, answer_units = unit(questions), unit(answers)
    scores = _scores(question_units, answer_units)
    same = truth[:, None] == truth[None, :]
    np.fill_diagonal(same, val=False)
    scores[same] = -np.inf
    slope = _softmax(scores)
    slope[np.diag_indices_from(slope)] -= 1
    slope *= SHARPNESS / len(truth)
    return (
        _through_unit(slope @ answer_units, questions, question_units),
        _through_unit(slope.T @ question_units, answers, answer_units),
    )


def batch_loss(questions: Floats, answers: Floats, truth: Integers) -> float:
    """The loss whose gradients `slopes` gives."""
    scores = _scores(unit(questions), unit(answers))
    same = truth[:, None] == truth[None, :]
    np.fill_diagonal(same, val=False)
    scores[same] = -np.inf
    return float(-np.log(np.diag(_softmax(scores))).mean())


def rank(questions: Floats, candidates: Floats, truth: Sequence[int] | Integers) -> dict[str, float]:
    """Loss over all candidates, accuracy (the true one is first) and recall at 5. A tie counts against the true one."""
    truth = np.asarray(truth)
    losses, places = [], []
    for first in range(0, len(truth), CHUNK):
        wanted = truth[first : first + CHUNK]
        scores = _scores(questions[first : first + CHUNK], candidates)
        own = scores[np.arange(len(wanted)), wanted]
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
    return np.asarray(SHARPNESS * (questions @ answers.T), dtype=questions.dtype)


def _softmax(scores: Floats) -> Floats:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=scores.dtype)


def _through_unit(slope: Floats, raw: Floats, units: Floats) -> Floats:
    """A gradient by unit vectors as one by the vectors before they were made so."""
    lengths = np.maximum(np.linalg.norm(raw, axis=1, keepdims=True), answerer.TINY)
    return np.asarray((slope - units * (slope * units).sum(axis=1, keepdims=True)) / lengths, dtype=raw.dtype)


class RowAdam:
    """AdamW (Loshchilov & Hutter, 2019) over the rows that a batch touches, decaying to where the table began."""

    def __init__(self, table: Floats, weight_decay: float) -> None:
        self._table = table
        self._home = table.copy()
        self._first = np.zeros_like(table)
        self._second = np.zeros_like(table)
        self._weight_decay = weight_decay
        self._steps = 0

    def step(self, rows: sp.csr_matrix, slope: Floats, rate: float) -> None:
        """One step down `slope`, the gradient by the rows' vectors."""
        self._steps += 1
        by_column = rows.tocsc()
        touched = np.flatnonzero(np.diff(by_column.indptr))
        down = np.asarray(by_column[:, touched].T @ slope, dtype=np.float32)
        for start in range(0, len(touched), ROWS_AT_ONCE):
            self._move(touched[start : start + ROWS_AT_ONCE], down[start : start + ROWS_AT_ONCE], rate)

    def _move(self, touched: Integers, down: Floats, rate: float) -> None:
        first = FIRST_MOMENT * self._first[touched] + (1 - FIRST_MOMENT) * down
        second = SECOND_MOMENT * self._second[touched] + (1 - SECOND_MOMENT) * down**2
        self._first[touched], self._second[touched] = first, second
        first /= 1 - FIRST_MOMENT**self._steps
        second /= 1 - SECOND_MOMENT**self._steps
        here = self._table[touched]
        drawn_back = self._weight_decay * (here - self._home[touched])
        self._table[touched] = here - rate * (first / (np.sqrt(second) + TINY) + drawn_back)
