"""The oracle over HTTP."""

from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from tests.oracle.app import create
from tests.schema.world import World

pytestmark = pytest.mark.database


@pytest.fixture
async def http(world: World) -> AsyncIterator[httpx.AsyncClient]:
    app = create(world.url)
    async with app.router.lifespan_context(app) as state:

        async def started(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, "state": dict(state or {})}, receive, send)

        async with httpx.AsyncClient(transport=httpx.ASGITransport(started), base_url="http://oracle") as client:
            yield client


async def test_queries_are_answered(http: httpx.AsyncClient) -> None:
    text = "query A { __typename } query B($n: Int) { sheets(first: $n) { totalCount nodes { name } } }"
    response = await http.post("/graphql", json={"query": text, "operationName": "B", "variables": {"n": 1}})
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert response.json() == {"data": {"sheets": {"totalCount": 2, "nodes": [{"name": "nothing 'here' „“"}]}}}


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"query": '])
async def test_what_is_no_request_is_refused(http: httpx.AsyncClient, content: bytes) -> None:
    response = await http.post("/graphql", content=content)
    assert response.status_code == 400
    assert response.json() == {"errors": [{"message": "the request must be a JSON object with a query"}]}
