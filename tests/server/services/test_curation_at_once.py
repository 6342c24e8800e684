"""What holds when people write at the same time."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from server.domain.gates import PairStatus
from server.storage import curation as storage
from tests.server.services.desk import ANNA, BEN, Desk, opened, pair, unlocked_pairs

pytestmark = pytest.mark.database


@pytest.fixture
async def desk(database_url: str) -> AsyncIterator[Desk]:
    async with opened(database_url) as desk:
        yield desk


async def test_templates_made_at_once_are_numbered_without_a_gap(desk: Desk) -> None:
    made = await asyncio.gather(*(desk.curation.create_template(ANNA, "race", None, f"{n}") for n in range(8)))
    assert len(set(made)) == 8
    rows = await desk.rows("SELECT version FROM templates WHERE name = 'race' ORDER BY version")
    assert rows == [(version,) for version in range(1, 9)]


async def test_labels_made_at_once_are_numbered_and_the_last_has_the_pairs(desk: Desk) -> None:
    await desk.add(pair(canonical_label_id=await desk.label()), pair("Who pays?"))
    await asyncio.gather(*(desk.label(label_data=n) for n in range(8)))
    rows = await desk.rows("SELECT version FROM canonical_labels ORDER BY version")
    assert rows == [(version,) for version in range(1, 10)]
    under = await desk.rows("SELECT l.version FROM qa_pairs p JOIN canonical_labels l ON l.id = p.canonical_label_id")
    assert under == [(9,)]


async def test_a_label_waits_for_pairs_that_are_being_added_under_its_previous_version(desk: Desk) -> None:
    first = await desk.label()
    [pair_id] = await desk.add(pair())
    async with desk.engine.begin() as adding:
        await storage.lock_labels(adding, desk.sheet_id, to_write=False)
        await adding.execute(text("UPDATE qa_pairs SET canonical_label_id = :label"), {"label": first})
        versioning = asyncio.create_task(desk.label())
        await desk.someone_waits()
    second = await versioning
    assert await desk.value("SELECT canonical_label_id FROM qa_pairs WHERE id = :id", id=pair_id) == second


async def test_pairs_wait_for_a_version_that_is_being_made(desk: Desk) -> None:
    first = await desk.label()
    async with desk.engine.begin() as versioning:
        await storage.lock_labels(versioning, desk.sheet_id, to_write=True)
        adding = asyncio.create_task(desk.add(pair(canonical_label_id=first)))
        await desk.someone_waits()
        values = {"sheet_id": desk.sheet_id, "item_ref": "inv-1", "label_type": "answer", "label_data": 2}
        await storage.insert_label(versioning, {"id": "label_2", **values, "allowed_uses": [], "prohibited_uses": []})
        await storage.move_pairs(versioning, ["label_2"])
    [pair_id] = await adding
    assert await desk.value("SELECT canonical_label_id FROM qa_pairs WHERE id = :id", id=pair_id) == "label_2"


async def test_a_review_is_dated_after_the_one_it_waited_for(desk: Desk) -> None:
    [pair_id] = await desk.add(pair())
    async with desk.engine.begin() as slow:
        await slow.execute(text("SELECT 1"))  # its transaction begins before the other's
        async with desk.engine.begin() as quick:
            await storage.lock_pairs(quick, [pair_id])
            waiting = asyncio.create_task(storage.lock_pairs(slow, [pair_id]))
            await desk.someone_waits()
            await storage.review_pairs(quick, [pair_id], {"reviewed_by": ANNA.name})
        await waiting
        first = (await slow.execute(text("SELECT reviewed_at FROM qa_pairs"))).scalar_one()
        await storage.review_pairs(slow, [pair_id], {"reviewed_by": BEN.name})
    reviewed_by, second = await desk.one("SELECT reviewed_by, reviewed_at FROM qa_pairs")
    assert reviewed_by == BEN.name
    assert second > first


async def shuffled_pairs(desk: Desk, label_id: str) -> list[str]:
    """Pairs whose places in the table are not in the order of their ids."""
    pair_ids = await desk.add(*(pair(canonical_label_id=label_id) for _ in range(20)))
    for chosen in (pair_ids[3:15:2], pair_ids[:8]):
        await desk.curation.review_qa_pairs(ANNA, chosen, status=PairStatus.LABELED)
    places = await desk.rows("SELECT id FROM qa_pairs ORDER BY ctid")
    assert [place for (place,) in places] != pair_ids
    return pair_ids


@pytest.mark.parametrize("write", ["review", "label"])
async def test_pairs_are_locked_in_the_order_of_their_ids(desk: Desk, write: str) -> None:
    pair_ids = await shuffled_pairs(desk, await desk.label())
    async with desk.engine.connect() as holder, desk.engine.connect() as looker:
        await storage.lock_pairs(holder, [pair_ids[10]])
        writing = asyncio.create_task(
            desk.curation.review_qa_pairs(BEN, list(reversed(pair_ids)), status=PairStatus.FLAGGED)
            if write == "review"
            else desk.label()
        )
        await desk.someone_waits()
        free = await unlocked_pairs(looker, pair_ids)
        await looker.rollback()
        await holder.rollback()
    await writing
    assert free == pair_ids[11:]


async def test_writers_of_the_same_pairs_do_not_end_in_a_deadlock(desk: Desk) -> None:
    pair_ids = await shuffled_pairs(desk, await desk.label())
    statuses = (PairStatus.LABELED, PairStatus.REJECTED)

    async def review(turn: int) -> None:
        order = pair_ids if turn % 2 else list(reversed(pair_ids))
        await desk.curation.review_qa_pairs(BEN, order, status=statuses[turn % 2])

    await asyncio.gather(*(desk.label(label_data=turn) if turn % 5 == 0 else review(turn) for turn in range(30)))
    rows = await desk.rows(
        "SELECT p.status, l.version, count(*) FROM qa_pairs p JOIN canonical_labels l ON l.id = p.canonical_label_id"
        " GROUP BY 1, 2"
    )
    [(status, version, count)] = rows
    assert status in statuses
    assert (version, count) == (7, 20)
