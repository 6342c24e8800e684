"""Observing the runs of one trainer, for as long as this replica holds the trainer's lane."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import structlog

from server.domain.errors import Unavailable
from server.domain.status import TrainerKind
from server.reconciler import observation, together
from server.reconciler.calls import brief
from server.reconciler.findings import Findings
from server.reconciler.outcomes import AGAIN_SECONDS, BLIND_TIMES, Outcome, database_is_away, postponed, settle
from server.reconciler.runtime import Runtime, trainer_name
from server.reconciler.schedule import Schedule, Turn, interval_seconds, longer_while_quiet, next_tick
from server.storage import claims, lanes
from server.storage.claims import Claim
from server.storage.lanes import LaneLease
from server.trainers.trainer import Announcing, Observation

CALLS_AT_ONCE = 4
WRITES_AT_ONCE = 4
WRITTEN_TOGETHER = 100  # jobs in a transaction
READ_AT_ONCE = 250  # jobs; turning more rows into objects in one go would hold up everything else
LISTING_SECONDS = 10.0
LISTING_SHARE = 20  # a listing that took so long is followed by no other for so many times as long
SHORTEST_LANE_LEASE_SECONDS = 6.0

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class Observer:
    """Holds a lane and observes what is in it. `tasks` are the calls under way."""

    def __init__(self, runtime: Runtime, kind: TrainerKind) -> None:
        self.tasks: set[asyncio.Task[None]] = set()
        self.woken = asyncio.Event()
        self.schedule = Schedule()
        self._runtime = runtime
        self._kind = kind
        self._trainer = runtime.trainers[kind]
        self._lease: LaneLease | None = None
        self._take_at = self._renew_at = self._lapses_at = self._list_at = self._list_not_before = 0.0
        self._writing = asyncio.Semaphore(WRITES_AT_ONCE)
        self._loop = asyncio.get_running_loop()
        self._unsubscribe: Callable[[], None] | None = None
        if isinstance(self._trainer, Announcing):
            self._unsubscribe = self._trainer.subscribe(self._hear)

    @property
    def name(self) -> str:
        """What it is called in logs."""
        return f"observer {self._kind}"

    @property
    def lease_seconds(self) -> float:
        """How long the lane is held: short where runs are observed often, so that another soon goes on."""
        interval = self._trainer.capabilities.observe_interval
        return min(self._runtime.limits.lease, max(SHORTEST_LANE_LEASE_SECONDS, 2 * interval))

    async def begin(self) -> int:
        """Begin to observe what is due, if the lane is ours; the number of jobs."""
        if not await self.hold():
            return 0
        await self.refresh()
        return self.start()

    async def hold(self) -> bool:
        """Take the lane or keep it; False while it is another's."""
        now = self._loop.time()
        if self._lease is not None and now >= self._lapses_at:
            self._lose("it was not renewed in time")
        if self._lease is None:
            return now >= self._take_at and await self._take(now)
        if now >= self._renew_at:
            async with self._runtime.engine.begin() as connection:
                kept = await lanes.renew(connection, self._lease, self.lease_seconds)
            if not kept:
                self._lose("another replica has taken it")
                return False
            self._held_from(now)
        return True

    async def refresh(self) -> None:
        """Learn which jobs are to be observed, when it is time for that."""
        begun = self._loop.time()
        if begun < self._list_at:
            return
        names = {self._kind.value, await self._runtime.lane(self._kind)}
        async with self._runtime.engine.connect() as connection:
            job_ids = await claims.observed_ids(connection, names)
        now = self._loop.time()
        self.schedule.follow(job_ids, now)
        self._list_at = now + LISTING_SECONDS
        self._list_not_before = now + LISTING_SHARE * (now - begun)

    def start(self) -> int:
        """Observe jobs that are due, as far as there are places; the number of jobs."""
        lease, now, started = self._lease, self._loop.time(), 0
        while lease is not None and len(self.tasks) < CALLS_AT_ONCE:
            job_ids = self.schedule.take(now, self._trainer.capabilities.observe_batch)
            if not job_ids:
                break
            task = asyncio.create_task(self._observe(job_ids, lease), name="observe")
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
            started += len(job_ids)
        return started

    async def idle_seconds(self) -> float:
        """Until there may be more to do, if nobody tells earlier."""
        now = self._loop.time()
        if self._lease is None:
            return max(self._take_at - now, 0.0)
        moments = [self._renew_at, self._list_at]
        next_due = self.schedule.next_due()
        if next_due is not None and len(self.tasks) < CALLS_AT_ONCE:
            moments.append(next_due)
        return max(min(moments) - now, 0.0)

    def notice(self) -> None:
        """There may be new jobs."""
        self._list_at = min(self._list_at, max(self._list_not_before, self._loop.time()))
        self._take_at = 0.0

    async def close(self) -> None:
        """Leave the lane to others, at once where the database can be told."""
        if self._unsubscribe is not None:
            self._unsubscribe()
        if self._lease is not None:
            try:
                async with asyncio.timeout(AGAIN_SECONDS), self._runtime.engine.begin() as connection:
                    await lanes.release(connection, self._lease)
            except Exception as error:  # noqa: BLE001  (its lease runs out)
                log.warning("a lane could not be released", lane=self._lease.name, error=brief(error))

    async def _take(self, now: float) -> bool:
        name = await self._runtime.lane(self._kind)
        async with self._runtime.engine.begin() as connection:
            taken = await lanes.take(connection, name, self.lease_seconds)
        if not isinstance(taken, LaneLease):
            self._take_at = now + min(taken, self.lease_seconds / 3)
            return False
        log.debug("a lane was taken", lane=name)
        self._lease, self._list_at = taken, 0.0
        self._held_from(now)
        return True

    def _held_from(self, asked_at: float) -> None:
        self._renew_at, self._lapses_at = asked_at + self.lease_seconds / 3, asked_at + self.lease_seconds

    def _lose(self, reason: str) -> None:
        log.warning("a lane was lost", lane=self._lease and self._lease.name, reason=reason)
        for task in self.tasks:
            task.cancel()
        self._lease, self._take_at, self.schedule = None, 0.0, Schedule()

    def _hear(self, job_id: str) -> None:
        """From any thread."""
        self._loop.call_soon_threadsafe(self._hasten, job_id)

    def _hasten(self, job_id: str) -> None:
        self.schedule.hasten([job_id], self._loop.time())
        self.woken.set()

    async def _observe(self, job_ids: Sequence[str], lease: LaneLease) -> None:
        try:
            found = await self._read(job_ids, lease)
            if found:
                await self._judge(found, lease)
        except Exception as error:  # noqa: BLE001  (the database may be back the next time)
            log.warning("jobs could not be observed", lane=lease.name, jobs=len(job_ids), error=brief(error))
        now = self._loop.time()
        for job_id in job_ids:  # those that got no time of their own
            if (turn := self.schedule.turns.get(job_id)) is not None and turn.under_way:
                self.schedule.put_back(job_id, now + AGAIN_SECONDS, now)

    async def _read(self, job_ids: Sequence[str], lease: LaneLease) -> list[Claim]:
        found: list[Claim] = []
        async with self._runtime.engine.connect() as connection:
            for first in range(0, len(job_ids), READ_AT_ONCE):
                portion = job_ids[first : first + READ_AT_ONCE]
                found += await claims.read_observed(connection, portion, lease)
        for job_id in set(job_ids) - {claim.job_id for claim in found}:
            self.schedule.drop(job_id)
        return found

    async def _judge(self, found: Sequence[Claim], lease: LaneLease) -> None:
        try:
            observations = await observation.observe(self._runtime, self._trainer, found)
        except Unavailable as error:
            await self._back_off(found, error)
            return
        findings = await self._runtime.threads.call(
            observation.find_all, found, observations
        )  # there may be 10,000 points
        changed = [claim for claim in found if not self._is_as_before(claim, observations, findings)]
        many = [claim for claim in changed if claim.job_id in findings and together.fits(findings[claim.job_id])]
        many.sort(key=lambda claim: not findings[claim.job_id].trained)  # what leads to an end comes first
        chosen = {claim.job_id for claim in many}
        alone = [claim for claim in changed if claim.job_id not in chosen]
        portions = [many[first : first + WRITTEN_TOGETHER] for first in range(0, len(many), WRITTEN_TOGETHER)]
        await asyncio.gather(
            *(self._settle(claim, observations.get(claim.job_id), findings.get(claim.job_id)) for claim in alone),
            *(self._settle_together(lease, portion, observations, findings) for portion in portions),
        )

    def _is_as_before(
        self, claim: Claim, observations: Mapping[str, Observation], findings: Mapping[str, Findings]
    ) -> bool:
        """Whether there is nothing to write of a run, which is then observed again in its time."""
        found = findings.get(claim.job_id)
        if found is None or not found.quiet or claim.unreachable:
            return False
        self._put_back(claim, observations[claim.job_id], begins=False, quiet=True)
        return True

    async def _settle_together(
        self,
        lease: LaneLease,
        portion: Sequence[Claim],
        observations: Mapping[str, Observation],
        findings: Mapping[str, Findings],
    ) -> None:
        """Write a portion in one transaction; one job at a time when the database does not take it."""
        seen = [(claim, observations[claim.job_id], findings[claim.job_id]) for claim in portion]
        try:
            outcomes = [(one[0], await observation.outcome(self._runtime, *one)) for one in seen]
            async with self._writing:
                written = await together.write(self._runtime, lease, outcomes)
        except Exception as error:  # noqa: BLE001  (each is tried alone then, and says what is wrong)
            if database_is_away(error):
                log.warning("the database went away under jobs", jobs=len(portion), error=brief(error))
                self._delay(portion)
                return
            log.warning("jobs could not be written together", jobs=len(portion), error=brief(error))
            await asyncio.gather(*(self._settle(*one) for one in seen))
            return
        for claim, observed, found in seen:
            if claim.job_id in written:
                self._put_back(claim, observed, begins=found.begins)

    async def _settle(self, claim: Claim, observed: Observation | None, findings: Findings | None) -> None:
        if observed is None:
            await self._miss(claim)
            return
        if findings is None:
            await self._back_off([claim], Unavailable(f"{trainer_name(self._kind)} could not be understood"))
            return
        async with self._writing:
            written = await settle(self._runtime, claim, observation.outcome(self._runtime, claim, observed, findings))
        if written:
            self._put_back(claim, observed, begins=findings.begins)
        else:
            self._delay([claim])

    async def _miss(self, claim: Claim) -> None:
        """The trainer does not show a run."""
        turn = self._turn(claim)
        turn.blind += 1
        if turn.blind >= BLIND_TIMES:
            error = Unavailable(f"{trainer_name(self._kind)} can't see the run from this server")
            await self._back_off([claim], error)
        else:
            self._delay([claim])

    async def _back_off(self, found: Sequence[Claim], error: Unavailable) -> None:
        """Observe jobs again later; that they can't be reached is written when the outage begins."""
        self._delay(found, error.retry_after)
        await asyncio.gather(*(self._tell_of(claim, error) for claim in found if not claim.unreachable))

    async def _tell_of(self, claim: Claim, error: Unavailable) -> None:
        async with self._writing:
            await settle(self._runtime, claim, _ready(postponed(self._runtime.limits, claim, error)))

    def _delay(self, found: Sequence[Claim], asked: float | None = None) -> None:
        """One delay for all, so that what failed together is observed together."""
        turns = [self._turn(claim) for claim in found]
        for turn in turns:
            turn.failures += 1
        now = self._loop.time()
        after = self._runtime.limits.retry_after(max(turn.failures for turn in turns), asked)
        for claim in found:
            self.schedule.put_back(claim.job_id, now + after, now)

    def _put_back(self, claim: Claim, observed: Observation, *, begins: bool, quiet: bool = False) -> None:
        turn, now = self._turn(claim), self._loop.time()
        turn.failures = turn.blind = 0
        turn.quiet = turn.quiet + 1 if quiet else 0
        capabilities = self._trainer.capabilities
        interval = interval_seconds(claim, capabilities, waits=observed.waits, begins=begins)
        interval = longer_while_quiet(interval, turn.quiet, capabilities)
        self.schedule.put_back(claim.job_id, next_tick(now, interval), now)

    def _turn(self, claim: Claim) -> Turn:
        return self.schedule.turns.get(claim.job_id) or Turn(0.0)


async def _ready(outcome: Outcome) -> Outcome:
    return outcome
