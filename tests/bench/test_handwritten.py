import json
from collections.abc import AsyncIterator, Iterator

import pytest
from anyio.from_thread import start_blocking_portal
from httpx import ASGITransport, AsyncClient

from schema.api import build
from tests.bench import handwritten
from tests.bench.queries import LIST, NOTHING, QUESTIONS, Question
from tests.bench.reads import canonical
from tests.database import DatabaseServer
from tests.schema.conftest import Api, opened
from tests.schema.world import RICH, World, fill

pytestmark = pytest.mark.database


@pytest.fixture(scope="module")
def world(database_server: DatabaseServer, database_template: str) -> Iterator[World]:
    with database_server.temporary(database_template) as url, start_blocking_portal() as portal:
        yield portal.call(fill, url)


@pytest.fixture
async def api(world: World) -> AsyncIterator[Api]:
    async with opened(build(), world.url) as api:
        yield api


@pytest.fixture
async def client(world: World) -> AsyncIterator[AsyncClient]:
    async with (
        handwritten.sessions(world.url) as pool,
        AsyncClient(transport=ASGITransport(handwritten.application(pool)), base_url="http://test") as client,
    ):
        yield client


async def answered(client: AsyncClient, question: Question, jobs: list[str]) -> list[str]:
    requests = question.handwritten(jobs)
    return [canonical((await client.post(request.path, content=request.body)).content) for request in requests]


async def of_the_api(api: Api, question: Question, job: str) -> str:
    variables = {"id": job} if question.of_a_job else {}
    return canonical(json.dumps(await api.execute(question.text("graphql"), **variables)).encode())


@pytest.mark.parametrize(
    "question", [question for question in QUESTIONS if question.of_a_job], ids=lambda one: one.name
)
async def test_every_job_reads_as_the_api_reads_it(
    api: Api, world: World, client: AsyncClient, question: Question
) -> None:
    jobs = [str(row["id"]) for row in world.jobs]

    assert await answered(client, question, jobs) == [await of_the_api(api, question, job) for job in jobs]


@pytest.mark.parametrize("question", [LIST, NOTHING], ids=lambda one: one.name)
async def test_what_is_about_no_job_reads_as_the_api_reads_it(
    api: Api, client: AsyncClient, question: Question
) -> None:
    assert await answered(client, question, []) == [await of_the_api(api, question, "")]


async def test_the_list_has_all_that_hangs_below_its_jobs(api: Api, world: World) -> None:
    data = await api.ask(LIST.text("graphql"))

    nodes = {node["id"]: node for node in data["trainingJobs"]["nodes"]}
    rich = nodes[world.jobs[RICH]["id"]]
    assert len(nodes) == 20
    assert (rich["lineage"]["modelVersion"], rich["metrics"]["epochsCompleted"]) == ("4", 3)
    assert len(rich["events"]["nodes"]) == 10


async def test_a_job_that_is_not_there_is_null(client: AsyncClient) -> None:
    response = await client.post("/read/status", json={"id": "job_0"})

    assert response.json() == {"data": {"trainingJob": None}}
