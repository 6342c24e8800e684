"""What an operation may come to is known, and refused, before anything is read; useful operations pass."""

from typing import Any

import pytest
from graphql import GraphQLSchema, get_introspection_query
from graphql.execution.values import VariableValues

from schema.execution import cost as cost_module
from schema.execution.cost import Cost
from schema.execution.documents import Documents, Refusal
from schema.execution.operations import Execution
from schema.limits import LIMITS
from schema.offload import Offload
from tests.schema.conftest import Api
from tests.schema.execution.test_document_limits import OPERATIONS

AROUND = """query($n:Int){trainingSheets(first:1){nodes{qaPairs(first:100){nodes{trainingSheet{qaPairs(first:100){nodes{
  trainingSheet{qaPairs(first:$n){nodes{a:messages{content} b:messages{content} c:messages{content}}}}}}}}}}}}"""


async def cost(schema: GraphQLSchema, text: str, name: str | None = None, **variables: object) -> Cost:
    operation = await Documents(schema, Offload()).operation(text, name)
    coerced = operation.variables.coerced(variables)
    assert isinstance(coerced, VariableValues)
    return operation.costs.compute(coerced)


async def refusal(schema: GraphQLSchema, text: str, **variables: object) -> Any:  # noqa: ANN401
    with pytest.raises(Refusal) as refused:
        await Execution(schema, Offload()).prepare({"query": text, "variables": variables})
    [error] = refused.value.errors
    return error


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("{__typename}", 1),
        ("{a:__typename b:__typename}", 2),
        ('{trainingJob(id:"x"){id}}', 2),
        ('{trainingJob(id:"x"){id ...F ... on Node{id}}} fragment F on TrainingJob{id}', 2),
        ('{a:trainingJob(id:"x"){id} b:trainingJob(id:"x"){id}}', 4),
        ("{trainingJobs{totalCount}}", 2),
        ("{trainingJobs{nodes{id}}}", 1 + 20 * 2),
        ("{trainingJobs{nodes{id} edges{cursor node{id}} pageInfo{endCursor}}}", 1 + 20 * 2 + 20 * 4 + 2),
        ("{trainingJobs(first:3){nodes{id}}}", 1 + 3 * 2),
        ("{trainingJobs(last:3){nodes{id}}}", 1 + 3 * 2),
        ("{trainingJobs(first:5000){nodes{id}}}", 1 + 100 * 2),
        ("{trainingJobs(first:0){nodes{id}}}", 1),
        ("{trainingJobs(first:3){nodes{events(first:4){nodes{id sequence}}}}}", 1 + 3 * (1 + 1 + 4 * 3)),
        ('{modelLineage(modelName:"m"){jobId}}', 100 * 2),
        ('{qaPair(id:"x"){messages{role content}}}', 1 + 4 * (1 + 1 + 4)),
        ('{trainingJob(id:"x"){metricHistory{key steps}}}', 1 + 8 * 25 * 3),
        ('{trainingJob(id:"x"){metricHistory(keys:["a","a"],maxPoints:40){key steps}}}', 1 + 1 * 2 * 3),
        ('{node(id:"x"){id ... on TrainingJob{status lineage{jobId}} ... on Sheet{name}}}', 1 + 1 + 1 + 2),
    ],
)
async def test_rows_are_multiplied_down_the_tree(schema: GraphQLSchema, text: str, values: int) -> None:
    assert (await cost(schema, text)).values == values


async def test_the_values_of_variables_count_and_what_was_computed_is_kept(
    schema: GraphQLSchema, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = """query($n:Int $yes:Boolean=true $by:String){
      trainingJobs(first:$n filter:{createdBy:$by}){nodes{id status @include(if:$yes)}}}"""
    execution = Execution(schema, Offload())
    walks: list[object] = []
    walk = cost_module._Walk

    def walking(*arguments: Any) -> object:  # noqa: ANN401
        walks.append(arguments)
        return walk(*arguments)

    monkeypatch.setattr(cost_module, "_Walk", walking)
    found = [
        (await execution.prepare({"query": text, "variables": variables})).cost.values
        for variables in (
            {},
            {"n": 3},
            {"n": 3, "by": "ben"},
            {"n": 3, "by": "anna"},
            {"n": 3, "yes": False},
            {"n": 3, "yes": True},
            {"n": 50},
            {"n": 3},
        )
    ]
    assert found == [1 + 20 * 3, 1 + 3 * 3, 1 + 3 * 3, 1 + 3 * 3, 1 + 3 * 2, 1 + 3 * 3, 1 + 50 * 3, 1 + 3 * 3]
    assert len(walks) == 4


async def test_an_argument_that_is_no_good_is_not_taken_for_a_small_page(schema: GraphQLSchema) -> None:
    text = "query($n:Int){trainingJobs(first:$n){nodes{id}}}"
    execution = Execution(schema, Offload())
    found = [
        (await execution.prepare({"query": text, "variables": {"n": n}})).cost.values for n in (-1, 10, -1, None, 100)
    ]
    assert found == [0, 21, 0, 41, 201]


async def test_what_is_too_much_is_refused_with_what_costs_most(schema: GraphQLSchema) -> None:
    assert (await cost(schema, AROUND, n=1)).values > LIMITS.cost / 5
    error = await refusal(schema, AROUND, n=10)
    wanted = (await cost(schema, AROUND, n=10)).values
    assert wanted > 6_000_000
    place = "trainingSheets.nodes.qaPairs.nodes.trainingSheet.qaPairs.nodes.trainingSheet.qaPairs.nodes.a.content"
    assert error == {
        "message": f"the operation asks for up to {wanted:,} values and may ask for 500,000; what costs most is"
        f" {place}: ask for smaller pages (first) or fewer fields there",
        "extensions": {"code": "TOO_COMPLEX", "cost": wanted, "limit": 500_000, "field": place},
    }


@pytest.mark.database
async def test_nothing_is_read_for_what_is_too_much(api: Api) -> None:
    [(code, _)] = await api.refusals(AROUND, n=10)
    assert code == "TOO_COMPLEX"
    assert api.statements == []


@pytest.mark.parametrize(
    "text",
    [
        "{baseModels{name} trainingJobs(first:100){nodes{events(first:100){nodes{id}}}}}",
        """{trainingSheets(first:100){nodes{
          a:eligibility{totalPairs} b:eligibility{totalPairs} c:eligibility{totalPairs} d:eligibility{totalPairs}}}}""",
        "{__schema{queryType{name}} trainingJobs(first:100){nodes{events(first:100){nodes{id}}}}}",
        """mutation{pollTrainingJob(jobId:"x"){... on TrainingJob{
          trainingSheet{qaPairs(first:100){nodes{trainingJobs(first:100){nodes{id}}}}}}}}""",
    ],
)
async def test_what_python_completes_field_by_field_has_a_lower_limit(schema: GraphQLSchema, text: str) -> None:
    wanted = (await cost(schema, text)).values
    assert LIMITS.cost_in_python < wanted < LIMITS.cost
    extensions = (await refusal(schema, text))["extensions"]
    assert (extensions["code"], extensions["cost"], extensions["limit"]) == (
        "TOO_COMPLEX",
        wanted,
        LIMITS.cost_in_python,
    )


async def test_a_mutation_that_asks_for_too_much_is_not_executed(own: Api) -> None:
    text = """mutation{createSheet(input:{name:"a" source:EXTERNAL}){... on Sheet{trainingJobs(first:100){nodes{
      trainingSheet{qaPairs(first:100){nodes{id}}}}}}}}"""
    [(code, _)] = await own.refusals(text)
    assert code == "TOO_COMPLEX"
    assert await own.ask("{sheets{totalCount}}") == {"sheets": {"totalCount": 0}}


async def test_introspection_counts_as_often_as_it_is_asked_for(schema: GraphQLSchema) -> None:
    assert (await cost(schema, get_introspection_query())).values < LIMITS.cost / 2
    one, two = [
        await cost(schema, "{" + "".join(f"a{n}:__schema{{types{{name}}}}" for n in range(m)) + "}") for m in (1, 2)
    ]
    assert two.values == 2 * one.values
    deep = "{__schema{types{" + " ".join(f"a{n}:fields{{type{{fields{{name}}}}}}" for n in range(60)) + "}}}"
    assert (await refusal(schema, deep))["extensions"]["code"] == "TOO_COMPLEX"


async def test_each_example_passes_with_room(schema: GraphQLSchema) -> None:
    text = OPERATIONS.read_text(encoding="utf-8")
    names = [line.split("(")[0].split()[1] for line in text.splitlines() if line.startswith(("query", "mut", "sub"))]
    for name in names:
        given = dict.fromkeys(("jobId", "trainingSheetId", "qaPairId", "pairId", "labelId", "id", "modelName"), "x")
        found = await cost(schema, text, name, **given, pairIds=["x"])
        assert found.values <= (LIMITS.cost_in_python if found.in_python else LIMITS.cost) / 2, name
