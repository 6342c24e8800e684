"""The product and the oracle give the same answers to operations that nobody thought of."""

from collections import Counter
from collections.abc import Iterator

import pytest
from anyio.from_thread import start_blocking_portal
from graphql import GraphQLSchema, parse, validate

from schema.api import build
from tests.database import DatabaseServer
from tests.differential import data, operations
from tests.differential.constructs import Construct
from tests.differential.material import Material, gather
from tests.differential.operations import document
from tests.differential.running import DOCUMENTS, SEED, Tally, run
from tests.differential.sides import both
from tests.schema.conftest import opened

pytestmark = pytest.mark.database

ROUND = 50
FEWEST_WITH_VALUES = 0.6


@pytest.fixture(scope="module")
def schema() -> GraphQLSchema:
    return build()


@pytest.fixture(scope="module")
def filled(database_server: DatabaseServer, database_template: str) -> Iterator[str]:
    """The address of a database with the rows."""
    with database_server.temporary(database_template) as url, start_blocking_portal() as portal:
        portal.call(data.fill, url)
        yield url


@pytest.fixture(scope="module")
def material(schema: GraphQLSchema, filled: str) -> Material:
    async def gathered() -> Material:
        async with opened(schema, filled) as api:
            return await gather(api)

    with start_blocking_portal() as portal:
        return portal.call(gathered)


@pytest.mark.parametrize("first", range(0, DOCUMENTS, ROUND))
async def test_both_sides_give_the_same_answers(
    schema: GraphQLSchema, filled: str, material: Material, first: int
) -> None:
    tally = Tally()
    async with both(schema, filled) as sides:
        reports = [report async for report in run(sides, material, SEED, range(first, first + ROUND), tally)]
    assert not reports, "\n\n".join(reports)
    assert tally.refused == []
    assert tally.with_values / tally.requests > FEWEST_WITH_VALUES


def test_every_construct_is_drawn_and_every_document_is_valid(material: Material) -> None:
    drawn: Counter[Construct] = Counter()
    for index in range(DOCUMENTS):
        one = document(SEED, index, material)
        assert validate(operations.schema(), parse(one.text)) == [], one.text
        drawn += one.drawn
    assert [construct.value for construct in Construct if not drawn[construct]] == []


def test_a_document_follows_from_its_seed_and_number_alone(material: Material) -> None:
    assert document(SEED, 3, material) == document(SEED, 3, material)
    assert document(SEED, 3, material) != document(SEED, 4, material)
    assert document(SEED, 3, material).text != document(SEED + 1, 3, material).text
