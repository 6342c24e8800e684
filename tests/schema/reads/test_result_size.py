"""A result that is too large never leaves Postgres, and says what to do."""

import pytest
from sqlalchemy import text

from schema.reads import resolve
from schema.reads.plans import Plans
from tests.schema.conftest import Api

MOST = 65_536


@pytest.fixture
async def limited(own: Api) -> Api:
    """An API whose results may have 64 kB, over two sheets of 40 kB each."""
    own.plans = Plans(own.execution.offload, MOST)
    own.context = type(own.context)(own.context.caller, own.context.services, own.plans)
    for number in range(2):
        query = (
            "mutation($n:String! $l:String){createSheet(input:{name:$n source:EXTERNAL sourceLocation:$l}){__typename}}"
        )
        assert await own.ask(query, n=f"s{number}", l="x" * 2_000) == {"createSheet": {"__typename": "Sheet"}}
    async with own.database.engine.begin() as connection:
        await connection.execute(text("UPDATE sheets SET source_location = repeat('x', 40000)"))
    own.logged.clear()
    return own


@pytest.mark.database
async def test_a_result_within_the_limit_comes_whole(limited: Api) -> None:
    data = await limited.ask("{ sheets(first: 1) { nodes { sourceLocation } } }")
    assert data == {"sheets": {"nodes": [{"sourceLocation": "x" * 40_000}]}}


@pytest.mark.database
async def test_a_larger_one_stays_in_the_database(limited: Api) -> None:
    answer = await limited.execute("{ sheets(first: 2) { nodes { sourceLocation } } }")
    whole = 80_000 + len('{"sheets":{"nodes" : [{"sourceLocation":""}, \n {"sourceLocation":""}]}}')
    assert answer == {
        "data": None,
        "errors": [
            {
                "message": f"the result has {whole:,} bytes and may have 65,536; ask for smaller pages (first) or fewer"
                " fields",
                "extensions": {"code": "TOO_LARGE", "bytes": whole, "limit": MOST},
            }
        ],
    }
    assert len(limited.statements) == 1
    returned = await limited.database.reads.value(limited.statements[0])
    assert returned == b"\0%d" % whole


@pytest.mark.database
async def test_so_does_that_of_a_field_under_graphql_core(limited: Api) -> None:
    answer = await limited.execute("{ baseModels { name } sheets(first: 2) { nodes { sourceLocation } } }")
    assert answer["data"] is None
    [error] = answer["errors"]
    assert (error["path"], error["extensions"]["code"]) == (["sheets"], "TOO_LARGE")


@pytest.mark.database
async def test_what_python_goes_over_has_a_lower_limit(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolve, "MOST_BYTES_IN_PYTHON", 100)
    answer = await api.execute("{ baseModels { name } trainingJobs { nodes { id } } }")
    [error] = answer["errors"]
    assert (error["path"], error["extensions"]["code"]) == (["trainingJobs"], "TOO_LARGE")


@pytest.mark.database
async def test_the_json_is_computed_once(api: Api) -> None:
    """Without a fence Postgres would compute it for each mention of the column."""
    await api.ask("{ trainingJobs { nodes { id } } }")
    plan = await api.database.reads.value(f"EXPLAIN (FORMAT JSON) {api.statements[0]}")
    assert plan.count('"Relation Name": "training_jobs"') == 1
