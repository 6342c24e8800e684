"""The API as tests ask it: without HTTP, over a real database."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
from anyio.from_thread import start_blocking_portal
from asyncpg.connection import LoggedQuery
from graphql import GraphQLSchema, OperationType

from schema.api import build
from schema.execution.documents import Refusal
from schema.execution.operations import Execution, Response, refused
from schema.execution.preparation import Prepared
from schema.execution.subscribers import Payload
from schema.limits import LIMITS, Limits
from schema.offload import Offload
from schema.reads.context import Context
from schema.reads.plans import Plans
from server.assembly import Services
from server.bus import Bus
from server.domain.caller import LOCAL
from server.services.base_models import BaseModels
from server.services.curation import Curation
from server.services.eligibility import Eligibility
from server.services.following import Following
from server.storage.database import Database, connect
from tests.database import DatabaseServer
from tests.schema.world import World, fill

ABOUT_TYPES = ("'jit'", "typeinfo_tree")
READING = 2  # sessions for reads


async def results(execution: Execution, prepared: Prepared, context: Context) -> AsyncGenerator[Response]:
    """The results of any operation: a subscription has many. Closing the iterator ends the subscription."""
    if prepared.operation.type is not OperationType.SUBSCRIPTION:
        yield await execution.execute_masked(prepared, context)
        return
    woken = asyncio.Event()
    subscriber = await execution.subscribe(prepared, context, woken.set)
    try:
        while True:
            item = subscriber.take()
            if item is None:
                await woken.wait()
                woken.clear()
            elif isinstance(item, Payload):
                yield Response(item.json)
            else:
                if item.errors:
                    yield refused(item.errors)
                return
    finally:
        subscriber.close()


def read(answer: Response) -> dict[str, Any]:
    """An answer as its client reads it."""
    found: dict[str, Any] = json.loads(answer.json)
    return found


class Api:
    """The schema over one database, with the statements that its reads execute."""

    def __init__(self, schema: GraphQLSchema, database: Database, url: str, limits: Limits = LIMITS) -> None:
        self.execution = Execution(schema, Offload(), limits)
        self.database = database
        self.plans = Plans(self.execution.offload)
        self.logged: list[LoggedQuery] = []
        self.bus = Bus(url)  # hears nothing by itself: a test tells its watches
        self.following = Following(database.reads, self.bus)
        services = SimpleNamespace(
            database=database,
            curation=Curation(database.engine),
            eligibility=Eligibility(database.engine),
            following=self.following,
            base_models=BaseModels({}),
        )
        self.context = Context(LOCAL, cast("Services", services), self.plans)

    @property
    def statements(self) -> list[str]:
        """What was sent to the sessions for reads, in order, without asyncpg's own questions about types."""
        return [query.query for query in self.logged if not any(word in query.query for word in ABOUT_TYPES)]

    async def execute(self, query: str, **variables: object) -> dict[str, Any]:
        """The answer of an operation, as clients get it."""
        try:
            prepared = await self.execution.prepare({"query": query, "variables": variables})
        except Refusal as refusal:
            return read(refused(refusal.errors))
        answer = await self.execution.execute(prepared, self.context)
        await asyncio.sleep(0)  # asyncpg tells its loggers in the loop's next turn
        return read(answer)

    async def follow(self, query: str, **variables: object) -> list[dict[str, Any]]:
        """All answers of a subscription that ends by itself."""
        try:
            prepared = await self.execution.prepare({"query": query, "variables": variables})
        except Refusal as refusal:
            return [read(refused(refusal.errors))]
        answers = [read(answer) async for answer in results(self.execution, prepared, self.context)]
        await asyncio.sleep(0)  # the same
        return answers

    async def ask(self, query: str, **variables: object) -> dict[str, Any]:
        """The data of an operation that has no errors."""
        answer = await self.execute(query, **variables)
        assert "errors" not in answer, answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data

    async def refusals(self, query: str, **variables: object) -> list[tuple[str | None, str]]:
        """Code and message of each error of an operation that has some."""
        answer = await self.execute(query, **variables)
        return [(error.get("extensions", {}).get("code"), error["message"]) for error in answer["errors"]]


@asynccontextmanager
async def opened(
    schema: GraphQLSchema, url: str, statement_timeout: float = 10.0, *, limits: Limits = LIMITS, **timeouts: float
) -> AsyncIterator[Api]:
    """The API over the database at an address; `timeouts` are those of writes."""
    async with connect(url, connections=2 * READING, statement_timeout=statement_timeout, **timeouts) as database:
        api = Api(schema, database, url, limits)
        async with AsyncExitStack() as held:
            for _ in range(READING):
                connection = await held.enter_async_context(database.reads.session())
                connection.add_query_logger(api.logged.append)
        yield api


@pytest.fixture(scope="session")
def schema() -> GraphQLSchema:
    return build()


@pytest.fixture(scope="session")
def world(database_server: DatabaseServer, database_template: str) -> Iterator[World]:
    """Rows that tests only read."""
    with database_server.temporary(database_template) as url, start_blocking_portal() as portal:
        yield portal.call(fill, url)


@pytest.fixture
async def api(schema: GraphQLSchema, world: World) -> AsyncIterator[Api]:
    """The API over the world."""
    async with opened(schema, world.url) as api:
        yield api


@pytest.fixture
async def own(schema: GraphQLSchema, database_url: str) -> AsyncIterator[Api]:
    """The API over an empty database of the test's own, for tests that write."""
    async with opened(schema, database_url) as api:
        yield api
