"""Subscriptions that ask the same: one feed, one statement for what is due, and each subscriber at its own pace."""

import asyncio
import base64
import json
from typing import Any

import pytest
from sqlalchemy import event, text
from structlog.testing import capture_logs

from schema.execution.channels import MOST_ENTRIES
from schema.execution.feed import REST_SECONDS
from schema.execution.subscribers import MOST_BYTES, MOST_PAYLOADS, Ending, Payload, Subscriber
from schema.reads.streams import EVENTS_AT_ONCE
from server.domain.status import JobStatus
from tests.schema.clients import DEADLINE, eventually
from tests.schema.conftest import Api
from tests.schema.served import job, move, tell

pytestmark = pytest.mark.database

EVENTS = "subscription($id:ID!,$after:String){trainingJobEvents(jobId:$id,after:$after){sequence message cursor}}"
CUT_THE_BUS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'tunegraph bus'
"""
UPDATED = "subscription($id:ID!,$keys:[String!]){trainingJobUpdated(id:$id){status metricHistory(keys:$keys){key}}}"


class Client:
    """A client that takes what its subscriber has when it is told to."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._woken = asyncio.Event()
        self.subscriber: Subscriber | None = None

    async def subscribe(self, query: str, **variables: object) -> "Client":
        prepared = await self._api.execution.prepare({"query": query, "variables": variables})
        self.subscriber = await self._api.execution.subscribe(prepared, self._api.context, self._woken.set)
        return self

    async def item(self) -> Payload | Ending:
        assert self.subscriber is not None
        async with asyncio.timeout(DEADLINE):
            while (item := self.subscriber.take()) is None:
                self._woken.clear()
                await self._woken.wait()
        return item

    async def data(self) -> Any:  # noqa: ANN401  (the payload's field)
        item = await self.item()
        assert isinstance(item, Payload), item
        result = json.loads(item.json)
        assert result.keys() == {"data"}, result
        [field] = result["data"].values()
        return field

    async def sequences(self) -> list[int]:
        """The sequences of all events up to the end."""
        found = []
        while isinstance(item := await self.item(), Payload):
            found.append(json.loads(item.json)["data"]["trainingJobEvents"]["sequence"])
        assert item.errors == ()
        return found

    def close(self) -> None:
        assert self.subscriber is not None
        self.subscriber.close()


async def reads(api: Api, word: str) -> int:
    """How many statements with a word in it were read since the log was cleared."""
    await asyncio.sleep(0)  # asyncpg tells its loggers in the loop's next turn
    return sum(word in statement for statement in api.statements)


async def clients(api: Api, count: int, query: str, **variables: object) -> list[Client]:
    return [await Client(api).subscribe(query, **variables) for _ in range(count)]


async def test_equal_subscriptions_share_each_statement_and_each_payload(live: Api) -> None:
    engine = live.database.engine
    job_id = await job(engine, 0, JobStatus.RUNNING)
    many = await clients(live, 100, EVENTS, id=job_id)
    assert (live.execution.subscriptions.feeds, live.execution.subscriptions.subscribers) == (1, 100)
    for sequence in (1, 2):  # the notification of the first may come when it was read already
        await tell(engine, job_id, "first")
        assert [(await client.data())["sequence"] for client in many] == [sequence] * 100
    await asyncio.sleep(0)  # asyncpg tells its loggers in the loop's next turn
    live.logged.clear()
    for number in range(3, 6):
        await tell(engine, job_id, f"step {number}")
        items = [await client.item() for client in many]
        assert len({id(item) for item in items}) == 1, "one serialisation for all"
    assert await reads(live, "training_job_events") == 3
    await move(engine, job_id, JobStatus.SUCCEEDED)
    assert [await client.sequences() for client in many] == [[6]] * 100
    assert await reads(live, "training_job_events") == 4
    assert (live.execution.subscriptions.feeds, live.execution.subscriptions.subscribers) == (0, 0)


async def test_what_differs_in_a_value_that_is_selected_is_not_shared(live: Api) -> None:
    job_id = await job(live.database.engine, 0, JobStatus.RUNNING)
    for keys in (["a"], ["a"], ["b"], None):
        await Client(live).subscribe(UPDATED, id=job_id, keys=keys)
    assert live.execution.subscriptions.feeds == 3
    await move(live.database.engine, job_id, JobStatus.FAILED)
    await eventually(lambda: live.execution.subscriptions.feeds == 0)


async def test_followers_of_different_jobs_share_statements(live: Api) -> None:
    engine = live.database.engine
    jobs = [await job(engine, number, JobStatus.RUNNING) for number in range(20)]
    followed = [await Client(live).subscribe(UPDATED, id=job_id, keys=[]) for job_id in jobs]
    assert [(await client.data())["status"] for client in followed] == ["RUNNING"] * 20
    assert live.execution.subscriptions.feeds == 1
    live.logged.clear()
    async with engine.begin() as connection:
        for job_id in jobs:
            await connection.execute(text("UPDATE training_jobs SET updated_at = clock_timestamp()"))
            await connection.execute(text("SELECT pg_notify('tunegraph', :id)"), {"id": job_id})
    assert [(await client.data())["status"] for client in followed] == ["RUNNING"] * 20
    assert await reads(live, "unnest") == 1
    for client in followed:
        client.close()


async def test_a_feed_rests_only_before_it_looks_at_other_jobs(live: Api) -> None:
    jobs = [await job(live.database.engine, number, JobStatus.RUNNING) for number in range(2)]
    one = await Client(live).subscribe(UPDATED, id=jobs[0], keys=[])
    other = await Client(live).subscribe(UPDATED, id=jobs[1], keys=[])
    for client in (one, other):
        await client.item()
    [feed] = live.execution.subscriptions._feeds.values()
    await tell(live.database.engine, jobs[0], "1")
    await one.item()
    rests = []
    for job_id in jobs:
        feed.notice(job_id)
        rests.append(feed._rest_seconds())
    assert rests == [0, REST_SECONDS]
    one.close()
    other.close()


async def test_what_a_client_takes_at_once_is_not_queued_and_the_rest_waits_in_order(live: Api) -> None:
    job_id = await job(live.database.engine, 0, JobStatus.RUNNING)
    written: list[int] = []
    reads_on = True

    def write(payload: Payload) -> bool:
        if reads_on:
            written.append(json.loads(payload.json)["data"]["trainingJobEvents"]["sequence"])
        return reads_on

    woken = asyncio.Event()
    prepared = await live.execution.prepare({"query": EVENTS, "variables": {"id": job_id}})
    subscriber = await live.execution.subscribe(prepared, live.context, woken.set, write)
    await tell(live.database.engine, job_id, "1")
    await tell(live.database.engine, job_id, "2")
    await eventually(lambda: written == [1, 2])
    assert not woken.is_set()
    assert not subscriber.waiting
    reads_on = False
    await tell(live.database.engine, job_id, "3")
    await eventually(woken.is_set)
    reads_on = True  # what waits comes first, all the same
    await tell(live.database.engine, job_id, "4")
    await eventually(lambda: subscriber.after == 4)
    assert written == [1, 2]
    taken = [item for item in (subscriber.take(), subscriber.take()) if isinstance(item, Payload)]
    assert [json.loads(item.json)["data"]["trainingJobEvents"]["message"] for item in taken] == ["3", "4"]
    await tell(live.database.engine, job_id, "5")
    await eventually(lambda: written == [1, 2, 5])
    subscriber.close()


async def test_reads_of_subscriptions_never_use_the_connections_for_writes(live: Api) -> None:
    engine = live.database.engine
    job_id = await job(engine, 0, JobStatus.RUNNING)
    taken = []
    event.listen(engine.sync_engine, "checkout", lambda *_: taken.append(1))
    one = await Client(live).subscribe(UPDATED, id=job_id)
    two = await Client(live).subscribe(EVENTS, id=job_id)
    three = await Client(live).subscribe("subscription{trainingJobsUpdated{id}}")
    await one.data()
    await tell(engine, job_id, "step")
    for client in (one, two, three):
        await client.data()
        client.close()
    assert len(taken) == 1, "that of the event"


async def test_subscribers_catch_up_each_from_its_own_cursor_while_events_are_written(live: Api) -> None:
    engine = live.database.engine
    job_id = await job(engine, 0, JobStatus.RUNNING)
    total = 2 * EVENTS_AT_ONCE + 30

    async def write() -> None:
        for number in range(total):
            await tell(engine, job_id, f"step {number}")
        await move(engine, job_id, JobStatus.SUCCEEDED)

    writing = asyncio.create_task(write())
    heard, following = [], []
    for after in range(0, 40, 8):
        heard.append(await Client(live).subscribe(EVENTS, id=job_id, after=_cursor(after)))
        following.append((after, asyncio.create_task(heard[-1].sequences())))
        await eventually(lambda: len(live.statements) > 0)
        await asyncio.sleep(0)
    await writing
    for after, sequences in following:
        assert await sequences == list(range(after + 1, total + 2))


async def test_however_many_places_there_are_no_statement_reads_for_more_than_its_share(live: Api) -> None:
    engine = live.database.engine
    job_id = await job(engine, 0, JobStatus.RUNNING)
    for number in range(3):
        await tell(engine, job_id, f"step {number}")
    ahead = [await Client(live).subscribe(EVENTS, id=job_id, after=_cursor(1_000 + number)) for number in range(250)]
    behind = await Client(live).subscribe(EVENTS, id=job_id, after=_cursor(1))
    assert [(await behind.data())["sequence"] for _ in range(2)] == [2, 3]
    await tell(engine, job_id, "one more")
    assert (await behind.data())["sequence"] == 4
    await asyncio.sleep(0)
    entries = [len(query.args[0]) for query in live.logged if "unnest" in query.query]
    assert max(entries) == MOST_ENTRIES
    for client in (*ahead, behind):
        client.close()


def _cursor(sequence: int) -> str:
    return base64.b64encode(json.dumps(["events", sequence]).encode()).decode()


async def test_one_that_reads_nothing_keeps_little_and_misses_nothing_and_holds_up_nobody(live: Api) -> None:
    engine = live.database.engine
    job_id = await job(engine, 0, JobStatus.RUNNING)
    slow = await Client(live).subscribe(EVENTS, id=job_id)
    quick = await Client(live).subscribe(EVENTS, id=job_id)
    count = 3 * MOST_PAYLOADS
    for number in range(1, count + 1):
        await tell(engine, job_id, f"step {number}")
        assert (await quick.data())["sequence"] == number
    assert slow.subscriber is not None
    assert len(slow.subscriber._pending) == MOST_PAYLOADS
    assert slow.subscriber.starved
    await move(engine, job_id, JobStatus.SUCCEEDED)
    assert await quick.sequences() == [count + 1]
    assert await slow.sequences() == list(range(1, count + 2))


async def test_a_queue_is_bounded_in_bytes_too(live: Api) -> None:
    engine = live.database.engine
    job_id = await job(engine, 0, JobStatus.RUNNING)
    slow = await Client(live).subscribe(EVENTS, id=job_id)
    size = MOST_BYTES // 8
    for _ in range(20):
        await tell(engine, job_id, "x" * size)
    await move(engine, job_id, JobStatus.SUCCEEDED)
    assert slow.subscriber is not None
    subscriber = slow.subscriber
    await eventually(lambda: subscriber.starved)
    assert MOST_BYTES <= subscriber._size < MOST_BYTES + 2 * size
    assert await slow.sequences() == list(range(1, 22))


async def test_of_the_states_of_a_job_a_slow_client_gets_the_latest(live: Api) -> None:
    engine = live.database.engine
    job_id = await job(engine, 0, JobStatus.QUEUED)
    slow, quick = await clients(live, 2, UPDATED, id=job_id)
    assert (await slow.data())["status"] == (await quick.data())["status"] == "QUEUED"
    for number in range(5):
        await tell(engine, job_id, f"step {number}")
        assert (await quick.data())["status"] == "QUEUED"
    await move(engine, job_id, JobStatus.RUNNING)
    assert (await quick.data())["status"] == "RUNNING"
    await move(engine, job_id, JobStatus.SUCCEEDED)
    assert (await quick.data())["status"] == "SUCCEEDED"
    assert (await slow.data())["status"] == "SUCCEEDED"
    assert [await quick.item(), await slow.item()] == [Ending(), Ending()]


async def test_the_loss_of_the_bus_loses_nothing(live: Api, database_url: str) -> None:
    engine = live.database.engine
    job_id = await job(engine, 0, JobStatus.RUNNING)
    events = await Client(live).subscribe(EVENTS, id=job_id)
    state = await Client(live).subscribe(UPDATED, id=job_id)
    listed = await Client(live).subscribe("subscription{trainingJobsUpdated{id status}}")
    await state.data()
    await tell(engine, job_id, "before")
    assert (await listed.data())["status"] == "RUNNING"
    await state.data()
    with capture_logs():
        async with engine.begin() as connection:
            await connection.execute(text(CUT_THE_BUS))
            await tell(engine, job_id, "meanwhile")
        await move(engine, job_id, JobStatus.SUCCEEDED)
        assert await events.sequences() == [1, 2, 3]
        while (await state.data())["status"] != "SUCCEEDED":
            pass
        while (await listed.data())["status"] != "SUCCEEDED":
            pass
    listed.close()


async def test_what_python_has_a_part_in_is_executed_once_for_all(live: Api) -> None:
    engine = live.database.engine
    job_id = await job(engine, 0, JobStatus.RUNNING)
    query = """subscription($id:ID!){trainingJobUpdated(id:$id){
      status trainingSheet{name eligibility{totalPairs}} stillMatches
    }}"""
    many = await clients(live, 10, query, id=job_id)
    expected = {"name": "desk 0", "eligibility": {"totalPairs": 0}}
    items = [await client.item() for client in many]
    assert len({id(item) for item in items}) == 1
    assert isinstance(items[0], Payload)
    assert json.loads(items[0].json) == {
        "data": {"trainingJobUpdated": {"status": "RUNNING", "trainingSheet": expected, "stillMatches": True}}
    }
    await move(engine, job_id, JobStatus.FAILED)
    assert [(await client.data())["status"] for client in many] == ["FAILED"] * 10
    assert [await client.item() for client in many] == [Ending()] * 10
