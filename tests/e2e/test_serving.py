"""The server as a process: how it starts, what it answers, and how it ends."""

import asyncio
import json
import time

import httpx
import pytest

from server.commands.demo.client import Data
from server.postgres import cluster, postmaster
from tests.e2e import jobs
from tests.e2e.program import program, run

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


async def test_it_answers_and_ends_in_order() -> None:
    async with program(log_requests="true") as server:
        await server.start()
        async with httpx.AsyncClient(base_url=f"http://{server.authority}", trust_env=False) as http:
            alive = await http.get("/healthz")
            ready = await http.get("/readyz")
            answer = await http.post(
                "/graphql", json={"query": "{ __typename }"}, headers={"X-Request-Id": "from-a-test"}
            )
            page = await http.get("/graphql", headers={"Accept": "text/html"})
            foreign = await http.post("/graphql", json={"query": "{ __typename }"}, headers={"Host": "page.example"})
        assert (alive.json(), ready.json()) == ({"status": "alive"}, {"status": "ready"})
        assert (answer.json(), answer.headers["x-request-id"]) == ({"data": {"__typename": "Query"}}, "from-a-test")
        assert page.headers["content-type"].startswith("text/html")
        assert "server" not in answer.headers
        assert foreign.status_code == 421

        status = await server.stop()
        assert status == 0
        assert postmaster.running(cluster.cluster_of(server.data_dir)) is None
        lines: list[Data] = [json.loads(line) for line in server.log().splitlines()]
        assert [line["event"] for line in lines if line["logger"] == "server.commands.serve"] == [
            "ready",
            "stopping",
            "stopped",
        ]
        asked = [line for line in lines if line.get("request_id") == "from-a-test" and line["event"] == "request"]
        assert [(line["method"], line["path"], line["status"]) for line in asked] == [("POST", "/graphql", 200)]
        assert {line["level"] for line in lines} <= {"info", "debug"}


async def test_its_settings_bound_what_a_request_may_ask_for() -> None:
    async with program(max_cost="1000", max_answer="65536") as server:
        await server.start()
        async with httpx.AsyncClient(base_url=f"http://{server.authority}", trust_env=False) as http:
            fields = " ".join(f"{letter}: id" for letter in "abcdefghij")
            many = await http.post(
                "/graphql", json={"query": f"{{ trainingJobs(first: 100) {{ nodes {{ {fields} }} }} }}"}
            )
            few = await http.post(
                "/graphql", json={"query": "{ sheets { totalCount } }"}, headers={"X-GraphQL-Cost": "1"}
            )
    [error] = many.json()["errors"]
    assert error["extensions"] == {
        "code": "TOO_COMPLEX",
        "cost": 1_101,
        "limit": 1_000,
        "field": "trainingJobs.nodes.a",
    }
    assert few.json() == {
        "data": {"sheets": {"totalCount": 0}},
        "extensions": {"cost": {"requested": 2, "limit": 1_000}},
    }


async def test_it_ends_within_ten_seconds_whoever_still_listens() -> None:
    async with program() as server:
        await server.start()
        async with server.client() as client:
            training_sheet_id = await jobs.make_training_sheet(client, topics=4)
            job_id = await jobs.create_job(client, training_sheet_id, epochs=1000)
            stream = jobs.events(client, job_id)
            assert (await anext(stream))["sequence"] == 1
            body = {"query": jobs.EVENTS, "variables": {"id": job_id}}
            accept = {"Accept": "text/event-stream"}
            async with client.http.stream("POST", "/graphql", json=body, headers=accept) as events:
                assert events.headers["content-type"].startswith("text/event-stream")
                began = time.monotonic()
                assert await server.stop() == 0
                assert time.monotonic() - began < 10
            await stream.aclose()


async def test_a_busy_port_is_one_clear_line() -> None:
    async with program() as server:
        await server.start()
        port = server.authority.rpartition(":")[2]
        second = await run(server.data_dir, "serve", port=port)
        assert (second.status, second.output) == (2, "")
        assert second.complaints == (
            f"tunegraph: Port {port} is busy: another program listens on 127.0.0.1:{port}."
            " Set TUNEGRAPH_PORT to a free port\n"
        )
        async with server.client() as client:
            assert await client.ask("{ __typename }") == {"__typename": "Query"}


async def test_a_second_start_is_quick() -> None:
    async with program() as server:
        await server.start()
        await server.stop()
        began = time.monotonic()
        await server.start()
        assert time.monotonic() - began < 10
        assert await server.stop() == 0


async def test_a_killed_server_is_followed_by_one_that_works() -> None:
    async with program() as server:
        await server.start()
        async with server.client() as client:
            await jobs.make_training_sheet(client, topics=4)
        await server.kill()
        await server.start()
        async with server.client() as client:
            kept = await client.ask("{ trainingSheets { nodes { name qaPairs { totalCount } } } }")
        assert kept == {"trainingSheets": {"nodes": [{"name": "Office answers", "qaPairs": {"totalCount": 20}}]}}
        assert await server.stop() == 0


async def test_it_can_be_stopped_while_it_starts() -> None:
    async with program() as server:
        starting = asyncio.create_task(server.start())
        async with asyncio.timeout(30):
            while not (server.data_dir / "postgres.lock").exists() and not starting.done():  # noqa: ASYNC110  (a file)
                await asyncio.sleep(0.02)
        status = await server.stop()
        with pytest.raises(AssertionError, match="did not start"):
            await starting
        assert status == 130
        assert postmaster.running(cluster.cluster_of(server.data_dir)) is None
