"""Executing operations, whichever way they came in: what is an answer, what is refused, and what ends when."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest
from graphql import ExecutionResult, GraphQLError, GraphQLSchema, get_introspection_query
from sqlalchemy import text
from structlog.testing import capture_logs

from schema import offload
from schema.execution.documents import Refusal
from schema.execution.errors import UNEXPECTED
from schema.execution.operations import MOST_INTROSPECTIONS, Execution, Response, failed, formatted, refused
from schema.offload import Offload
from server.bus import Bus
from server.domain.status import JobStatus
from tests.schema.clients import DEADLINE
from tests.schema.conftest import Api, read, results
from tests.schema.served import job, move, tell

UPDATED = "subscription($id:ID!){trainingJobUpdated(id:$id){status trainingSheet{name}}}"


async def answers(api: Api, query: str, **variables: object) -> AsyncGenerator[Response]:
    prepared = await api.execution.prepare({"query": query, "variables": variables})
    async with aclosing(results(api.execution, prepared, api.context)) as all_:
        async for answer in all_:
            yield answer


def bus(api: Api) -> Bus:
    return api.context.services.following.bus


def watches(api: Api) -> int:
    return api.execution.subscriptions.subscribers


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (None, "the request must be a JSON object with a query"),
        ([{"query": "{__typename}"}], "the request must be a JSON object with a query"),
        ({}, "query must be a string"),
        ({"query": b"{__typename}"}, "query must be a string"),
        ({"query": "{__typename}", "operationName": 1}, "operationName must be a string"),
        ({"query": "{__typename}", "variables": "{}"}, "variables must be an object"),
        ({"query": "{__typename}", "variables": False}, "variables must be an object"),
        ({"query": "{__typename}", "extensions": []}, "extensions must be an object"),
    ],
)
async def test_a_request_that_is_none_is_refused_with_a_code(
    schema: GraphQLSchema, payload: object, message: str
) -> None:
    with pytest.raises(Refusal) as refusal:
        await Execution(schema, Offload()).prepare(payload)
    assert read(refused(refusal.value.errors)) == {
        "errors": [{"message": message, "extensions": {"code": "BAD_REQUEST"}}]
    }


@pytest.mark.parametrize(
    "rest", [{}, {"variables": None, "operationName": None, "extensions": None}, {"variables": {}, "more": 1}]
)
async def test_what_a_request_leaves_out_is_empty(schema: GraphQLSchema, rest: dict[str, Any]) -> None:
    prepared = await Execution(schema, Offload()).prepare({"query": "{__typename}", **rest})
    assert prepared.variables == {}


def test_an_answer_has_data_where_something_was_executed() -> None:
    outside, inside = GraphQLError("outside"), GraphQLError("inside", path=["a"])
    code = {"extensions": {"code": "INVALID_ARGUMENT"}}

    def told(result: ExecutionResult) -> dict[str, Any]:
        return read(formatted(result))

    assert told(ExecutionResult({"a": 1}, None)) == {"data": {"a": 1}}
    assert told(ExecutionResult({}, [])) == {"data": {}}
    assert told(ExecutionResult(None, [outside])) == {"errors": [{"message": "outside"}]}
    assert told(ExecutionResult(None, [inside])) == {
        "errors": [{"message": "inside", "path": ["a"], **code}],
        "data": None,
    }
    assert told(ExecutionResult({"a": None}, [inside])) == {
        "errors": [{"message": "inside", "path": ["a"], **code}],
        "data": {"a": None},
    }


def test_what_nobody_foresaw_is_masked_and_has_no_data() -> None:
    with capture_logs() as logged:
        answer = failed(ZeroDivisionError("secret"))
    assert read(answer) == {"errors": [{"message": UNEXPECTED, "extensions": {"code": "INTERNAL_ERROR"}}]}
    assert str(logged[0]["exc_info"]) == "secret"


def test_what_a_field_came_to_is_no_clients_business() -> None:
    inner = GraphQLError("Enum 'Status' cannot represent value: <secret>")
    with capture_logs() as logged:
        answer = read(
            formatted(ExecutionResult({"a": None}, [GraphQLError(inner.message, path=["a"], original_error=inner)]))
        )
    assert answer["errors"] == [{"message": UNEXPECTED, "path": ["a"], "extensions": {"code": "INTERNAL_ERROR"}}]
    assert logged[0]["exc_info"] is inner


@pytest.mark.database
async def test_a_variable_that_does_not_fit_its_argument_is_the_clients_error(api: Api) -> None:
    with capture_logs() as logged:
        answer = await api.execute('query($id:ID="a"){trainingJob(id:$id){id}}', id=None)
        [followed] = await api.follow('subscription($id:ID="a"){trainingJobUpdated(id:$id){id}}', id=None)
    assert answer["data"] == {"trainingJob": None}
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["INVALID_ARGUMENT"]
    assert followed.keys() == {"errors"}, "there is no stream, so there is no data"
    assert [error["extensions"]["code"] for error in followed["errors"]] == ["INVALID_ARGUMENT"]
    assert logged == []


@pytest.mark.database
async def test_a_query_has_one_answer_however_it_is_asked(api: Api) -> None:
    query = '{trainingJobs{totalCount} nothing:trainingJob(id:"x"){id}}'
    assert [read(answer) async for answer in answers(api, query)] == [await api.execute(query)]


@pytest.mark.database
async def test_what_fails_before_any_field_is_an_answer_too(api: Api) -> None:
    assert await api.follow("query($n:Int!){trainingJobs(first:$n){totalCount}}") == [
        {
            "errors": [
                {
                    "message": "Variable '$n' has invalid value:"
                    " Expected a value of non-null type 'Int!' to be provided.",
                    "locations": [{"line": 1, "column": 7}],
                }
            ]
        }
    ]


@pytest.mark.database
async def test_closing_the_iterator_ends_the_subscription(own: Api) -> None:
    job_id = await job(own.database.engine, 0, JobStatus.RUNNING)
    async with aclosing(answers(own, UPDATED, id=job_id)) as followed:
        assert read(await anext(followed))["data"]["trainingJobUpdated"]["status"] == "RUNNING"
        assert watches(own) == 1
    assert watches(own) == 0


@pytest.mark.database
async def test_a_subscription_that_is_cancelled_while_it_waits_ends(own: Api) -> None:
    job_id = await job(own.database.engine, 0, JobStatus.RUNNING)
    followed = answers(own, UPDATED, id=job_id)
    await anext(followed)
    waiting = asyncio.ensure_future(anext(followed, None))
    await asyncio.sleep(0)  # it begins to wait
    assert watches(own) == 1
    waiting.cancel()
    await asyncio.wait({waiting}, timeout=DEADLINE)
    assert waiting.cancelled()
    assert watches(own) == 0


@pytest.mark.database
async def test_a_payload_that_can_not_be_read_does_not_end_the_stream(own: Api) -> None:
    engine = own.database.engine
    job_id = await job(engine, 0, JobStatus.RUNNING)

    async def rename(old: str, new: str) -> None:
        async with engine.begin() as connection:
            await connection.execute(text(f"ALTER TABLE {old} RENAME TO {new}"))

    async with asyncio.timeout(DEADLINE), bus(own), aclosing(answers(own, UPDATED, id=job_id)) as all_:
        first = read(await anext(all_))
        await rename("training_sheets", "gone")
        await tell(engine, job_id, "step 1")
        with capture_logs() as logged:
            second = read(await anext(all_))
        await rename("gone", "training_sheets")
        await move(engine, job_id, JobStatus.SUCCEEDED)
        rest = [read(answer) async for answer in all_]
    assert first == {"data": {"trainingJobUpdated": {"status": "RUNNING", "trainingSheet": {"name": "desk 0"}}}}
    assert second["data"] is None
    assert [error["extensions"] for error in second["errors"]] == [{"code": "INTERNAL_ERROR"}]
    assert [error["path"] for error in second["errors"]] == [["trainingJobUpdated"]]
    assert len(logged) == 1
    assert rest == [{"data": {"trainingJobUpdated": {"status": "SUCCEEDED", "trainingSheet": {"name": "desk 0"}}}}]
    assert watches(own) == 0


@pytest.mark.database
async def test_what_is_asked_about_the_schema_alone_is_executed_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await api.execute(get_introspection_query())
    executed: list[object] = []
    monkeypatch.setattr(Execution, "_executor", lambda *prepared: executed.append(prepared))
    assert await api.execute(get_introspection_query()) == first
    assert first["data"]["__schema"]["queryType"]["name"] == "Query"
    assert executed == []


@pytest.mark.database
async def test_what_depends_on_anything_else_is_executed_each_time(api: Api) -> None:
    kind = "query($n:String!){__type(name:$n){name}}"
    assert [await api.ask(kind, n=name) for name in ("Sheet", "Query")] == [
        {"__type": {"name": name}} for name in ("Sheet", "Query")
    ]
    mixed = "{__schema{queryType{name}} sheets{totalCount}}"
    assert await api.ask(mixed) == await api.ask(mixed)
    assert len(api.statements) == 2


@pytest.mark.database
async def test_there_is_an_end_to_how_much_is_kept_about_the_schema(api: Api) -> None:
    for number in range(20):
        await api.ask(f"{{a{number}:__schema{{queryType{{name}}}}}}")
    assert len(api.execution._introspections) == MOST_INTROSPECTIONS


@pytest.mark.parametrize("query", [get_introspection_query(), "{ trainingJobs { totalCount } }"])
@pytest.mark.database
async def test_a_line_that_is_full_is_told_wherever_it_is(
    api: Api, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = await api.execution.prepare({"query": query})
    monkeypatch.setattr(offload, "MOST_WAITING", 0)
    answer = await api.execution.execute(prepared, api.context)
    assert [error["extensions"] for error in answer.unexecuted] == [{"code": "OVERLOADED"}]
    assert "data" not in read(answer)
