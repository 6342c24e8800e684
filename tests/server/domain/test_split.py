"""The split: whole groups, as near to the ratio as they allow, never an empty side, always the same."""

import hashlib
import math
import random
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from server.domain.split import MAX_RATIO, MIN_RATIO, Candidate, TooFew, grouped, split

few_keys = some.sampled_from([None, "a", "b", "c"])
sheets = some.lists(
    some.tuples(few_keys, few_keys, some.sampled_from("qrstuvwxyz"), some.booleans()), min_size=1, max_size=14
).map(lambda rows: [Candidate(f"qa_{number:02}", *row) for number, row in enumerate(rows)])
ratios = some.floats(MIN_RATIO, MAX_RATIO)
seeds = some.integers(-(2**31), 2**31 - 1)


def single(number: int, *, may_validate: bool = True) -> Candidate:
    return Candidate(f"qa_{number:06}", None, None, f"question {number}", may_validate)


def sizes(candidates: list[Candidate]) -> list[int]:
    """Sizes of the groups that may go to the validation side."""
    return [len(group) for group in grouped(candidates) if all(member.may_validate for member in group)]


def outcome(candidates: list[Candidate], ratio: float, seed: int) -> frozenset[str] | str:
    """The validation side as a set, or why there is none."""
    try:
        return frozenset(split(candidates, ratio, seed).validation)
    except TooFew as error:
        return str(error)


@pytest.mark.parametrize(
    ("pairs", "ratio", "train"), [(500, 0.8, 400), (100_000, 0.8, 80_000), (10, 0.95, 9), (2, 0.95, 1), (3, 0.1, 1)]
)
def test_single_pairs_are_split_exactly(pairs: int, ratio: float, train: int) -> None:
    sides = split([single(number) for number in range(pairs)], ratio, 0)
    assert (len(sides.train), len(sides.validation)) == (train, pairs - train)


@pytest.mark.parametrize("seed", [0, 7, -(2**31)])
def test_groups_of_a_size_are_taken_in_the_order_of_the_seed_and_their_smallest_id(seed: int) -> None:
    pairs = [replace(single(number), item_ref=f"item {number // 3}") for number in range(3 * 2_000)]
    drawn = sorted(pairs[::3], key=lambda pair: hashlib.sha256(f"{seed}:{pair.id}".encode()).digest())
    chosen = {pair.item_ref for pair in drawn[:500]}
    assert split(pairs, 0.75, seed).validation == tuple(pair.id for pair in pairs if pair.item_ref in chosen)


@given(sheets, ratios, seeds)
def test_the_sides_are_the_pairs_in_their_order_and_neither_is_empty(
    candidates: list[Candidate], ratio: float, seed: int
) -> None:
    ids = [candidate.id for candidate in candidates]
    try:
        sides = split(candidates, ratio, seed)
    except TooFew:
        return
    assert sides.train
    assert sides.validation
    assert sorted((*sides.train, *sides.validation)) == ids
    assert list(sides.train) == sorted(sides.train)
    assert list(sides.validation) == sorted(sides.validation)


@given(sheets, ratios, seeds)
def test_pairs_that_share_a_label_an_item_or_a_question_stay_together(
    candidates: list[Candidate], ratio: float, seed: int
) -> None:
    try:
        validation = set(split(candidates, ratio, seed).validation)
    except TooFew:
        return
    for one, other in combinations(candidates, 2):
        shared = (
            one.question_digest == other.question_digest
            or (one.item_ref is not None and one.item_ref == other.item_ref)
            or (one.canonical_label_id is not None and one.canonical_label_id == other.canonical_label_id)
        )
        if shared:
            assert (one.id in validation) is (other.id in validation)
    assert all(candidate.may_validate for candidate in candidates if candidate.id in validation)


@given(sheets, ratios, seeds)
def test_no_choice_of_groups_comes_nearer_to_the_ratio(candidates: list[Candidate], ratio: float, seed: int) -> None:
    total = len(candidates)
    wanted = min(max(total - math.floor(total * ratio + 0.5), 1), total - 1)
    movable = sizes(candidates)
    possible = {
        sum(chosen)
        for count in range(1, len(movable) + 1)
        for chosen in combinations(movable, count)
        if 1 <= sum(chosen) < total
    }
    if not possible:
        with pytest.raises(TooFew):
            split(candidates, ratio, seed)
        return
    taken = len(split(candidates, ratio, seed).validation)
    assert abs(taken - wanted) == min(abs(size - wanted) for size in possible)


@given(sheets, ratios, seeds, some.randoms(use_true_random=False))
def test_the_order_in_which_pairs_come_does_not_matter(
    candidates: list[Candidate], ratio: float, seed: int, shuffler: random.Random
) -> None:
    shuffled = list(candidates)
    shuffler.shuffle(shuffled)
    assert outcome(shuffled, ratio, seed) == outcome(candidates, ratio, seed)


def test_another_seed_draws_another_side() -> None:
    candidates = [single(number) for number in range(100)]
    assert len({split(candidates, 0.8, seed).validation for seed in range(20)}) == 20


def test_the_draw_is_the_same_on_every_machine_and_in_every_version() -> None:
    candidates = [single(number) for number in range(10)]
    assert split(candidates, 0.8, 0).validation == ("qa_000002", "qa_000006")
    assert split(candidates, 0.8, 1).validation == ("qa_000000", "qa_000001")


def test_groups_are_connected_over_all_three_keys() -> None:
    chain = [
        Candidate("qa_1", "label", None, "q1", may_validate=True),
        Candidate("qa_2", "label", "item", "q2", may_validate=True),
        Candidate("qa_3", None, "item", "q3", may_validate=True),
        Candidate("qa_4", None, None, "q3", may_validate=True),
        Candidate("qa_5", "item", "label", "q4", may_validate=True),  # the same words as other keys connect nothing
    ]
    assert sorted([member.id for member in group] for group in grouped(chain)) == [
        ["qa_1", "qa_2", "qa_3", "qa_4"],
        ["qa_5"],
    ]


@pytest.mark.parametrize(
    ("candidates", "message"),
    [
        ([single(1)], "there is 1 eligible pair, and both sides need at least one"),
        (
            [Candidate(f"qa_{number}", None, "item", f"q{number}", may_validate=True) for number in range(3)],
            "the 3 eligible pairs are one group",
        ),
        (
            [single(number, may_validate=False) for number in range(2)],
            "none of the 2 eligible pairs may be used for validation",
        ),
    ],
)
def test_too_few_pairs_are_refused_with_the_reason(candidates: list[Candidate], message: str) -> None:
    with pytest.raises(TooFew) as refused:
        split(candidates, 0.8, 0)
    assert str(refused.value).startswith(message)


def test_one_large_group_and_many_small_ones_are_split_near_the_ratio() -> None:
    large = [Candidate(f"qa_{number:06}", "label", None, f"q{number}", may_validate=True) for number in range(600)]
    small = [single(number) for number in range(1_000, 1_400)]
    sides = split([*large, *small], 0.8, 0)
    assert (len(sides.train), len(sides.validation)) == (800, 200)
