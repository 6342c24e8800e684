"""Whole jobs on the real program: cancelled, repeated, and trained through the death of their server."""

import asyncio
from contextlib import aclosing

import pytest

from server.commands.demo.client import Client, Data, StreamLost
from tests.e2e import jobs, trainings
from tests.e2e.program import program

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

MANY = 200  # topics, so that an epoch takes its time
FOR_EVER = 1000  # epochs: far more than a test waits for
A_WHILE = 100
TERMINAL = {"SUCCEEDED", "FAILED", "CANCELLED"}


def is_training(state: Data) -> bool:
    return state["status"] == "RUNNING" and (state["currentEpoch"] or 0) >= 1


async def test_a_running_job_is_cancelled_and_its_child_is_gone() -> None:
    async with program() as server:
        await server.start()
        async with server.client() as client:
            job_id = await jobs.create_job(client, await jobs.make_training_sheet(client, MANY), epochs=FOR_EVER)
            await jobs.until(client, job_id, is_training)
            child = trainings.of_job(server.data_dir, job_id)
            assert child is not None
            assert child.is_running()

            answer = await jobs.changed(client, jobs.CANCEL_JOB, id=job_id)
            assert answer["cancelRequestedAt"] is not None
            await jobs.until(client, job_id, lambda state: state["status"] == "CANCELLED", within=30)
            await trainings.gone(child)

            ended = await jobs.job(client, job_id)
            moves = [event["newStatus"] for event in ended["events"]["nodes"] if event["newStatus"]]
            assert moves == ["PENDING", "QUEUED", "RUNNING", "CANCELLED"]
            again = await jobs.changed(client, jobs.CANCEL_JOB, id=job_id)
            assert again["status"] == "CANCELLED"


async def test_eight_equal_creates_at_once_are_one_job() -> None:
    async with program() as server:
        await server.start()
        async with server.client() as client:
            training_sheet_id = await jobs.make_training_sheet(client, topics=4)
            equal = jobs.job_input(training_sheet_id, epochs=1, clientMutationId="the same")
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(jobs.changed(client, jobs.CREATE_JOB, input=equal)) for _ in range(8)]
            ids = {task.result()["id"] for task in tasks}
            assert len(ids) == 1
            assert await client.ask(jobs.COUNT_JOBS) == {"trainingJobs": {"totalCount": 1}}

            other = {**equal, "splitSeed": 1}
            refused = (await client.ask(jobs.CREATE_JOB, input=other))["createTrainingJob"]
            assert (refused["__typename"], refused["code"]) == ("Conflict", "CONFLICT")
            (job_id,) = ids
            await jobs.until(client, job_id, lambda state: state["status"] == "SUCCEEDED")
            ended = await jobs.job(client, job_id)
            assert [event["eventType"] for event in ended["events"]["nodes"]].count("SUBMITTED") == 1
            assert await client.ask(jobs.COUNT_JOBS) == {"trainingJobs": {"totalCount": 1}}


async def watch(client: Client, job_id: str, seen: list[Data], wanted: int | None = None) -> None:
    """Collect events until the stream ends, is lost, or `wanted` have come; it goes on after the last one seen."""
    after = seen[-1]["cursor"] if seen else None
    try:
        async with aclosing(jobs.events(client, job_id, after)) as stream:
            async for event in stream:
                seen.append(event)
                if len(seen) == wanted:
                    return
    except StreamLost:
        pass


async def test_a_job_succeeds_though_its_server_is_killed_and_no_event_is_lost_or_repeated() -> None:
    async with program() as server:
        await server.start()
        seen: list[Data] = []
        async with server.client() as client:
            job_id = await jobs.create_job(client, await jobs.make_training_sheet(client, MANY), epochs=A_WHILE)
            watching = asyncio.create_task(watch(client, job_id, seen))
            await jobs.until(client, job_id, is_training)
            before = trainings.of_job(server.data_dir, job_id)
            await server.kill()
            await watching
        assert before is not None
        assert before.is_running(), "training goes on without its server"
        assert seen[-1]["newStatus"] not in TERMINAL

        await server.start()
        async with server.client() as client, asyncio.timeout(90):
            while not (seen and seen[-1]["newStatus"] in TERMINAL):
                await watch(client, job_id, seen)
            ended = await jobs.job(client, job_id)
        assert ended["status"] == "SUCCEEDED", ended
        assert ended["progressPercent"] == 100
        assert ended["metrics"]["epochsCompleted"] == A_WHILE
        assert [event["sequence"] for event in seen] == list(range(1, len(seen) + 1))
        assert [event["sequence"] for event in ended["events"]["nodes"]] == [event["sequence"] for event in seen]
        moves = [(event["oldStatus"], event["newStatus"]) for event in seen if event["newStatus"]]
        assert moves == [(None, "PENDING"), ("PENDING", "QUEUED"), ("QUEUED", "RUNNING"), ("RUNNING", "SUCCEEDED")]
        await trainings.gone(before)


async def test_a_server_that_is_stopped_leaves_its_training_to_the_next_one() -> None:
    async with program() as server:
        await server.start()
        async with server.client() as client:
            job_id = await jobs.create_job(client, await jobs.make_training_sheet(client, MANY), epochs=FOR_EVER)
            await jobs.until(client, job_id, is_training)
        child = trainings.of_job(server.data_dir, job_id)
        assert child is not None
        async with asyncio.timeout(10):
            assert await server.stop() == 0
        assert child.is_running()

        await server.start()
        async with server.client() as client:
            now = await jobs.job(client, job_id)
            assert now["status"] == "RUNNING"
            later = await jobs.until(
                client, job_id, lambda state: (state["currentEpoch"] or 0) > (now["currentEpoch"] or 0)
            )
            assert later["status"] == "RUNNING"
            assert trainings.of_job(server.data_dir, job_id) == child
            await jobs.changed(client, jobs.CANCEL_JOB, id=job_id)
            await jobs.until(client, job_id, lambda state: state["status"] == "CANCELLED", within=30)
        await trainings.gone(child)
