import asyncpg
import pytest

from schema.api import build
from tests.bench import data
from tests.bench.queries import LIST
from tests.bench.rare import FILTERS, FOUND, QUERY
from tests.schema.conftest import opened

pytestmark = pytest.mark.database

JOBS = 200
INDEXES = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY indexname"
CONSTRAINED = """
SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint
WHERE contype = 'f' AND connamespace = 'public'::regnamespace
"""


async def test_filling_leaves_every_index_where_it_was(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    before = await connection.fetch(INDEXES)

    await data.fill(database_url, JOBS)

    assert await connection.fetch(INDEXES) == before
    await connection.close()


async def test_every_row_refers_to_rows_that_are_there(database_url: str) -> None:
    await data.fill(database_url, JOBS)

    connection = await asyncpg.connect(database_url)
    for table, definition in await connection.fetch(CONSTRAINED):
        # adding a constraint looks at all rows, which were written without looking
        await connection.execute(f"ALTER TABLE {table} ADD CONSTRAINT looked_at {definition}")
        await connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT looked_at")
    await connection.close()


async def test_the_newest_jobs_have_everything_below_them(database_url: str) -> None:
    await data.fill(database_url, JOBS)

    async with opened(build(), database_url) as api:
        nodes = (await api.ask(LIST.text("graphql")))["trainingJobs"]["nodes"]
    assert [node["id"] for node in nodes] == await data.newest(database_url, 20)
    assert [len(node["events"]["nodes"]) for node in nodes] == [10] * 20
    assert [node for node in nodes if node["lineage"] is None or node["metrics"] is None] == []


@pytest.mark.parametrize("wanted", FILTERS[:-1], ids=" ".join)
async def test_rare_values_are_as_rare_as_they_should_be(database_url: str, wanted: dict[str, object]) -> None:
    await data.fill(database_url, JOBS)

    async with opened(build(), database_url) as api:
        nodes = (await api.ask(QUERY, filter=wanted))["trainingJobs"]["nodes"]
    assert len(nodes) == FOUND
