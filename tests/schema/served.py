"""The endpoint as clients reach it: over real sockets, in the test's own loop."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import asyncpg
import httpx
import uvicorn
from asyncpg.connection import LoggedQuery
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool
from starlette.routing import Route, Router
from starlette.types import ASGIApp
from websockets.asyncio.client import connect

from schema.execution.subscriptions import Subscriptions
from schema.transport.endpoint import Endpoint, routes
from schema.transport.timing import Timing
from server.assembly import Services
from server.bus import Bus
from server.domain import channels
from server.domain.caller import Caller
from server.domain.status import EventType, JobStatus
from server.services.base_models import BaseModels
from server.services.curation import Curation
from server.services.following import Following
from server.storage import jobs, tables
from server.storage.database import Database
from server.storage.database import connect as connect_database
from server.storage.events import Entry
from server.web.connections import ConnectionLimits, Connections
from server.web.protocols import LimitedConfig
from tests.schema import rows
from tests.schema.clients import DEADLINE, PROTOCOL, Events, Socket, eventually

ANNA = Caller("anna@example.com")


class _Complaints(logging.Handler):
    """What uvicorn and asyncio say of exceptions that nobody took care of.

    Not of futures: asyncpg forgets one when it is stopped while it connects in order to cancel a statement.
    """

    LOGGERS = (logging.getLogger("uvicorn.error"), logging.getLogger("asyncio"))

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if not record.getMessage().startswith("Future exception"):
            self.messages.append(self.format(record))

    @classmethod
    @contextmanager
    def none(cls) -> Iterator[None]:
        complaints = cls()
        for logger in cls.LOGGERS:
            logger.addHandler(complaints)
        try:
            yield
        finally:
            for logger in cls.LOGGERS:
                logger.removeHandler(complaints)
        assert complaints.messages == [], complaints.messages


class _Server(uvicorn.Server):
    """A uvicorn that says when it answers, and leaves signals to pytest."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            LimitedConfig(
                app,
                Connections(ConnectionLimits()),
                loop="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=1,
            )
        )
        self.answers = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.answers.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def job(engine: AsyncEngine, number: int, status: JobStatus, **changes: Any) -> str:  # noqa: ANN401
    """Write a job without a history."""
    curation = Curation(engine)
    sheet = await curation.create_sheet(ANNA, f"sheet {number}", "EXTERNAL")
    template = await curation.create_template(ANNA, "desk", None, "{question}")
    training_sheet = await curation.create_training_sheet(ANNA, f"desk {number}", sheet, template)
    row = rows.job(number, training_sheet, status=status.value, **changes)
    async with engine.begin() as connection:
        await rows.add(connection, tables.training_jobs, [row])
    return str(row["id"])


async def tell(engine: AsyncEngine, job_id: str, message: str) -> None:
    """Write an event of a job's."""
    async with engine.begin() as connection:
        assert await jobs.record(connection, job_id, Entry(EventType.PROGRESS_UPDATE, message))


async def move(engine: AsyncEngine, job_id: str, to: JobStatus) -> None:
    """Move a job to another status."""
    async with engine.begin() as connection:
        assert await jobs.move(connection, job_id, to, Entry(EventType.STATUS_CHANGE, f"now {to}"))


@dataclass
class Served:
    """An endpoint that answers at `authority`, over a database of which `statements` are the reads."""

    url: str
    authority: str
    http: httpx.AsyncClient
    database: Database
    bus: Bus
    services: SimpleNamespace
    subscriptions: Subscriptions
    statements: list[str] = field(default_factory=list)

    async def post(self, query: str, *, accept: str = "application/json", **rest: object) -> httpx.Response:
        return await self.http.post("/graphql", json={"query": query, **rest}, headers={"Accept": accept})

    async def raw(self, content: bytes, headers: list[tuple[str, str]]) -> httpx.Response:
        """The answer to a POST with these headers, and none of httpx's own that say what is sent or wanted."""
        request = self.http.build_request("POST", "/graphql", content=content)
        own = [("Host", self.authority), ("Content-Length", str(len(content)))]
        request.headers = httpx.Headers(own + headers)
        return await self.http.send(request)

    @asynccontextmanager
    async def socket(self, *, greet: bool = True) -> AsyncIterator[Socket]:
        async with connect(f"ws://{self.authority}/graphql", subprotocols=[PROTOCOL], proxy=None) as connection:
            client = Socket(connection)
            if greet:
                await client.send(type="connection_init")
                assert await client.receive() == {"type": "connection_ack"}
            yield client

    @asynccontextmanager
    async def events(self, query: str, **variables: object) -> AsyncIterator[Events]:
        """The response to an operation that asks for server-sent events."""
        body = {"query": query, "variables": variables}
        async with self.http.stream("POST", "/graphql", json=body, headers={"Accept": "text/event-stream"}) as response:
            yield Events(response, response.aiter_lines())

    async def job(self, number: int = 0, status: JobStatus = JobStatus.RUNNING, **changes: Any) -> str:  # noqa: ANN401
        return await job(self.database.engine, number, status, **changes)

    async def tell(self, job_id: str, message: str = "on it") -> None:
        await tell(self.database.engine, job_id, message)

    async def move(self, job_id: str, to: JobStatus) -> None:
        await move(self.database.engine, job_id, to)

    async def told(self, job_id: str) -> None:
        """Say that a job changed, without waiting for anybody."""
        async with self.database.engine.begin() as connection:
            await connection.execute(select(func.pg_notify(channels.CHANGED, job_id)))

    def watches(self) -> int:
        """How many subscriptions there are."""
        return self.subscriptions.subscribers

    async def watched(self, count: int) -> None:
        await eventually(lambda: self.watches() == count)

    def reads(self, table: str) -> list[str]:
        """The reads so far that name a table."""
        return [statement for statement in self.statements if table in statement]

    def connections_in_use(self) -> int:
        """Those that write."""
        return cast("QueuePool", self.database.engine.pool).checkedout()

    @asynccontextmanager
    async def locked(self, table: str) -> AsyncIterator["Lock"]:
        """Let nobody read or write a table."""
        holding, watching = await asyncpg.connect(self.url), await asyncpg.connect(self.url)
        try:
            await holding.execute(f"BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            yield Lock(watching)
        finally:
            await holding.close()
            await watching.close()


@dataclass(frozen=True)
class Lock:
    watching: "asyncpg.Connection[asyncpg.Record]"

    async def waiting(self, count: int) -> None:
        """Return once so many sessions wait for the lock."""
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        async with asyncio.timeout(DEADLINE):
            while await self.watching.fetchval(waiting) != count:  # noqa: ASYNC110  (Postgres tells nobody that it waits)
                await asyncio.sleep(0.005)


@asynccontextmanager
async def serving(url: str, timing: Timing | None = None) -> AsyncIterator[Served]:
    """The endpoint over the database at an address, as long as the context is open; no exception may be left over."""
    async with connect_database(url, connections=12, statement_timeout=10) as database, Bus(url) as bus:
        services = SimpleNamespace(
            database=database,
            bus=bus,
            following=Following(database.reads, bus),
            curation=Curation(database.engine),
            base_models=BaseModels({}),
        )
        served_routes = routes(cast("Services", services), timing or Timing())
        endpoint = cast("Endpoint", cast("Route", served_routes[0]).endpoint)
        app = Router(served_routes)
        with _Complaints.none():
            async with _answering(app) as authority, _client(authority) as http:
                served = Served(url, authority, http, database, bus, services, endpoint.subscriptions)
                async with database.reads.session() as connection:
                    connection.add_query_logger(lambda logged: _note(served, logged))
                yield served


@asynccontextmanager
async def _answering(app: ASGIApp) -> AsyncIterator[str]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = _Server(app)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            async with asyncio.timeout(DEADLINE):
                await server.answers.wait()
            yield f"127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving


def _client(authority: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"http://{authority}", timeout=DEADLINE, trust_env=False)


def _note(served: Served, logged: LoggedQuery) -> None:
    served.statements.append(logged.query)
