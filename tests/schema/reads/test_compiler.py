"""What is compiled: one statement that writes the answer itself, and none that SQLAlchemy would have got wrong."""

import json
from typing import Any, cast

import pytest
from graphql import GraphQLSchema
from graphql.execution.values import VariableValues
from sqlalchemy import ColumnElement, Text, func, select

from schema.reads.arguments import Request
from schema.reads.compiler import Compiler
from schema.reads.plans import Plan, compile_plan
from schema.reads.render import word
from schema.reads.selection import Document
from server.domain.caller import LOCAL
from server.storage import tables
from tests.schema.conftest import Api
from tests.schema.world import RICH, World


@pytest.mark.database
async def test_what_postgres_writes_is_the_answer_itself(api: Api, world: World) -> None:
    """Each key that is asked for in its order, and none more: nobody need look at it again."""
    query = """query ($id: ID!) { job: trainingJob(id: $id) {
      __typename s: status id @skip(if: true) ...F @include(if: false) ... on Node { t: __typename }
      events(last: 2) { __typename totalCount edges { cursor @skip(if: true) __typename node { sequence __typename } } }
      lineage { ...L @skip(if: true) __typename sheetName ...L } excluded { n: count __typename } metrics { valLoss }
      ...F
    } }
    fragment F on TrainingJob { modelName } fragment L on TrainingJobLineage { pairs { pageInfo { __typename } } }"""
    answer = (await api.ask(query, id=world.jobs[RICH]["id"]))["job"]
    assert list(answer) == ["__typename", "s", "t", "events", "lineage", "excluded", "metrics", "modelName"]
    [[whole]] = api.plans._places.values()
    executed = (
        await api.ask(
            query.replace("trainingJob", "baseModels { name } job: trainingJob").replace("job: b", "b"),
            id=world.jobs[RICH]["id"],
        )
    )["job"]
    assert json.dumps(executed) == json.dumps(answer)
    [[mixed], [part]] = list(api.plans._places.values())[1:]
    assert (whole.is_runnable, mixed.is_runnable, part.is_runnable) == (True, False, True)
    request = Request(LOCAL, VariableValues({}, {"id": world.jobs[RICH]["id"]}))
    written = await part.run(api.database.reads, part.filled(request))
    assert written is not None
    assert json.dumps(json.loads(written)) == json.dumps(answer)
    nobody = Request(LOCAL, VariableValues({}, {"id": "job_x"}))
    assert await part.run(api.database.reads, part.filled(nobody)) is None


def compiled(schema: GraphQLSchema, value: Any) -> Plan:  # noqa: ANN401  (from a compiler to an SQL expression)
    return compile_plan(Request(LOCAL, VariableValues({}, {})), Document(schema, {}), value)


def test_a_select_that_is_not_correlated_with_its_parent_is_refused(schema: GraphQLSchema) -> None:
    """SQLAlchemy would add the parent to its FROM, and every row would meet every other."""

    def crossed(compiler: Compiler) -> ColumnElement[Any]:
        sheet = compiler.rows(tables.sheets)
        below = select(func.count()).select_from(sheet, compiler.rows(tables.training_sheets)).correlate(None)
        return select(below.scalar_subquery()).select_from(sheet).scalar_subquery()

    with pytest.raises(TypeError, match=r"\['r\$1'\] stands in more than one FROM"):
        compiled(schema, crossed)


def test_a_value_that_would_become_a_bind_of_nobody_is_refused(schema: GraphQLSchema) -> None:
    def literal(_compiler: Compiler) -> ColumnElement[Any]:
        return func.upper("forgotten")

    with pytest.raises(TypeError, match="values of ours became binds"):
        compiled(schema, literal)


def test_a_plan_is_the_text_of_a_statement_and_how_to_fill_it(schema: GraphQLSchema) -> None:
    def named(compiler: Compiler) -> ColumnElement[Any]:
        twice = compiler.recorder.bind(lambda request: request.caller.name, Text())
        return func.concat(twice, word("/"), twice)

    plan = compiled(schema, named)
    assert " ".join(plan.sql.split()) == (
        "SELECT CASE WHEN (octet_length(result$.json) > 16777216)"
        r" THEN '\x00'::bytea || convert_to(CAST(octet_length(result$.json) AS TEXT), 'UTF8')"
        " ELSE result$.json END AS anon_1"
        " FROM (SELECT convert_to(CAST(concat($1::VARCHAR, '/', $1::VARCHAR) AS TEXT), 'UTF8') AS json"
        " LIMIT ALL OFFSET 0) AS result$"
    )
    assert [fill(Request(LOCAL, cast("VariableValues", None))) for fill in plan.fills] == ["local"]
