"""Claims: who gets a job, for how long, and when it is due again."""

import asyncio
from collections.abc import AsyncIterator, Collection
from pathlib import Path

import pytest
from sqlalchemy import text

from server.domain.status import EventType, TrainerKind
from server.storage import claims, leases
from server.storage.claims import Claim, Work
from server.storage.events import Entry
from tests.server.services.desk import ANNA
from tests.server.workshop import Workshop, opened_workshop

pytestmark = pytest.mark.database


@pytest.fixture
async def workshop(database_url: str, tmp_path: Path) -> AsyncIterator[Workshop]:
    async with opened_workshop(database_url, tmp_path) as workshop:
        yield workshop


async def claim_due(
    workshop: Workshop,
    work: Work | None = None,
    limit: int = 10,
    trainers: Collection[TrainerKind] = tuple(TrainerKind),
    excluding: Collection[str] = (),
) -> list[Claim]:
    async with workshop.engine.begin() as connection:
        return await claims.claim_due(
            connection, trainers=trainers, work=work, limit=limit, lease=30, excluding=excluding
        )


async def next_due_in(workshop: Workshop, work: Work | None = None, excluding: Collection[str] = ()) -> float | None:
    async with workshop.engine.connect() as connection:
        return await claims.next_due_in(connection, trainers=list(TrainerKind), work=work, excluding=excluding)


async def due_in(workshop: Workshop, job_id: str) -> float:
    value = await workshop.desk.value(
        "SELECT extract(epoch FROM next_poll_at - clock_timestamp())::float FROM training_jobs WHERE id = :id",
        id=job_id,
    )
    return float(value)


async def test_a_claim_is_a_lease_with_a_fence(workshop: Workshop) -> None:
    job_id = await workshop.create()
    [claim] = await claim_due(workshop)
    assert (claim.job_id, claim.fence, claim.work) == (job_id, 1, Work.STEP)
    assert await claim_due(workshop) == []
    left = "SELECT extract(epoch FROM lease_until - clock_timestamp())::float FROM training_jobs"
    assert 29 < await workshop.desk.value(left) <= 30
    await workshop.execute("UPDATE training_jobs SET lease_until = clock_timestamp()")
    [again] = await claim_due(workshop)
    assert again.fence == 2


async def test_the_longest_due_comes_first_and_no_more_than_asked(workshop: Workshop) -> None:
    job_ids = [await workshop.create() for _ in range(4)]
    for age, job_id in enumerate(job_ids):
        await workshop.execute(
            "UPDATE training_jobs SET next_poll_at = now() - make_interval(secs => :age) WHERE id = :id",
            age=age,
            id=job_id,
        )
    assert {claim.job_id for claim in await claim_due(workshop, limit=2)} == set(job_ids[2:])
    assert {claim.job_id for claim in await claim_due(workshop, limit=2, excluding=job_ids[:1])} == {job_ids[1]}


async def test_claims_at_once_never_share_a_job(workshop: Workshop) -> None:
    job_ids = [await workshop.create() for _ in range(20)]
    taken = await asyncio.gather(*(claim_due(workshop, limit=5) for _ in range(8)))
    claimed = [claim.job_id for portion in taken for claim in portion]
    assert len(claimed) == len(set(claimed))
    assert set(claimed) <= set(job_ids)


async def test_one_that_is_just_being_claimed_is_passed_over_at_once(workshop: Workshop) -> None:
    first, second = await workshop.create(), await workshop.create()
    async with workshop.engine.begin() as connection:
        await connection.execute(text("SELECT id FROM training_jobs WHERE id = :id FOR UPDATE"), {"id": first})
        assert [claim.job_id for claim in await claim_due(workshop)] == [second]


async def test_work_follows_from_the_row(workshop: Workshop) -> None:
    pending, observed, cancelled, trained = [await workshop.create() for _ in range(4)]
    await workshop.execute(
        "UPDATE training_jobs SET status = 'RUNNING', trainer_job_id = 'run' WHERE id <> :pending", pending=pending
    )
    await workshop.execute(
        "UPDATE training_jobs SET cancel_requested_at = now() - interval '5 seconds', cancel_requested_by = 'anna'"
        " WHERE id = :id",
        id=cancelled,
    )
    await workshop.execute(
        "UPDATE training_jobs SET trained_at = now() - interval '7 seconds' WHERE id = :id", id=trained
    )
    [looked_at] = await claim_due(workshop, Work.OBSERVE)
    assert (looked_at.job_id, looked_at.work) == (observed, Work.OBSERVE)
    steps = {claim.job_id: claim for claim in await claim_due(workshop, Work.STEP)}
    assert steps.keys() == {pending, cancelled, trained}
    assert {claim.work for claim in steps.values()} == {Work.STEP}
    assert steps[cancelled].cancel_age == pytest.approx(5, abs=1)
    assert steps[trained].trained_age == pytest.approx(7, abs=1)
    assert (steps[pending].cancel_age, steps[pending].trained_age) == (None, None)


async def test_only_jobs_of_the_trainers_asked_for_are_claimed(workshop: Workshop) -> None:
    await workshop.create()
    assert await claim_due(workshop, trainers=[TrainerKind.FMAPI]) == []
    assert len(await claim_due(workshop, trainers=[TrainerKind.LOCAL])) == 1


async def test_claiming_one_asks_for_neither_due_nor_work(workshop: Workshop) -> None:
    job_id = await workshop.create()
    await workshop.execute("UPDATE training_jobs SET next_poll_at = now() + interval '1 hour'")
    assert await claim_due(workshop) == []
    assert (await workshop.claim(job_id)).job_id == job_id
    async with workshop.engine.begin() as connection:
        assert await claims.claim_one(connection, job_id, 30) is None
        assert await claims.claim_one(connection, "job_none", 30) is None


async def test_the_next_due_is_the_soonest_that_nobody_holds(workshop: Workshop) -> None:
    assert await next_due_in(workshop) is None
    soon, later = await workshop.create(), await workshop.create()
    for job_id, seconds in ((soon, 10), (later, 100)):
        await workshop.execute(
            "UPDATE training_jobs SET next_poll_at = now() + make_interval(secs => :seconds) WHERE id = :id",
            id=job_id,
            seconds=seconds,
        )
    assert await next_due_in(workshop) == pytest.approx(10, abs=1)
    assert await next_due_in(workshop, excluding=[soon]) == pytest.approx(100, abs=1)
    await workshop.claim(soon)
    assert await next_due_in(workshop) == pytest.approx(100, abs=1)
    assert await next_due_in(workshop, Work.OBSERVE) is None


async def test_a_job_given_back_is_due_after_its_interval_and_reached_again(workshop: Workshop) -> None:
    job_id = await workshop.create()
    claim = await workshop.claim(job_id)
    async with workshop.engine.begin() as connection:
        assert await leases.postpone(connection, claim, 60, Entry(EventType.ERROR, "away"))
    assert 59 < await due_in(workshop, job_id) <= 60
    claim = await workshop.claim(job_id)
    assert (claim.unreachable, claim.failures) == (True, 1)
    before = await workshop.job(job_id)
    async with workshop.engine.begin() as connection:
        await leases.release(connection, [claim], 5)
    after = await workshop.job(job_id)
    assert (after["failures"], after["unreachable_since"], after["lease_until"]) == (0, None, None)
    assert after["updated_at"] > before["updated_at"]
    assert 4 < await due_in(workshop, job_id) <= 5
    assert await workshop.history(job_id) == ["CREATED >PENDING", "ERROR"]


@pytest.mark.parametrize("how", ["release", "postpone", "retry_registration"])
async def test_a_cancel_that_came_meanwhile_makes_a_job_due_at_once(workshop: Workshop, how: str) -> None:
    job_id = await workshop.create()
    claim = await workshop.claim(job_id)
    await workshop.jobs.cancel(ANNA, job_id)
    await _give_back(workshop, claim, how)
    assert await due_in(workshop, job_id) <= 0
    claim = await workshop.claim(job_id)
    await _give_back(workshop, claim, how)
    assert 50 < await due_in(workshop, job_id) <= 60


async def _give_back(workshop: Workshop, claim: Claim, how: str) -> None:
    entry = Entry(EventType.ERROR, "away")
    async with workshop.engine.begin() as connection:
        if how == "release":
            await leases.release(connection, [claim], 60)
        elif how == "postpone":
            await leases.postpone(connection, claim, 60, entry)
        else:
            await leases.retry_registration(connection, claim, 60, entry)


async def test_a_lease_is_renewed_only_while_it_is_held(workshop: Workshop) -> None:
    held, returned = await workshop.create(), await workshop.create()
    both = [await workshop.claim(held, 5), await workshop.claim(returned, 5)]
    async with workshop.engine.begin() as connection:
        await leases.release(connection, both[1:], 60)
        await leases.extend(connection, both, 100)
    left = "SELECT extract(epoch FROM lease_until - clock_timestamp())::float FROM training_jobs WHERE id = :id"
    assert 99 < await workshop.desk.value(left, id=held) <= 100
    assert await workshop.desk.value(left, id=returned) is None


async def test_an_abandoned_job_is_due_as_it_was(workshop: Workshop) -> None:
    job_id = await workshop.create()
    claim = await workshop.claim(job_id)
    async with workshop.engine.begin() as connection:
        await leases.abandon(connection, [claim])
    [again] = await claim_due(workshop)
    assert (again.job_id, again.failures) == (job_id, 0)
