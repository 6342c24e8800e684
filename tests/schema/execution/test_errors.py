"""Errors: clients read what was worded for them, and nothing of what went wrong inside."""

import json
from contextlib import AsyncExitStack
from typing import Any, cast

import asyncpg
import pytest
import structlog
from graphql import GraphQLError, GraphQLSchema
from sqlalchemy import text
from sqlalchemy.pool import QueuePool
from structlog.testing import capture_logs

from schema.execution.errors import TOOK_TOO_LONG, UNEXPECTED, WAITED_TOO_LONG, masked, refusal_as_error
from schema.reads import plans
from schema.reads.arguments import BadArgument
from schema.reads.plans import Plan
from server.domain.errors import InvalidInput, NotFound
from tests.schema.conftest import Api, opened
from tests.schema.world import RICH, World

INSIDE = ("relation", "gone", "sheets_", "SELECT", "asyncpg", "Traceback", "r$", "convert_to")


def hides_the_cause(answer: object) -> bool:
    written = json.dumps(answer)
    return not any(word in written for word in INSIDE)


async def broken(api: Api) -> None:
    async with api.database.engine.begin() as connection:
        await connection.execute(text("ALTER TABLE templates RENAME TO gone"))


@pytest.mark.database
async def test_a_failure_inside_is_one_masked_error_and_one_entry_of_the_log(own: Api) -> None:
    await broken(own)
    query = '{ sheets { totalCount } lost: node(id: "tmpl_1") { id } baseModels { name } }'
    with capture_logs() as logs:
        answer = await own.execute(query)
    assert answer == {
        "data": {"sheets": {"totalCount": 0}, "lost": None, "baseModels": []},
        "errors": [
            {
                "message": UNEXPECTED,
                "locations": [{"line": 1, "column": 25}],
                "path": ["lost"],
                "extensions": {"code": "INTERNAL_ERROR"},
            }
        ],
    }
    [entry] = logs
    assert (entry["log_level"], entry["path"]) == ("error", ["lost"])
    assert 'relation "templates" does not exist' in str(entry["exc_info"])


@pytest.mark.database
async def test_a_failure_inside_a_compiled_query_is_one_masked_error_too(own: Api) -> None:
    await broken(own)
    with capture_logs() as logs:
        answer = await own.execute('{ sheets { totalCount } lost: node(id: "tmpl_1") { id } }')
    assert answer == {"data": None, "errors": [{"message": UNEXPECTED, "extensions": {"code": "INTERNAL_ERROR"}}]}
    [entry] = logs
    assert 'relation "templates" does not exist' in str(entry["exc_info"])


@pytest.mark.database
async def test_a_query_that_can_not_be_compiled_is_a_masked_error_too(
    own: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken_compiler(*_: object) -> Plan:
        raise TypeError("values of ours became binds: secret")

    monkeypatch.setattr(plans, "compile_plan", broken_compiler)
    with capture_logs() as logs:
        answer = await own.execute("{ sheets { totalCount } }")
    assert answer == {"data": None, "errors": [{"message": UNEXPECTED, "extensions": {"code": "INTERNAL_ERROR"}}]}
    assert "secret" in str(logs[0]["exc_info"])


@pytest.mark.database
async def test_a_masked_error_names_the_request_that_the_log_knows(own: Api) -> None:
    await broken(own)
    with structlog.contextvars.bound_contextvars(request_id="r-17"), capture_logs():
        answer = await own.execute("{ templates { totalCount } }")
    assert answer["data"] is None
    [error] = answer["errors"]
    assert error["extensions"] == {"code": "INTERNAL_ERROR", "requestId": "r-17"}
    assert hides_the_cause(answer)


@pytest.mark.database
async def test_a_read_that_takes_too_long_is_ended_and_says_what_to_do(
    own: Api, schema: GraphQLSchema, database_url: str
) -> None:
    async with (
        opened(schema, database_url, statement_timeout=0.05) as impatient,
        own.database.engine.begin() as locking,
    ):
        await locking.execute(text("LOCK TABLE sheets IN ACCESS EXCLUSIVE MODE"))
        with capture_logs() as logs:
            compiled = await impatient.execute("{ sheets { totalCount } __typename }")
            by_field = await impatient.execute("{ sheets { totalCount } baseModels { name } }")
        told = {"message": TOOK_TOO_LONG, "extensions": {"code": "TIMEOUT"}}
        assert compiled == {"data": None, "errors": [told]}
        assert by_field["data"] is None
        assert [error | {"locations": None} for error in by_field["errors"]] == [
            told | {"locations": None, "path": ["sheets"]}
        ]
        assert [(entry["log_level"], entry["sqlstate"], "exc_info" in entry) for entry in logs] == [
            ("warning", "57014", False)
        ] * 2
        assert await impatient.ask("{ templates { totalCount } }") == {"templates": {"totalCount": 0}}


CREATE = 'mutation { createSheet(input: { name: "a", source: EXTERNAL }) { __typename } }'


@pytest.mark.parametrize(
    ("setting", "told"),
    [("lock_timeout", ("55P03", WAITED_TOO_LONG)), ("write_timeout", ("57014", TOOK_TOO_LONG))],
)
@pytest.mark.database
async def test_a_write_that_waits_too_long_is_ended_and_says_what_to_do(
    own: Api, schema: GraphQLSchema, database_url: str, setting: str, told: tuple[str, str]
) -> None:
    impatience: dict[str, Any] = {setting: 0.05}
    async with opened(schema, database_url, **impatience) as impatient, own.database.engine.begin() as locking:
        await locking.execute(text("LOCK TABLE sheets IN ACCESS EXCLUSIVE MODE"))
        with capture_logs() as logs:
            answer = await impatient.execute(CREATE)
    [error] = answer["errors"]
    assert (error["message"], error["path"], error["extensions"]) == (told[1], ["createSheet"], {"code": "TIMEOUT"})
    assert [(entry["log_level"], entry["sqlstate"], "exc_info" in entry) for entry in logs] == [
        ("warning", told[0], False)
    ]
    assert await own.ask("{ sheets { totalCount } }") == {"sheets": {"totalCount": 0}}


@pytest.mark.database
async def test_a_write_that_gets_no_connection_is_a_timeout_too(own: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async with AsyncExitStack() as held:
        pool = cast("QueuePool", own.database.engine.pool)
        monkeypatch.setattr(pool, "_timeout", 0.05)
        for _ in range(pool.size()):
            await held.enter_async_context(own.database.engine.connect())
        with capture_logs() as logs:
            answer = await own.execute(CREATE)
    assert [error["extensions"] for error in answer["errors"]] == [{"code": "TIMEOUT"}]
    assert [entry["log_level"] for entry in logs] == ["warning"]


@pytest.mark.parametrize(
    ("cause", "code"),
    [
        (TimeoutError(), "TIMEOUT"),
        (asyncpg.TooManyConnectionsError("full"), "TIMEOUT"),
        (asyncpg.IdleInTransactionSessionTimeoutError("idle"), "TIMEOUT"),
        (asyncpg.ProgramLimitExceededError("invalid memory alloc request size 1073741824"), "TOO_LARGE"),
        (asyncpg.OutOfMemoryError("out of memory"), "TOO_LARGE"),
        (asyncpg.UniqueViolationError("twice"), "INTERNAL_ERROR"),
        (ValueError(), "INTERNAL_ERROR"),
    ],
)
def test_each_failure_of_the_database_has_its_code(cause: Exception, code: str) -> None:
    with capture_logs() as logs:
        found = masked(GraphQLError(str(cause), path=["a"], original_error=cause))
    assert found.extensions == {"code": code}
    assert found.path == ["a"]
    assert str(cause) not in found.message or str(cause) == ""
    assert len(logs) == 1


@pytest.mark.database
async def test_a_subscription_that_fails_inside_is_masked_too(own: Api) -> None:
    async with own.database.engine.begin() as connection:
        await connection.execute(text("ALTER TABLE training_jobs RENAME TO gone"))
    for query in (
        'subscription { trainingJobUpdated(id: "job_1") { id } }',
        'subscription { trainingJobEvents(jobId: "job_1") { id } }',
    ):
        with capture_logs():
            [answer] = await own.follow(query)
        assert [error["extensions"] for error in answer["errors"]] == [{"code": "INTERNAL_ERROR"}]
        assert hides_the_cause(answer)


@pytest.mark.database
async def test_a_refusal_of_a_service_keeps_its_words_and_its_code(api: Api, world: World) -> None:
    query = """query ($id: ID!, $ratio: Float) {
      trainingSheet(id: $id) { name eligibility(trainValSplit: $ratio) { totalPairs } }
    }"""
    answer = await api.execute(query, id=world.training_sheet, ratio=5)
    assert answer["data"] == {"trainingSheet": None}
    [error] = answer["errors"]
    assert error["path"] == ["trainingSheet", "eligibility"]
    assert (error["message"], error["extensions"]) == (
        "trainValSplit: must be between 0.1 and 0.95",
        {"code": "INVALID_INPUT"},
    )


@pytest.mark.database
async def test_a_stream_of_nothing_says_that_it_is_not_found(api: Api) -> None:
    for query in (
        'subscription { trainingJobUpdated(id: "job_1") { id } }',
        'subscription { trainingJobEvents(jobId: "job_1") { id } }',
    ):
        with capture_logs() as logs:
            [answer] = await api.follow(query)
        assert [error["extensions"] for error in answer["errors"]] == [{"code": "NOT_FOUND"}]
        assert logs == [], "an error of a client's own making is no event for the log"


@pytest.mark.parametrize("after", ["abc", "WyJldmVudHMiXQ==", "WyJldmVudHMiLCAiMSJd", "WyJldmVudHMiLCAxLCAyXQ=="])
@pytest.mark.database
async def test_a_stream_refuses_what_is_no_cursor_of_its_own(api: Api, world: World, after: str) -> None:
    """The second says ["events"], the third ["events", "1"], the last ["events", 1, 2]."""
    query = "subscription ($id: ID!, $after: String) { trainingJobEvents(jobId: $id, after: $after) { sequence } }"
    with capture_logs() as logs:
        [answer] = await api.follow(query, id=world.jobs[RICH]["id"], after=after)
    assert [error["extensions"] for error in answer["errors"]] == [{"code": "INVALID_ARGUMENT"}]
    assert logs == []


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("{", "Syntax Error: Expected Name, found <EOF>."),
        ("{ nothing }", "Cannot query field 'nothing' on type 'Query'."),
        ("{ trainingJobs(first: 1.5) { totalCount } }", "Int cannot represent non-integer value: 1.5"),
        ("{ trainingJobs { nodes } }", "Field 'nodes' of type '[TrainingJob!]!' must have a selection of subfields."),
        ("query ($n: Int!) { trainingJobs(first: $n) { totalCount } }", "Variable '$n' has invalid value"),
    ],
)
@pytest.mark.database
async def test_what_the_schema_s_rules_say_reaches_clients_and_not_the_log(api: Api, query: str, message: str) -> None:
    with capture_logs() as logs:
        answer = await api.execute(query)
    assert message in answer["errors"][0]["message"]
    assert "data" not in answer, "nothing was executed"
    assert (logs, api.statements) == ([], [])


def test_an_error_of_our_own_passes_as_it_is() -> None:
    for error in (
        GraphQLError("plain"),
        BadArgument("bad"),
        GraphQLError("outer", original_error=BadArgument("inner")),
    ):
        assert masked(error) is error


def test_any_other_error_keeps_its_place_only() -> None:
    secret = GraphQLError("password=hunter2", path=["a", 0, "b"], original_error=ValueError("password=hunter2"))
    with capture_logs() as logs:
        shown = masked(secret)
    assert shown.formatted == {
        "message": UNEXPECTED,
        "path": ["a", 0, "b"],
        "extensions": {"code": "INTERNAL_ERROR"},
    }
    assert shown.original_error is None
    assert "hunter2" in str(logs[0]["exc_info"])


@pytest.mark.parametrize("refused", [NotFound("no such job", ("id",)), InvalidInput("too long")])
def test_a_refusal_becomes_an_error_with_its_code(refused: NotFound | InvalidInput) -> None:
    with pytest.raises(GraphQLError) as raised, refusal_as_error():
        raise refused
    assert raised.value.formatted == {"message": refused.message, "extensions": {"code": refused.code}}
    assert raised.value.__cause__ is None
