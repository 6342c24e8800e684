"""Claims: who gets a job, for how long, and when it is due again."""

import asyncio
from collections.abc import Mapping

import pytest
from sqlalchemy import text

from server.domain.status import EventType, JobStatus
from server.storage import claims, holding, jobs, lanes
from server.storage.claims import Claim, Work
from server.storage.events import Entry
from server.storage.lanes import LaneLease
from tests.server.services.desk import ANNA
from tests.server.workshop import Workshop

pytestmark = pytest.mark.database

LEASES_RUN_OUT = "UPDATE training_job_claims SET lease_until = clock_timestamp()"


async def claim_due(workshop: Workshop, places: Mapping[str, int] | None = None) -> list[Claim]:
    async with workshop.engine.begin() as connection:
        return await claims.claim_due(connection, {"LOCAL": 10} if places is None else places, 30)


async def claim_unserved(workshop: Workshop, *own: str, limit: int = 10) -> list[str]:
    async with workshop.engine.begin() as connection:
        taken = await claims.claim_unserved(connection, own, after_seconds=30, limit=limit, lease_seconds=30)
    return sorted(claim.job_id for claim in taken)


async def next_due_in(workshop: Workshop, *lanes: str) -> float | None:
    async with workshop.engine.connect() as connection:
        return await claims.next_due_in(connection, lanes or ["LOCAL"])


async def mend(workshop: Workshop) -> int:
    async with workshop.engine.begin() as connection:
        return await claims.mend(connection)


async def due_in(workshop: Workshop, job_id: str) -> float | None:
    value: float | None = await workshop.desk.value(
        "SELECT extract(epoch FROM due_at - clock_timestamp())::float FROM training_job_claims WHERE job_id = :id",
        id=job_id,
    )
    return value


async def give_back(workshop: Workshop, claim: Claim, *, due_seconds: float | None, failed: bool = False) -> None:
    async with workshop.engine.begin() as connection:
        assert await holding.hold(connection, claim) is not None
        await holding.give_back(connection, claim, due_seconds=due_seconds, failed=failed)


async def test_a_claim_is_a_lease_with_a_fence(workshop: Workshop) -> None:
    job_id = await workshop.create()
    [claim] = await claim_due(workshop)
    assert (claim.job_id, claim.fence, claim.work, claim.lane) == (job_id, 1, Work.STEP, "LOCAL")
    assert await claim_due(workshop) == []
    left = "SELECT extract(epoch FROM lease_until - clock_timestamp())::float FROM training_job_claims"
    assert 29 < await workshop.desk.value(left) <= 30
    await workshop.execute(LEASES_RUN_OUT)
    [again] = await claim_due(workshop)
    assert again.fence == 2


async def test_the_longest_due_comes_first_and_no_more_than_there_are_places_in_its_lane(workshop: Workshop) -> None:
    job_ids = [await workshop.create() for _ in range(5)]
    for age, job_id in enumerate(job_ids):
        await workshop.execute(
            "UPDATE training_job_claims SET due_at = now() - make_interval(secs => :age), lane = :lane"
            " WHERE job_id = :id",
            age=age,
            id=job_id,
            lane="FMAPI" if age == 0 else "LOCAL",
        )
    taken = await claim_due(workshop, {"LOCAL": 2, "FMAPI": 3, "AI_RUNTIME": 8})
    assert {claim.job_id for claim in taken} == {job_ids[0], *job_ids[3:]}
    assert {claim.job_id for claim in await claim_due(workshop, {"LOCAL": 0, "FMAPI": 3})} == set()
    assert {claim.job_id for claim in await claim_due(workshop)} == set(job_ids[1:3])


async def test_claims_at_once_never_share_a_job(workshop: Workshop) -> None:
    job_ids = [await workshop.create() for _ in range(20)]
    taken = await asyncio.gather(*(claim_due(workshop, {"LOCAL": 5}) for _ in range(8)))
    claimed = [claim.job_id for portion in taken for claim in portion]
    assert len(claimed) == len(set(claimed))
    assert set(claimed) <= set(job_ids)


async def test_one_that_is_just_being_claimed_is_passed_over_at_once(workshop: Workshop) -> None:
    first, second = await workshop.create(), await workshop.create()
    async with workshop.engine.begin() as connection:
        await connection.execute(
            text("SELECT job_id FROM training_job_claims WHERE job_id = :id FOR UPDATE"), {"id": first}
        )
        assert [claim.job_id for claim in await claim_due(workshop)] == [second]


async def test_work_follows_from_the_job(workshop: Workshop) -> None:
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
    taken = {claim.job_id: claim for claim in await claim_due(workshop)}
    assert {job_id: claim.work for job_id, claim in taken.items()} == {
        pending: Work.STEP,
        observed: Work.OBSERVE,
        cancelled: Work.STEP,
        trained: Work.STEP,
    }
    assert taken[cancelled].cancel_age == pytest.approx(5, abs=1)
    assert taken[trained].trained_age == pytest.approx(7, abs=1)
    assert (taken[pending].cancel_age, taken[pending].trained_age) == (None, None)


async def test_only_jobs_without_a_step_are_read_to_be_observed_and_nothing_is_written(workshop: Workshop) -> None:
    observed, cancelled, held = [await workshop.queued() for _ in range(3)]
    pending = await workshop.create()
    await workshop.jobs.cancel(ANNA, cancelled)
    await workshop.claim(held)
    before = [await workshop.job(job_id) for job_id in (observed, cancelled, held, pending)]
    under = LaneLease("LOCAL", 3)
    async with workshop.engine.connect() as connection:
        assert sorted(await claims.observed_ids(connection, ["LOCAL", "FMAPI"])) == sorted([observed, held])
        assert await claims.observed_ids(connection, ["FMAPI"]) == []
        [claim] = await claims.read_observed(connection, [observed, cancelled, held, pending], under)
    assert (claim.job_id, claim.under, claim.work) == (observed, under, Work.OBSERVE)
    assert claim.settled_age == pytest.approx(0, abs=10)
    assert [await workshop.job(job_id) for job_id in (observed, cancelled, held, pending)] == before


async def test_claiming_one_asks_neither_when_it_is_due_nor_where(workshop: Workshop) -> None:
    job_id = await workshop.create()
    await workshop.execute("UPDATE training_job_claims SET due_at = now() + interval '1 hour', lane = 'elsewhere'")
    assert await claim_due(workshop) == []
    assert (await workshop.claim(job_id)).job_id == job_id
    async with workshop.engine.begin() as connection:
        assert await claims.claim_one(connection, job_id, 30) is None
        assert await claims.claim_one(connection, "job_none", 30) is None


async def test_the_next_due_is_the_soonest_that_nobody_holds(workshop: Workshop) -> None:
    assert await next_due_in(workshop) is None
    soon, later, observed = await workshop.create(), await workshop.create(), await workshop.create()
    for job_id, seconds in ((soon, 10), (later, 100), (observed, None)):
        await workshop.execute(
            "UPDATE training_job_claims SET due_at = now() + make_interval(secs => :seconds) WHERE job_id = :id",
            id=job_id,
            seconds=seconds,
        )
    assert await next_due_in(workshop) == pytest.approx(10, abs=1)
    assert await next_due_in(workshop, "FMAPI", "AI_RUNTIME") is None
    await workshop.claim(soon)
    assert await next_due_in(workshop, "FMAPI", "LOCAL") == pytest.approx(100, abs=1)


async def test_a_job_given_back_is_due_when_it_was_said(workshop: Workshop) -> None:
    job_id = await workshop.create()
    for failures, failed in ((1, True), (2, True), (0, False)):
        await give_back(workshop, await workshop.claim(job_id), due_seconds=60, failed=failed)
        left = await due_in(workshop, job_id)
        assert left is not None
        assert 59 < left <= 60
        assert (await workshop.job(job_id))["failures"] == failures
    claim = await workshop.claim(job_id)
    await give_back(workshop, claim, due_seconds=None)
    job = await workshop.job(job_id)
    assert (job["due_at"], job["lease_until"], job["fence"]) == (None, None, claim.fence + 1)


async def test_a_lease_is_renewed_only_while_it_is_held(workshop: Workshop) -> None:
    held, returned = await workshop.create(), await workshop.create()
    kept, gone = await workshop.claim(held, 5), await workshop.claim(returned, 5)
    await give_back(workshop, gone, due_seconds=60)
    async with workshop.engine.begin() as connection:
        assert await holding.extend(connection, kept, 100)
        assert not await holding.extend(connection, gone, 100)
    left = (
        "SELECT extract(epoch FROM lease_until - clock_timestamp())::float FROM training_job_claims WHERE job_id = :i"
    )
    assert 99 < await workshop.desk.value(left, i=held) <= 100
    assert await workshop.desk.value(left, i=returned) is None


async def test_an_abandoned_step_is_due_again_and_its_claim_is_void(workshop: Workshop) -> None:
    job_id = await workshop.create()
    claim = await workshop.claim(job_id)
    async with workshop.engine.begin() as connection:
        await holding.abandon(connection, claim)
    [again] = await claim_due(workshop)
    assert (again.job_id, again.failures) == (job_id, 0)
    async with workshop.engine.begin() as connection:
        assert await holding.hold(connection, claim) is None


async def test_an_abandoned_observation_leaves_the_job_observed(workshop: Workshop) -> None:
    job_id = await workshop.queued()
    claim = await workshop.claim(job_id)
    async with workshop.engine.begin() as connection:
        await holding.abandon(connection, claim, 5.0)
    job = await workshop.job(job_id)
    assert (job["due_at"], job["lease_until"]) == (None, None)


async def test_a_claim_ends_with_its_job(workshop: Workshop) -> None:
    job_id = await workshop.create()
    claim = await workshop.claim(job_id)
    async with workshop.engine.begin() as connection:
        assert await jobs.move(connection, job_id, JobStatus.CANCELLED, Entry(EventType.STATUS_CHANGE, "x"))
        assert await holding.hold(connection, claim) is None
    assert await workshop.desk.rows("SELECT * FROM training_job_claims") == []


async def test_claims_that_do_not_fit_their_jobs_are_mended(workshop: Workshop) -> None:
    missing, unwanted, idle, well = [await workshop.queued() for _ in range(4)]
    await workshop.execute("DELETE FROM training_job_claims WHERE job_id = :id", id=missing)
    pending = await workshop.create()
    await workshop.execute("DELETE FROM training_job_claims WHERE job_id = :id", id=pending)
    for job_id in (unwanted, idle):
        await workshop.execute("UPDATE training_jobs SET trained_at = now() WHERE id = :id", id=job_id)
    held = await workshop.claim(unwanted)
    before = await workshop.job(well)
    assert [await mend(workshop), await mend(workshop)] == [3, 0]
    for job_id, is_due in ((missing, False), (pending, True), (idle, True), (unwanted, False), (well, False)):
        job = await workshop.job(job_id)
        assert (job["lane"], job["due_at"] is not None) == ("LOCAL", is_due)
    assert (await workshop.job(unwanted))["fence"] == held.fence, "somebody is at it"
    assert await workshop.job(well) == before


async def test_what_nobody_serves_is_claimed_by_whoever_finds_it(workshop: Workshop) -> None:
    due, observed, told = await workshop.create(), await workshop.queued(), await workshop.queued()
    waiting = await workshop.create()
    await workshop.execute("UPDATE training_job_claims SET lane = 'LOCAL far' WHERE job_id <> :id", id=due)
    await workshop.execute(
        "UPDATE training_job_claims SET due_at = now() + interval '1 h' WHERE job_id = :i", i=waiting
    )
    await workshop.execute("UPDATE training_jobs SET unreachable_since = now() WHERE id = :id", id=told)
    async with workshop.engine.begin() as connection:
        lease = await lanes.take(connection, "LOCAL far", 30)
    assert isinstance(lease, LaneLease)
    assert await claim_unserved(workshop, "FMAPI") == [], "the first one's lane is that of all local jobs without a run"
    async with workshop.engine.begin() as connection:
        await lanes.release(connection, lease)
    assert await claim_unserved(workshop, "FMAPI") == [], "its replica may only be starting again"
    await workshop.execute("UPDATE observation_lanes SET lease_until = now() - interval '31 seconds'")
    assert await claim_unserved(workshop, "LOCAL far", "LOCAL") == []
    assert await claim_unserved(workshop, "LOCAL") == [observed]
    assert await claim_unserved(workshop) == [due]
    assert await claim_unserved(workshop) == []


async def test_a_lane_is_held_by_one_and_its_fence_tells_who(workshop: Workshop) -> None:
    async def take(name: str = "LOCAL") -> LaneLease | float:
        async with workshop.engine.begin() as connection:
            return await lanes.take(connection, name, 30)

    async def renew(lease: LaneLease) -> bool:
        async with workshop.engine.begin() as connection:
            return await lanes.renew(connection, lease, 60)

    taken = await asyncio.gather(*(take() for _ in range(6)))
    [first] = [lease for lease in taken if isinstance(lease, LaneLease)]
    assert first == LaneLease("LOCAL", 1)
    assert isinstance(await take("FMAPI"), LaneLease)
    assert await renew(first)
    assert await take() == pytest.approx(60, abs=1)
    await workshop.execute("UPDATE observation_lanes SET lease_until = clock_timestamp()")
    assert await take() == LaneLease("LOCAL", 2)
    assert not await renew(first)
    async with workshop.engine.begin() as connection:
        await lanes.release(connection, first)  # it is no longer its to release
    assert await take() == pytest.approx(30, abs=1)
