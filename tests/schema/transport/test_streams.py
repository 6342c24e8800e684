"""Subscriptions as server-sent events: what is now, each change, the end by itself, and nothing left behind."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import asyncpg
import httpx
import pytest
from graphql import OperationType
from starlette.requests import ClientDisconnect
from starlette.types import Message
from structlog.testing import capture_logs

from schema.execution.operations import Execution
from schema.execution.preparation import Prepared
from schema.execution.subscribers import Payload, Subscriber
from schema.reads.context import Context
from schema.transport.event_stream import EventStream
from schema.transport.heartbeat import Heartbeat
from schema.transport.timing import Timing
from server.domain.status import JobStatus
from tests.schema.clients import Events, eventually
from tests.schema.served import Served, serving

pytestmark = pytest.mark.database

UPDATED = "subscription($id:ID!){trainingJobUpdated(id:$id){status isTerminal}}"
EVENTS = "subscription($id:ID!,$after:String){trainingJobEvents(jobId:$id,after:$after){sequence message cursor}}"
ALL = "subscription($filter:TrainingJobFilter){trainingJobsUpdated(filter:$filter){id status stillMatches}}"
SSE = {"Accept": "text/event-stream"}


@pytest.fixture
async def served(database_url: str) -> AsyncIterator[Served]:
    async with serving(database_url, Timing(comment_every=30)) as served:
        yield served


def update(status: JobStatus) -> tuple[str, Any]:
    terminal = status in {JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED}
    return "next", {"data": {"trainingJobUpdated": {"status": status.value, "isTerminal": terminal}}}


async def test_a_job_is_told_now_and_on_each_change_and_ends_with_it(served: Served) -> None:
    job_id = await served.job()
    async with served.events(UPDATED, id=job_id) as events:
        assert events.response.status_code == 200
        assert events.response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert events.response.headers["cache-control"] == "no-cache"
        assert events.response.headers["x-accel-buffering"] == "no"
        assert "content-length" not in events.response.headers
        assert await events.receive() == update(JobStatus.RUNNING)
        await served.tell(job_id)
        assert await events.receive() == update(JobStatus.RUNNING)
        await served.move(job_id, JobStatus.SUCCEEDED)
        assert await events.receive() == update(JobStatus.SUCCEEDED)
        assert await events.receive() == ("complete", None)
        assert await events.ended()
    await served.watched(0)


async def test_a_job_that_has_ended_is_told_once(served: Served) -> None:
    job_id = await served.job(status=JobStatus.FAILED)
    response = await served.post(UPDATED, accept="text/event-stream", variables={"id": job_id})
    data = json.dumps(update(JobStatus.FAILED)[1], separators=(",", ":"))
    assert response.text == f"event: next\ndata: {data}\n\nevent: complete\ndata:\n\n"


async def test_a_subscription_may_be_asked_by_get(served: Served) -> None:
    job_id = await served.job(status=JobStatus.CANCELLED)
    parameters = {"query": UPDATED, "variables": json.dumps({"id": job_id})}
    response = await served.http.get("/graphql", params=parameters, headers=SSE)
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.text.count("event: next\n") == 1
    assert response.text.endswith("event: complete\ndata:\n\n")


async def test_a_query_comes_as_a_stream_only_where_nothing_else_is_wanted(served: Served) -> None:
    answer = {"data": {"trainingJobs": {"totalCount": 0}}}
    one = await served.post("{trainingJobs{totalCount}}", accept="text/event-stream, application/json")
    streamed = await served.post("{trainingJobs{totalCount}}", accept="text/event-stream")
    assert (one.headers["content-type"], one.json()) == ("application/json; charset=utf-8", answer)
    data = one.text
    assert streamed.text == f"event: next\ndata: {data}\n\nevent: complete\ndata:\n\n"


@pytest.mark.parametrize("accept", ["text/event-stream", "text/event-stream, application/graphql-response+json"])
async def test_what_is_not_executed_is_no_stream(served: Served, accept: str) -> None:
    for query in ("{", "subscription{trainingJobsUpdated{nothing}}", "subscription{trainingJobUpdated{id}}"):
        response = await served.post(query, accept=accept)
        assert response.status_code == 400
        assert response.headers["content-type"] == "application/graphql-response+json; charset=utf-8"
        assert response.json().keys() == {"errors"}


@pytest.mark.parametrize(
    ("query", "variables", "code", "message"),
    [
        (EVENTS, {"id": "job_1"}, "NOT_FOUND", "no job has the id 'job_1'"),
        (EVENTS, {"id": "job_\x00"}, "NOT_FOUND", "no job has the id 'job_\\x00'"),
        (UPDATED, {"id": "job_1"}, "NOT_FOUND", "no job has the id 'job_1'"),
        (
            EVENTS,
            {"id": "job_1", "after": "x"},
            "INVALID_ARGUMENT",
            "after is not a cursor of this list; use one that a page of it gave you",
        ),
        (
            UPDATED.replace("$id:ID!", '$id:ID="job_1"'),
            {"id": None},
            "INVALID_ARGUMENT",
            "Argument 'id' has invalid value: Expected variable '$id' provided to non-null type 'ID!' not to be None.",
        ),
    ],
)
async def test_what_can_not_be_followed_is_one_error_and_the_end(
    served: Served, query: str, variables: dict[str, Any], code: str | None, message: str
) -> None:
    async with served.events(query, **variables) as events:
        event, answer = await events.receive()
        assert event == "next"
        assert answer.keys() == {"errors"}
        [error] = answer["errors"]
        assert (error.get("extensions", {}).get("code"), error["message"]) == (code, message)
        assert await events.receive() == ("complete", None)
        assert await events.ended()
    await served.watched(0)


async def test_a_subscription_whose_variables_are_wrong_is_refused_before_there_is_a_stream(served: Served) -> None:
    async with served.events(UPDATED) as events:
        assert events.response.status_code == 400
        assert events.response.headers["Content-Type"] == "application/graphql-response+json; charset=utf-8"
        [error] = json.loads(await events.response.aread())["errors"]
    assert (
        error["message"] == "Variable '$id' has invalid value: Expected a value of non-null type 'ID!' to be provided."
    )


async def test_a_history_is_resumed_without_a_gap_and_ends_with_the_job(served: Served) -> None:
    job_id = await served.job()
    for number in (1, 2, 3):
        await served.tell(job_id, f"step {number}")
    heard: list[tuple[int, str]] = []
    cursor = None
    for _ in range(2):  # each time the client is cut off after two events
        async with served.events(EVENTS, id=job_id, after=cursor) as events:
            for _ in range(2):
                if len(heard) == 3:
                    await served.tell(job_id, "step 4")
                _, answer = await events.receive()
                event = answer["data"]["trainingJobEvents"]
                heard.append((event["sequence"], event["message"]))
                cursor = event["cursor"]
    await served.move(job_id, JobStatus.SUCCEEDED)
    async with served.events(EVENTS, id=job_id, after=cursor) as events:
        _, answer = await events.receive()
        event = answer["data"]["trainingJobEvents"]
        heard.append((event["sequence"], event["message"]))
        assert await events.receive() == ("complete", None)
    assert heard == [(1, "step 1"), (2, "step 2"), (3, "step 3"), (4, "step 4"), (5, "now SUCCEEDED")]


async def test_a_filter_tells_matching_jobs_and_those_that_leave_it(served: Served) -> None:
    probe, changed, ended, other = [await served.job(number) for number in (1, 3, 5, 2)]
    async with served.events(ALL, filter={"modelName": "model 1", "status": ["RUNNING"]}) as events:
        first = asyncio.create_task(events.receive())
        while not first.done():  # it tells what changes once it has looked what there is
            await served.tell(probe)
            await asyncio.wait({first}, timeout=0.05)
        received = await first
        await served.tell(other)
        await served.move(ended, JobStatus.FAILED)
        await served.tell(changed)
        while received == listed(probe, "RUNNING", matches=True):
            received = await events.receive()
        assert received == listed(ended, "FAILED", matches=False)
        assert await events.receive() == listed(changed, "RUNNING", matches=True)
    await served.watched(0)


def listed(job_id: str, status: str, *, matches: bool) -> tuple[str, Any]:
    return "next", {"data": {"trainingJobsUpdated": {"id": job_id, "status": status, "stillMatches": matches}}}


async def said(events: Events) -> tuple[str, Any]:
    """The next event that is no comment."""
    while (received := await events.receive()) == ("", None):
        pass
    return received


async def test_a_silent_stream_has_comments(database_url: str) -> None:
    async with serving(database_url, Timing(comment_every=0.01)) as served:
        job_id = await served.job()
        async with served.events(UPDATED, id=job_id) as events:
            assert await said(events) == update(JobStatus.RUNNING)
            assert await events.receive() == ("", None)
            assert await events.receive() == ("", None)
            await served.move(job_id, JobStatus.FAILED)
            assert await said(events) == update(JobStatus.FAILED)
            assert await events.receive() == ("complete", None)
            assert await events.ended()


async def test_a_client_that_goes_ends_its_subscription(served: Served) -> None:
    job_id = await served.job()
    with capture_logs() as logged:
        async with served.events(UPDATED, id=job_id) as events, served.events(ALL) as others:
            assert await events.receive() == update(JobStatus.RUNNING)
            await served.watched(2)
            await others.response.aclose()
            await served.watched(1)
        await served.watched(0)
    assert logged == []


async def test_a_client_that_goes_while_its_payload_is_read_ends_that_too(served: Served) -> None:
    job_id = await served.job()
    query = "subscription($id:ID!){trainingJobUpdated(id:$id){trainingSheet{name}}}"
    async with served.events(query, id=job_id) as events:
        assert (await events.receive())[0] == "next"
        async with served.locked("training_sheets") as lock:
            await served.tell(job_id)
            await lock.waiting(1)
            await events.response.aclose()
            await lock.waiting(0)
            await served.watched(0)


async def test_a_client_that_reads_nothing_and_goes_ends_its_subscription() -> None:
    """Nobody waits for the next answer while the last one can't be sent."""
    sending = asyncio.Event()
    subscribers: list[Subscriber] = []

    async def subscribe(_prepared: object, _context: object, wake: Callable[[], None]) -> Subscriber:
        subscribers.append(Subscriber(wake))
        subscribers[0].push(Payload(b'{"data":{}}'))
        return subscribers[0]

    async def receive() -> Message:
        await sending.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            sending.set()
            await asyncio.Event().wait()

    with pytest.raises(ClientDisconnect):
        await _streaming(subscribe)({"type": "http"}, receive, send)
    assert subscribers[0].closed


def _streaming(subscribe: Callable[..., Awaitable[Subscriber]]) -> EventStream:
    """A response to a subscription."""
    execution = cast("Execution", SimpleNamespace(subscribe=subscribe))
    prepared = cast("Prepared", SimpleNamespace(operation=SimpleNamespace(type=OperationType.SUBSCRIPTION)))
    return EventStream(execution, prepared, cast("Context", None), Heartbeat(15))


async def test_a_failure_inside_ends_the_stream_with_a_masked_error(served: Served) -> None:
    job_id = await served.job()
    connection = await asyncpg.connect(served.url)
    async with served.events(EVENTS, id=job_id) as events:
        await served.watched(1)
        with capture_logs() as logged:
            await connection.execute("ALTER TABLE training_job_events RENAME TO secret")
            await served.told(job_id)
            error = {"message": "Unexpected error. It was logged.", "extensions": {"code": "INTERNAL_ERROR"}}
            assert await events.receive() == ("next", {"errors": [error]})
            assert await events.receive() == ("complete", None)
            assert await events.ended()
    await connection.close()
    assert [line["event"] for line in logged] == ["a field failed"]
    assert "training_job_events" in str(logged[0]["exc_info"])
    await served.watched(0)


async def test_each_payload_is_read_with_one_statement(served: Served) -> None:
    query = """subscription($id:ID!){trainingJobUpdated(id:$id){
        status trainingSheet{name sheet{name} template{version}} events(last:1){nodes{message}} metrics{trainLoss}
    }}"""
    job_id = await served.job()
    async with served.events(query, id=job_id) as events:
        for number in range(1, 4):
            _, answer = await events.receive()
            assert answer["data"]["trainingJobUpdated"]["trainingSheet"]["sheet"] == {"name": "sheet 0"}
            assert len(served.statements) == number
            assert len(set(served.statements)) == 1
            await served.tell(job_id)


async def test_many_streams_at_once_all_end_with_their_job(served: Served) -> None:
    job_id = await served.job()
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=str(served.http.base_url), limits=limits, trust_env=False) as client:
        body = {"query": UPDATED, "variables": {"id": job_id}}
        streams = [asyncio.create_task(client.post("/graphql", json=body, headers=SSE)) for _ in range(50)]
        await served.watched(50)
        await served.move(job_id, JobStatus.SUCCEEDED)
        responses = await asyncio.gather(*streams)
    assert all(response.text.endswith('"isTerminal":true}}}\n\nevent: complete\ndata:\n\n') for response in responses)
    await eventually(lambda: served.connections_in_use() == 0)
    await served.watched(0)
