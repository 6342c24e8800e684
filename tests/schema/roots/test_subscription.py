"""Following jobs over a socket, with the client that comes with the program as well as with raw messages."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from server.commands.demo.client import Client, RequestFailed
from server.domain.status import JobStatus
from tests.schema.clients import Socket
from tests.schema.served import Served, serving

pytestmark = pytest.mark.database

EVENTS = "subscription($id:ID!,$after:String){trainingJobEvents(jobId:$id,after:$after){sequence message cursor}}"
UPDATED = "subscription($id:ID!){trainingJobUpdated(id:$id){status progressPercent}}"
ALL = "subscription($filter:TrainingJobFilter){trainingJobsUpdated(filter:$filter){id status stillMatches}}"


@pytest.fixture
async def served(database_url: str) -> AsyncIterator[Served]:
    async with serving(database_url) as served:
        yield served


async def test_a_job_is_told_now_and_on_each_change_and_completes_with_it(served: Served) -> None:
    job_id = await served.job(progress_percent=0)
    async with served.socket() as socket:
        await socket.subscribe("s", UPDATED, id=job_id)
        assert await socket.next("s") == {"trainingJobUpdated": {"status": "RUNNING", "progressPercent": 0}}
        await served.tell(job_id)
        assert await socket.next("s") == {"trainingJobUpdated": {"status": "RUNNING", "progressPercent": 0}}
        await served.move(job_id, JobStatus.SUCCEEDED)
        assert await socket.next("s") == {"trainingJobUpdated": {"status": "SUCCEEDED", "progressPercent": 100}}
        assert await socket.receive() == {"id": "s", "type": "complete"}
        await served.watched(0)
        await socket.subscribe("s", UPDATED, id=job_id)
        assert await socket.next("s") == {"trainingJobUpdated": {"status": "SUCCEEDED", "progressPercent": 100}}
        assert await socket.receive() == {"id": "s", "type": "complete"}


async def test_a_history_is_resumed_without_a_gap_however_often_the_socket_is_lost(served: Served) -> None:
    job_id = await served.job()
    writing = asyncio.create_task(_write(served, job_id, 30))
    heard: list[int] = []
    cursor = None
    while len(heard) < 31:
        async with served.socket() as socket:
            await socket.subscribe("s", EVENTS, id=job_id, after=cursor)
            for _ in range(4):
                if len(heard) < 31:
                    event = (await socket.next("s"))["trainingJobEvents"]
                    heard.append(event["sequence"])
                    cursor = event["cursor"]
            socket.connection.transport.abort()
    await writing
    assert heard == list(range(1, 32))
    async with served.socket() as socket:
        await socket.subscribe("s", EVENTS, id=job_id, after=cursor)
        assert await socket.receive() == {"id": "s", "type": "complete"}


async def _write(served: Served, job_id: str, count: int) -> None:
    for number in range(count):
        await served.tell(job_id, f"step {number}")
    await served.move(job_id, JobStatus.SUCCEEDED)


async def test_a_filter_tells_matching_jobs_and_those_that_leave_it(served: Served) -> None:
    probe, changed, ended, other = [await served.job(number) for number in (1, 3, 5, 2)]
    async with served.socket() as socket:
        await socket.subscribe("s", ALL, filter={"modelName": "model 1", "status": ["RUNNING"]})
        await _until_it_tells(served, socket, probe)
        await served.tell(other)
        await served.move(ended, JobStatus.FAILED)
        await served.tell(changed)
        while (received := (await socket.next("s"))["trainingJobsUpdated"])["id"] == probe:
            assert received == {"id": probe, "status": "RUNNING", "stillMatches": True}
        assert received == {"id": ended, "status": "FAILED", "stillMatches": False}
        assert await socket.next("s") == {
            "trainingJobsUpdated": {"id": changed, "status": "RUNNING", "stillMatches": True}
        }


async def _until_it_tells(served: Served, socket: Socket, job_id: str) -> None:
    """Change a job until a stream of what changes, which has to look first what there is, has told it."""
    first = asyncio.create_task(socket.next("s"))
    while not first.done():
        await served.tell(job_id)
        await asyncio.wait({first}, timeout=0.05)
    assert (await first)["trainingJobsUpdated"]["id"] == job_id


async def test_a_history_is_read_with_one_statement(served: Served) -> None:
    query = "subscription($id:ID!){trainingJobEvents(jobId:$id){sequence jobId eventType}}"
    job_id = await served.job()
    await _write(served, job_id, 4)
    async with served.socket() as socket:
        await socket.subscribe("s", query, id=job_id)
        for number in range(1, 6):
            assert (await socket.next("s"))["trainingJobEvents"]["sequence"] == number
        assert await socket.receive() == {"id": "s", "type": "complete"}
    assert len(served.reads("training_job_events")) == 1


async def test_many_streams_on_one_socket_do_not_mix(served: Served) -> None:
    jobs = [await served.job(number) for number in range(10)]
    async with served.socket() as socket:
        for job_id in jobs:
            await socket.subscribe(job_id, EVENTS, id=job_id)
        await asyncio.gather(*(_write(served, job_id, 5) for job_id in jobs))
        heard: dict[str, list[int]] = {job_id: [] for job_id in jobs}
        completed: set[str] = set()
        while len(completed) < len(jobs):
            message = await socket.receive()
            if message["type"] == "complete":
                completed.add(message["id"])
            else:
                heard[message["id"]].append(message["payload"]["data"]["trainingJobEvents"]["sequence"])
    assert heard == {job_id: [1, 2, 3, 4, 5, 6] for job_id in jobs}


async def test_the_programs_own_client_follows_a_job_to_its_end(served: Served) -> None:
    job_id = await served.job()
    await _write(served, job_id, 3)
    async with Client.open(served.authority) as client:
        heard = [data["trainingJobEvents"]["sequence"] async for data in client.follow(EVENTS, id=job_id)]
        assert heard == [1, 2, 3, 4]
        with pytest.raises(RequestFailed, match="no job has the id 'job_1'"):
            _ = [data async for data in client.follow(EVENTS, id="job_1")]
