"""What the tables of a job's lineage hold, whoever writes them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from server.domain.gates import PairStatus
from tests.server.services.desk import pair
from tests.server.workshop import Workshop, opened_workshop

pytestmark = pytest.mark.database

LABELS = "SELECT canonical_label_id, job_id FROM training_job_labels ORDER BY 1, 2"
TIMES = """
SELECT created_at = (SELECT created_at FROM training_jobs WHERE id = job_id) AS same, count(*) FROM (
  SELECT job_id, created_at FROM training_job_lineage UNION ALL SELECT job_id, created_at FROM training_job_pairs
  UNION ALL SELECT job_id, created_at FROM training_job_labels
) AS linked GROUP BY same
"""
AGAIN = """
INSERT INTO training_job_pairs (job_id, position, split, qa_pair_id, digest, created_at)
SELECT job_id, position + 1000, split, qa_pair_id, digest, created_at {} FROM training_job_pairs
"""
MORE = """
INSERT INTO training_job_pairs (job_id, position, split, qa_pair_id, digest, canonical_label_id,
    canonical_label_version, created_at)
SELECT job.id, 1000 + :place, 'TRAIN', :pair, '', :label, 1, job.created_at FROM training_jobs AS job
"""


@pytest.fixture
async def workshop(database_url: str, tmp_path: Path) -> AsyncIterator[Workshop]:
    async with opened_workshop(database_url, tmp_path) as workshop:
        yield workshop


async def test_a_label_behind_several_pairs_of_a_job_is_noted_once(workshop: Workshop) -> None:
    first, second, unused = [await workshop.desk.label(item) for item in ("a", "b", "c")]
    await workshop.desk.add(
        *(
            pair(f"What of {label} and {n}?", canonical_label_id=label, status=PairStatus.LABELED)
            for label, count in ((first, 3), (second, 1))
            for n in range(count)
        ),
        pair("Rejected?", canonical_label_id=unused, status=PairStatus.REJECTED),
    )
    jobs = sorted([await workshop.create(), await workshop.create()])
    expected = sorted((label, job) for label in (first, second) for job in jobs)
    assert await workshop.desk.rows(LABELS) == expected


async def test_it_is_noted_once_over_several_statements_too(workshop: Workshop) -> None:
    job_id, label = await workshop.create(), await workshop.desk.label()
    for place, new in enumerate(await workshop.desk.add(pair("One?"), pair("Two?"))):
        await workshop.execute(MORE, place=place, pair=new, label=label)
    assert await workshop.desk.rows(LABELS) == [(label, job_id)]


async def test_all_rows_of_a_job_have_its_time(workshop: Workshop) -> None:
    label = await workshop.desk.label()
    await workshop.desk.add(pair(canonical_label_id=label, status=PairStatus.LABELED))
    await workshop.create()
    pairs = await workshop.desk.value("SELECT count(*) FROM training_job_pairs")
    assert await workshop.desk.rows(TIMES) == [(True, pairs + 2)]


async def test_another_time_than_the_job_s_is_refused(workshop: Workshop) -> None:
    await workshop.create()
    with pytest.raises(IntegrityError, match="fk_training_job_pairs_job_id_created_at"):
        await workshop.execute(AGAIN.format("+ interval '1 s'"))


async def test_a_pair_is_in_a_job_once(workshop: Workshop) -> None:
    await workshop.create()
    with pytest.raises(IntegrityError, match="uq_training_job_pairs_qa_pair_id_created_at_job_id"):
        await workshop.execute(AGAIN.format(""))
