"""`serve`: opens everything the server stands on, in order, and closes it in the opposite one."""

import argparse
import asyncio
import gc
import resource
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import structlog
import uvicorn
from starlette.types import ASGIApp

from schema.limits import Limits
from schema.transport.endpoint import routes
from server import logs
from server.app import create_app
from server.assembly import Services, open_services
from server.commands import database, listener, memory, running, stopping
from server.reconciler import poller
from server.registry.mlflow import prepare_environment
from server.settings import Settings
from server.storage import health
from server.supervision import Supervised
from server.web.connections import ConnectionLimits, Connections
from server.web.health import Ready
from server.web.protocols import LimitedConfig

GRACE_SECONDS: Final = 3  # for requests that are under way
KEEP_ALIVE_SECONDS: Final = 60  # longer than clients keep an idle connection, so that they are who closes it
FRAME_BYTES: Final = 1024 * 1024  # the largest message of a WebSocket; larger requests are posted
OTHER_FILES: Final = 500  # open at once: databases, libraries, trainings
# objects made, collections of the youngest generation, of the middle one; Python has 700, 10, 10. What a request leaves
# is collected when it has left it (`schema.lanes`), and must not have grown old by then.
COLLECT_AFTER: Final = (700, 150, 10)
SWITCH_SECONDS: Final = 0.0005  # how long a thread that computes may hold up the event loop; Python has 0.005

log = structlog.get_logger(__name__)


def run(settings: Settings, _options: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM."""
    memory.give_back()
    logs.configure(settings)
    prepare_environment()
    return running.run(_serve(settings))


@asynccontextmanager
async def open_app(settings: Settings, ending: asyncio.Event) -> AsyncIterator[ASGIApp]:
    """The whole application, with the poller at work beside it; streams end once `ending` is set.

    What closes first when the context ends is the poller, then the services, then the database.
    """
    async with (
        database.migrated(settings) as url,
        open_services(settings, url) as services,
        poller.running(services.reconciler, services.bus) as polling,
    ):
        yield create_app(
            routes(services, limits=Limits(cost=settings.max_cost, result_bytes=settings.max_answer)),
            ready=_readiness(services, polling),
            hosts=listener.names(settings),
            allowed_origins=settings.allowed_origins,
            max_body=settings.max_body,
            log_requests=settings.log_requests,
            stopping=ending,
        )


def _readiness(services: Services, polling: Supervised) -> Ready:
    """What tells which parts that requests need are not at work, and why."""
    revision = health.newest_revision()

    async def what_is_wrong() -> dict[str, str]:
        reasons = {
            "database": await health.what_is_wrong(services.database.reads, revision),
            "bus": services.bus.what_is_wrong(),
            **{part.name: part.what_is_wrong() for part in (polling, services.mirroring)},
        }
        return {part: reason for part, reason in reasons.items() if reason is not None}

    return what_is_wrong


async def _serve(settings: Settings) -> int:
    with listener.listen(settings) as accepting, stopping.on_signals() as stop:
        ending = asyncio.Event()
        async with open_app(settings, ending) as app:
            sys.setswitchinterval(SWITCH_SECONDS)
            gc.set_threshold(*COLLECT_AFTER)
            gc.freeze()  # what is there now stays: no collection need look at it again
            stop.server = _Server(_configuration(app, settings), ending)
            await stop.server.serve(sockets=[accepting])
    log.info("stopped")
    return 0


class _Server(uvicorn.Server):
    """A uvicorn that says where it is once it answers and when it stops, and leaves signals to the program."""

    def __init__(self, config: uvicorn.Config, ending: asyncio.Event) -> None:
        super().__init__(config)
        self._ending = ending

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept."""
        await super().startup(sockets)
        for place in map(listener.authority, sockets or []):
            sys.stdout.write(f"Tunegraph is ready.\n  GraphiQL  http://{place}/graphql\n")
            sys.stdout.write(f"  API       http://{place}/graphql  ws://{place}/graphql\n")
            sys.stdout.flush()
            log.info("ready", address=place)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, end streams, and wait a while for what is under way."""
        log.info("stopping")
        self._ending.set()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none: uvicorn would raise them again before the services are closed."""
        yield


def _configuration(app: ASGIApp, settings: Settings) -> LimitedConfig:
    limits = ConnectionLimits(_room_for(settings.connections), settings.connections_per_address)
    return LimitedConfig(
        app,
        Connections(limits),
        loop="none",  # it runs on ours
        ws_max_size=min(settings.max_body, FRAME_BYTES),
        ws_per_message_deflate=False,  # each socket would deflate each small message again, with a window of its own
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def _room_for(connections: int) -> int:
    """Let the process open as many files as so many connections need; as many of them as it may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard >= connections + OTHER_FILES:
        wanted = connections + OTHER_FILES
    else:
        wanted = hard
        log.warning("the system allows fewer open files than the connections need", files=hard, connections=connections)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(1, min(connections, wanted - OTHER_FILES))
