"""The model and its training, on real questions and against their definitions."""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import scipy.sparse as sp
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # publishes no types

from server.trainers.local import answerer, configuration, learning, retriever
from server.trainers.local.retriever import Configuration, Diverged, Examples, Training
from tests.server.trainers.bench import BASE, SMALL, Finished, Pairs, paraphrases, run_to_the_end, split

Doubles = npt.NDArray[np.float64]
STEP = 1e-6


@pytest.fixture(autouse=True)
def _as_in_the_child() -> Iterator[None]:
    """One thread: more decide the order of sums, and only wait for each other on so little."""
    with threadpool_limits(limits=1):
        yield


def configured(base_model: str = SMALL, **over: float) -> Configuration:
    size = configuration.SIZES[base_model]
    given = Configuration(
        dimensions=size.dimensions,
        characters=size.characters,
        epochs=configuration.whole({}, "epochs"),
        learning_rate=configuration.value({}, "learning_rate"),
        batch_size=configuration.whole({}, "batch_size"),
        warmup_steps=configuration.whole({}, "warmup_steps"),
        weight_decay=configuration.value({}, "weight_decay"),
        max_seq_length=configuration.whole({}, "max_seq_length"),
        seed=0,
    )
    return replace(given, **over)  # type: ignore[arg-type]  # whole numbers are given where they are wanted


def examples(pairs: Pairs) -> Examples:
    return Examples([question for question, _ in pairs], [answer for _, answer in pairs])


def untrained(config: Configuration) -> Training:
    train, held_out = split(paraphrases(), 0)
    return Training(examples(train), examples(held_out), config)


def trained(train: Pairs, held_out: Pairs, config: Configuration) -> tuple[list[dict[str, float]], Training]:
    training = Training(examples(train), examples(held_out), config)
    told = [training.measure().values]
    for _ in range(config.epochs):
        epoch = training.epoch(lambda: False)
        assert epoch is not None
        told.append(epoch.values)
    return told, training


def slope_of(loss: Callable[[], float], at: Doubles) -> Doubles:
    """The derivative by differences: each number a little more, and a little less."""
    slope = np.zeros_like(at)
    for index in np.ndindex(at.shape):
        value = at[index]
        at[index] = value + STEP
        above = loss()
        at[index] = value - STEP
        slope[index] = (above - loss()) / (2 * STEP)
        at[index] = value
    return slope


def batch_loss(questions: Doubles, answers: Doubles, truth: learning.Integers) -> float:
    """As the training defines it, question by question."""
    losses = []
    for place, question in enumerate(questions):
        cosines = answers @ question / np.linalg.norm(answers, axis=1) / np.linalg.norm(question)
        others = [index for index, answer in enumerate(truth) if index == place or answer != truth[place]]
        losses.append(np.log(np.sum(np.exp(10.0 * cosines[others]))) - 10.0 * cosines[place])
    return float(np.mean(losses))


def test_the_gradient_is_that_of_the_loss() -> None:
    draw = np.random.default_rng(0)
    questions, answers = draw.normal(size=(6, 4)), draw.normal(size=(6, 4)) * 3
    truth = np.array([0, 1, 2, 1, 3, 0])  # some answers come twice
    answers[3], answers[5] = answers[1], answers[0]
    by_questions, by_answers = learning.gradients(questions, answers, truth)  # type: ignore[arg-type]  # doubles, to see more
    loss = lambda: batch_loss(questions, answers, truth)  # noqa: E731
    np.testing.assert_allclose(by_questions, slope_of(loss, questions), atol=1e-7)
    np.testing.assert_allclose(by_answers, slope_of(loss, answers), atol=1e-7)


def test_a_batch_of_one_answer_has_nothing_to_learn() -> None:
    draw = np.random.default_rng(0)
    questions = draw.normal(size=(3, 4)).astype(np.float32)
    answers = np.tile(draw.normal(size=(1, 4)).astype(np.float32), (3, 1))
    truth = np.zeros(3, dtype=np.int64)
    assert not np.any(learning.gradients(questions, answers, truth))


def test_the_figures_are_those_of_a_plain_count(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(3)
    questions, candidates = (answerer.unit(draw.normal(size=(count, 5)).astype(np.float32)) for count in (41, 17))
    candidates[4] = candidates[9]  # two that can't be told apart
    truth = draw.integers(17, size=41)
    losses, firsts, among_five = [], 0, 0
    for question, right in zip(questions, truth, strict=True):
        scores = [10.0 * float(np.dot(question, candidate)) for candidate in candidates]
        as_good = sum(score >= scores[right] - 1e-6 for score in scores) - 1
        losses.append(np.log(np.sum(np.exp(scores))) - scores[right])
        firsts += as_good == 0
        among_five += as_good < 5
    for chunk in (1, 7, 41, 256):
        monkeypatch.setattr(learning, "QUESTIONS_PER_CHUNK", chunk)
        found = learning.rank(questions, candidates, truth)
        assert found["accuracy"] == pytest.approx(firsts / 41)
        assert found["recall_at_5"] == pytest.approx(among_five / 41)
        assert found["loss"] == pytest.approx(np.mean(losses), rel=1e-5)


@pytest.mark.parametrize(("base_model", "seeds"), [(SMALL, range(2)), (BASE, range(1))])
def test_real_questions_are_learned(base_model: str, seeds: range) -> None:
    for seed in seeds:
        told, training = trained(*split(paraphrases(), seed), configured(base_model, seed=seed))
        chance = training.custom()["chance"]
        assert told[-1]["val_accuracy"] > 0.6
        assert told[-1]["val_accuracy"] >= 5 * chance
        assert told[-1]["val_accuracy"] > told[0]["val_accuracy"] + 0.2
        assert told[-1]["val_loss"] < told[0]["val_loss"]
        assert told[-1]["train_accuracy"] > 0.9
        assert told[-1]["val_recall_at_5"] >= told[-1]["val_accuracy"]


def test_shuffled_answers_can_not_be_learned() -> None:
    accuracies, chances = [], []
    for seed in range(3):
        questions, answers = zip(*paraphrases(), strict=True)
        shuffled = random.Random(seed).sample(answers, len(answers))  # noqa: S311  (no secret)
        told, training = trained(*split(list(zip(questions, shuffled, strict=True)), seed), configured(seed=seed))
        accuracies.append(told[-1]["val_accuracy"])
        chances.append(training.custom()["chance"])
        assert told[-1]["train_accuracy"] > told[-1]["val_accuracy"] + 0.3  # learned by heart
    assert np.mean(accuracies) < 3 * np.mean(chances)


def test_the_same_bytes_come_to_the_same_numbers() -> None:
    sides = split(paraphrases(), 0)
    config = configured(epochs=3)
    first, one = trained(*sides, config)
    second, other = trained(*sides, config)
    assert first == second
    assert one.custom() == other.custom()
    third, _ = trained(*sides, configured(epochs=3, seed=1))
    assert third[-1] != first[-1]


def test_another_process_comes_to_the_same_numbers(finished: Finished, tmp_path: Path) -> None:
    again = run_to_the_end(tmp_path)
    first, second = ([point.values for point in run.seen[-1].points] for run in (finished, again))
    assert first == second
    assert again.seen[-1].custom_metrics == finished.seen[-1].custom_metrics
    assert again.seen[-1].tokens_processed == finished.seen[-1].tokens_processed


def test_a_seed_may_be_any_whole_number() -> None:
    for seed in (-1, -(2**31), 2**31 - 1, 2**63):
        told, _ = trained(*split(paraphrases(), 0), configured(epochs=1, seed=seed))
        assert len(told) == 2


def test_step_0_is_the_model_before_any_training() -> None:
    told, training = trained(*split(paraphrases(), 0), configured(epochs=1))
    custom = training.custom()
    assert custom["untrained_val_accuracy"] == told[0]["val_accuracy"]
    assert custom["untrained_train_accuracy"] == told[0]["train_accuracy"]
    assert custom["val_recall_at_5"] == told[1]["val_recall_at_5"]
    assert custom["chance"] == 1 / custom["candidates"]


def test_nothing_of_the_validation_side_is_fitted_on() -> None:
    train, held_out = split(paraphrases(), 0)
    one = Training(examples(train), examples(held_out), configured())
    other = Training(examples(train), examples([("Zyzzyva?", "Quokka.")]), configured())
    assert np.array_equal(one._encoder.columns, other._encoder.columns)
    assert np.array_equal(one._encoder.weights, other._encoder.weights)
    assert np.array_equal(one._encoder.table, other._encoder.table)


def test_tokens_are_the_words_that_were_read_in_all_epochs() -> None:
    train = [("one two three", "four five"), ("one", "four " * 20)]
    _, training = trained(train, [("two", "five")], configured(epochs=2, max_seq_length=8))
    assert training.tokens == 2 * (3 + 2 + 1 + 8)


def test_what_lies_beyond_the_sequence_length_makes_no_difference() -> None:
    train, held_out = split(paraphrases(), 0)
    long = [(question, answer) for question, answer in train if len(answerer.tokens(question, 99)) >= 8]
    longer = [(f"{question} never read", answer) for question, answer in long]
    assert len(long) > 100
    config = configured(epochs=1, max_seq_length=8)
    assert trained(longer, held_out, config)[0] == trained(long, held_out, config)[0]


def test_a_loss_that_is_no_longer_finite_ends_the_training() -> None:
    training = untrained(configured(learning_rate=1e38))
    training.measure()
    with np.errstate(all="ignore"), pytest.raises(Diverged, match="try a lower learning_rate"):
        training.epoch(lambda: False)


def test_a_training_stops_before_its_next_batch() -> None:
    training = untrained(configured(batch_size=16))
    before = training._encoder.table.copy()
    assert training.epoch(lambda: True) is None
    assert np.array_equal(training._encoder.table, before)
    asked = iter([False, False, True])
    assert training.epoch(lambda: next(asked)) is None
    assert not np.array_equal(training._encoder.table, before)


def test_the_learning_rate_warms_up_and_falls_to_a_tenth() -> None:
    training = untrained(configured(learning_rate=0.1))
    steps = training._steps * 20
    rates = [training._rate(step) for step in range(steps)]
    assert rates[:10] == pytest.approx([0.01 * (step + 1) for step in range(10)])
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert rates[-1] == pytest.approx(0.01, rel=0.05)


def test_only_the_rows_of_a_batch_move_and_they_are_drawn_back_to_where_they_began() -> None:
    table = np.ones((3, 2), dtype=np.float32)
    optimizer = learning.RowAdam(table, weight_decay=0.5)
    table[1] = 3
    rows = sp.csr_matrix(np.array([[0, 2.0, 0]], dtype=np.float32))
    optimizer.step(rows, np.zeros((1, 2), dtype=np.float32), rate=0.1)
    assert table.ravel().tolist() == pytest.approx([1, 1, 2.9, 2.9, 1, 1])
    optimizer.step(rows, np.array([[1.0, -1.0]], dtype=np.float32), rate=0.1)
    assert table[1, 0] < table[1, 1]
    assert table[[0, 2]].tolist() == [[1, 1], [1, 1]]


def test_a_large_side_is_measured_on_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retriever, "MOST_MEASURED", 30)
    training, again = (untrained(configured()) for _ in range(2))
    assert [len(truth) for _, truth in training._sides.values()] == [30, 30]
    assert training.measure() == again.measure()


def test_a_large_sheet_is_fitted_on_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retriever, "MOST_FITTED", 40)
    train, held_out = split(paraphrases(), 0)
    whole = len(set(" ".join(q for q, _ in train).lower().split()))
    training = Training(examples(train), examples(held_out), configured())
    assert training._encoder.table.shape[0] < whole * 3
    assert training._encoder.table.shape[1] <= 40
    assert training.measure().values["val_accuracy"] > training.custom()["chance"]


@pytest.mark.parametrize("pairs", [[("a", "b")], [("?", "!")], [("a", "b"), ("a", "c")], [("", "b"), ("c", "d")]])
def test_the_smallest_sheets_train(pairs: Pairs) -> None:
    told, _ = trained(pairs, [("unheard of", "elsewhere")], configured(epochs=2))
    assert all(np.isfinite(value) for values in told for value in values.values())


def test_a_question_is_all_before_the_last_answer_but_the_system_prompt(tmp_path: Path) -> None:
    turns = [
        ("system", "Be brief."),
        ("user", "Hello"),
        ("assistant", "What is it?"),
        ("user", "When is it due?"),
        ("assistant", "On Monday."),
    ]
    path = tmp_path / "chat.jsonl"
    messages = [{"role": role, "content": content} for role, content in turns]
    path.write_text(json.dumps({"messages": messages}) + "\n", encoding="utf-8")
    assert retriever.read(path) == Examples(["Hello\nWhat is it?\nWhen is it due?"], ["On Monday."])
