"""Freezing the pairs of a job: all of them, in portions, in order."""

from pathlib import Path

import pytest

from server.storage import pairs
from tests.server.workshop import opened_workshop

pytestmark = pytest.mark.database

MANY = pairs.WRITTEN_AT_ONCE + 2_500
INSERT = """
    INSERT INTO qa_pairs (id, training_sheet_id, item_ref, messages, status, allowed_uses, prohibited_uses,
                          question_digest, line_digest, created_at)
    SELECT 'qa_' || n, :sheet, 'item ' || n, '[]', 'LABELED', ARRAY['TRAINING', 'VALIDATION'], ARRAY[]::text[],
           'question ' || n, 'line ' || n, now() - make_interval(secs => n)
    FROM generate_series(1, :many) AS n
"""

COPIED = """
    SELECT column_name FROM information_schema.columns
    WHERE table_name = 'training_jobs' AND column_name NOT IN ('id', 'created_at')
"""


async def test_a_large_sheet_is_frozen_whole_and_in_the_order_of_its_pairs(database_url: str, tmp_path: Path) -> None:
    async with opened_workshop(database_url, tmp_path, pairs=0) as workshop:
        await workshop.execute(INSERT, sheet=workshop.desk.training_sheet_id, many=MANY)
        job_id = await workshop.create()
        frozen = await workshop.desk.rows(
            "SELECT position, split, qa_pair_id, digest FROM training_job_pairs WHERE job_id = :id ORDER BY position",
            id=job_id,
        )
    train = MANY * 8 // 10
    assert [row[0] for row in frozen] == list(range(MANY))
    assert [row[1] for row in frozen] == ["TRAIN"] * train + ["VALIDATION"] * (MANY - train)
    numbers = [int(row[2].removeprefix("qa_")) for row in frozen]
    assert sorted(numbers) == list(range(1, MANY + 1))
    for side in (numbers[:train], numbers[train:]):
        assert side == sorted(side, reverse=True)  # the first to be created is the one with the highest number
    assert [row[3] for row in frozen] == [f"line {number}" for number in numbers]


async def test_a_pair_that_the_gates_refuse_by_now_is_not_frozen(database_url: str, tmp_path: Path) -> None:
    async with opened_workshop(database_url, tmp_path) as workshop:
        await workshop.create()
        columns = ", ".join(name for (name,) in await workshop.desk.rows(COPIED))
        ids = [row[0] for row in await workshop.desk.rows("SELECT id FROM qa_pairs ORDER BY id")]
        await workshop.execute("UPDATE qa_pairs SET prohibited_uses = ARRAY['TRAINING'] WHERE id = :id", id=ids[1])
        for chosen, frozen in ((ids[2:], True), (ids, False)):
            async with workshop.engine.connect() as connection, connection.begin() as transaction:
                await connection.exec_driver_sql(
                    f"INSERT INTO training_jobs (id, {columns}) SELECT 'job_again', {columns} FROM training_jobs"
                )
                assert await pairs.freeze(connection, "job_again", chosen[:2], chosen[2:]) is frozen
                await transaction.rollback()
