"""The oracle over the world that the reads are tested on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from asyncpg.connection import LoggedQuery

from tests.oracle.oracle import Oracle
from tests.schema.conftest import world
from tests.schema.world import World

__all__ = ["world"]

SDL = Path(__file__).parents[2] / "schema" / "schema.graphql"
BASE_MODELS = (
    {"name": "local/small", "display_name": "Small", "trainer": "LOCAL", "max_context_length": None},
    {"name": "remote/large", "display_name": "Large", "trainer": "FMAPI", "max_context_length": 8192},
)


async def _keep_session(_connection: object) -> None:
    """A reset would be one more statement."""


@asynccontextmanager
async def opened(url: str, statements: list[str]) -> AsyncIterator[Oracle]:
    """The oracle over the database at an address, which notes its statements."""

    def note(query: LoggedQuery) -> None:
        statements.append(query.query)

    async with asyncpg.create_pool(url, min_size=1, max_size=1, reset=_keep_session) as pool:
        async with pool.acquire() as connection:
            connection.add_query_logger(note)
            await connection.fetchval("SELECT '{}'::bigint[]")  # asyncpg asks once a session what that is
        yield Oracle(SDL.read_text(), pool, BASE_MODELS)


@pytest.fixture
def statements() -> list[str]:
    """What the oracle asked the database."""
    return []


@pytest.fixture
async def oracle(world: World, statements: list[str]) -> AsyncIterator[Oracle]:
    async with opened(world.url, statements) as oracle:
        statements.clear()
        yield oracle
