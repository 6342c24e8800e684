"""What a job would train on, before anything is created."""

from pathlib import Path

import pytest

from server.domain.errors import InvalidInput
from server.domain.gates import PairStatus, Verdict
from server.services.eligibility import Eligibility, Report
from tests.server.services.desk import pair, refusal
from tests.server.workshop import Workshop, opened_workshop

pytestmark = pytest.mark.database


async def report(workshop: Workshop, ratio: float = 0.8, seed: int = 0) -> Report:
    return await Eligibility(workshop.engine).report(workshop.desk.training_sheet_id, ratio, seed)


async def test_it_counts_each_verdict_and_both_sides(database_url: str, tmp_path: Path) -> None:
    async with opened_workshop(database_url, tmp_path, pairs=500) as workshop:
        await workshop.desk.add(
            pair(status=PairStatus.REJECTED),
            pair(status=PairStatus.FLAGGED),
            pair(status=PairStatus.LABELED, prohibited_uses=["TRAINING"], allowed_uses=[]),
            pair(status=PairStatus.LABELED, allowed_uses=["VALIDATION"]),
        )
        excluded = {Verdict.NOT_LABELED: 2, Verdict.USE_PROHIBITED: 1, Verdict.USE_NOT_ALLOWED: 1}
        assert await report(workshop) == Report(504, 500, 400, 100, excluded)
        assert await report(workshop, 0.95) == Report(504, 500, 475, 25, excluded)


async def test_it_is_what_a_create_then_freezes(workshop: Workshop) -> None:
    for seed in (0, 1, 2**31 - 1, -(2**31)):
        counted = await report(workshop, 0.5, seed)
        job = await workshop.job(await workshop.create(train_val_split=0.5, split_seed=seed))
        assert (job["total_pairs"], job["train_pairs"], job["val_pairs"]) == (
            counted.eligible,
            counted.train,
            counted.validation,
        )


async def test_the_same_seed_gives_the_same_sides_and_another_one_others(workshop: Workshop) -> None:
    sides = "SELECT qa_pair_id FROM training_job_pairs WHERE job_id = :id AND split = 'VALIDATION' ORDER BY position"

    async def validation(seed: int) -> list[tuple[str]]:
        job_id = await workshop.create(split_seed=seed, train_val_split=0.5)
        return await workshop.desk.rows(sides, id=job_id)

    assert await validation(3) == await validation(3)
    assert len({tuple(await validation(seed)) for seed in range(8)}) > 1


async def test_pairs_that_can_not_be_split_are_all_on_the_train_side(database_url: str, tmp_path: Path) -> None:
    async with opened_workshop(database_url, tmp_path, pairs=0) as workshop:
        assert await report(workshop) == Report(0, 0, 0, 0, {})
        await workshop.desk.add(pair(status=PairStatus.LABELED), pair(answer="Soon.", status=PairStatus.LABELED))
        assert await report(workshop) == Report(2, 2, 2, 0, {})
        await workshop.desk.add(pair("Other?", status=PairStatus.LABELED, prohibited_uses=["VALIDATION"]))
        assert await report(workshop) == Report(3, 3, 1, 2, {})


@pytest.mark.parametrize("sheet_id", ["tsheet_none", "\x00", "\ud800"])
async def test_an_unknown_sheet_has_no_pairs(workshop: Workshop, sheet_id: str) -> None:
    assert await Eligibility(workshop.engine).report(sheet_id, 0.8, 0) == Report(0, 0, 0, 0, {})


@pytest.mark.parametrize("ratio", [0.0, 0.0999, 0.951, 1.0, -1.0, float("nan"), float("inf")])
async def test_a_ratio_that_no_job_can_have_is_refused(workshop: Workshop, ratio: float) -> None:
    with pytest.raises(InvalidInput) as refused:
        await report(workshop, ratio)
    assert refusal(refused) == ("trainValSplit", "trainValSplit: must be between 0.1 and 0.95")


@pytest.mark.parametrize("seed", [2**31, -(2**31) - 1])
async def test_a_seed_of_more_than_32_bits_is_refused(workshop: Workshop, seed: int) -> None:
    with pytest.raises(InvalidInput) as refused:
        await report(workshop, seed=seed)
    assert refused.value.path == ("splitSeed",)
