"""GraphQL over HTTP: which answer comes in which form, with which status.

What npm's `graphql-http` audits in 61 checks is among it and among the tests of requests.
"""

import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from schema import offload
from schema.limits import LIMITS
from server.domain.status import JobStatus
from tests.schema.served import Served, serving
from tests.schema.world import JOBS, World

pytestmark = [pytest.mark.database, pytest.mark.asyncio(loop_scope="module")]

JSON = "application/json; charset=utf-8"
GRAPHQL_JSON = "application/graphql-response+json; charset=utf-8"
ACCEPT = {"plain": "application/json", "graphql": "application/graphql-response+json"}
COUNT = "{trainingJobs{totalCount}}"
COUNTED = {"data": {"trainingJobs": {"totalCount": JOBS}}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(world: World) -> AsyncIterator[Served]:
    """One endpoint for all tests that only read."""
    async with serving(world.url) as served:
        yield served


@pytest_asyncio.fixture(loop_scope="module")
async def own(database_url: str) -> AsyncIterator[Served]:
    async with serving(database_url) as served:
        yield served


def words(response: httpx.Response) -> list[tuple[str | None, str]]:
    """Code and message of each error of an answer that has nothing else."""
    answer = response.json()
    assert answer.keys() == {"errors"}, answer
    return [(error.get("extensions", {}).get("code"), error["message"]) for error in answer["errors"]]


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ([], JSON),
        (["*/*"], JSON),
        (["application/json"], JSON),
        (["application/graphql-response+json"], GRAPHQL_JSON),
        (["text/plain", "application/graphql-response+json, application/json;q=0.9"], GRAPHQL_JSON),
        (["text/event-stream, application/json"], JSON),
    ],
)
async def test_the_answer_comes_in_what_the_client_prefers(served: Served, accept: list[str], media_type: str) -> None:
    headers = [("Content-Type", "application/json"), *(("Accept", value) for value in accept)]
    response = await served.raw(json.dumps({"query": COUNT}).encode(), headers)
    assert (response.status_code, response.headers["content-type"]) == (200, media_type)
    assert response.headers["vary"] == "Accept"
    assert response.json() == COUNTED


async def test_a_client_that_wants_something_else_gets_406(served: Served) -> None:
    response = await served.post(COUNT, accept="text/html")
    assert (response.status_code, response.headers["content-type"]) == (406, JSON)
    message = "answers come as application/graphql-response+json, application/json or text/event-stream"
    assert words(response) == [("NOT_ACCEPTABLE", message)]


async def test_text_is_utf_8_both_ways(served: Served, world: World) -> None:
    query = 'query($id:ID!){node(id:"Run🏃Swim🏊"){id} qaPair(id:$id){messages{content}}}'
    response = await served.post(query, variables={"id": world.pairs[0]})
    assert "Wann? 你好 🦓".encode() in response.content
    assert response.json()["data"]["node"] is None


NOT_EXECUTED: list[tuple[str, dict[str, Any], list[tuple[str | None, str]]]] = [
    ("a syntax error", {"query": "{"}, [(None, "Syntax Error: Expected Name, found <EOF>.")]),
    ("an empty document", {"query": ""}, [(None, "Syntax Error: Unexpected <EOF>.")]),
    (
        "an unknown field",
        {"query": "{trainingJobs{total}}"},
        [(None, "Cannot query field 'total' on type 'TrainingJobConnection'.")],
    ),
    (
        "no operation",
        {"query": "fragment F on Query {__typename}"},
        [(None, "Fragment 'F' is never used.")],
    ),
    (
        "operations without a choice",
        {"query": "query A{__typename} query B{__typename}"},
        [(None, "the document has several operations; name one of them in operationName: A, B")],
    ),
    (
        "a name that no operation has",
        {"query": "query A{__typename} query B{__typename}", "operationName": "C"},
        [(None, "the document has no operation called 'C'; it has A, B")],
    ),
    (
        "a name where the only operation has none",
        {"query": "{__typename}", "operationName": "A"},
        [(None, "the document has no operation called 'A'; it has (unnamed)")],
    ),
    (
        "a variable that is missing",
        {"query": "query($id:ID!){trainingJob(id:$id){id}}"},
        [(None, "Variable '$id' has invalid value: Expected a value of non-null type 'ID!' to be provided.")],
    ),
    (
        "a variable of another type",
        {"query": "query($n:Int){trainingJobs(first:$n){totalCount}}", "variables": {"n": "x"}},
        [(None, "Variable '$n' has invalid value: Int cannot represent non-integer value: 'x'")],
    ),
    (
        "a time that is none",
        {
            "query": "query($t:DateTime){trainingJobs(filter:{createdAfter:$t}){totalCount}}",
            "variables": {"t": "yesterday"},
        },
        [
            (
                None,
                "Variable '$t' has invalid value: DateTime is RFC 3339 with a zone, such as 2026-02-06T10:00:00Z",
            )
        ],
    ),
    (
        "a directive that is not executed",
        {"query": "{...@defer{__typename}}"},
        [(None, "Unknown directive '@defer'.")],
    ),
    (
        "too many levels",
        {"query": "{trainingJobs{nodes" + "{trainingSheet{trainingJobs{nodes" * 8 + "{id}" + "}}}" * 8 + "}}"},
        [("TOO_COMPLEX", "the document is more than 24 levels deep; ask for less at once")],
    ),
]


@pytest.mark.parametrize(("accept", "status"), [("plain", 200), ("graphql", 400)])
@pytest.mark.parametrize(
    ("payload", "errors"), [case[1:] for case in NOT_EXECUTED], ids=[case[0] for case in NOT_EXECUTED]
)
async def test_what_was_not_executed_has_no_data(
    served: Served, payload: dict[str, Any], errors: list[tuple[str | None, str]], accept: str, status: int
) -> None:
    response = await served.http.post("/graphql", json=payload, headers={"Accept": ACCEPT[accept]})
    assert response.status_code == status
    assert response.headers["content-type"] == ACCEPT[accept] + "; charset=utf-8"
    assert words(response) == errors


async def test_a_browser_gets_a_page_unless_it_asks_something(served: Served) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
    page = await served.http.get("/graphql", headers=browser)
    answer = await served.http.get("/graphql", params={"query": COUNT}, headers=browser)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert (answer.status_code, answer.json()) == (200, COUNTED)


@pytest.mark.parametrize("accept", ["plain", "graphql"])
async def test_a_field_that_fails_leaves_the_data_of_the_others(served: Served, accept: str) -> None:
    query = 'query($id:ID="job_1"){jobs:trainingJobs{totalCount} trainingJob(id:$id){id}}'
    response = await served.post(query, accept=ACCEPT[accept], variables={"id": None})
    assert response.status_code == 200
    assert response.json() == {
        "errors": [
            {
                "message": "Argument 'id' has invalid value:"
                " Expected variable '$id' provided to non-null type 'ID!' not to be None.",
                "locations": [{"line": 1, "column": 68}],
                "path": ["trainingJob"],
                "extensions": {"code": "INVALID_ARGUMENT"},
            }
        ],
        "data": {"jobs": {"totalCount": JOBS}, "trainingJob": None},
    }


@pytest.mark.parametrize("accept", ["plain", "graphql"])
async def test_a_field_that_has_to_be_there_takes_all_data_along(served: Served, accept: str) -> None:
    response = await served.post("{__typename all: trainingJobs(first: -1) {totalCount}}", accept=ACCEPT[accept])
    assert response.status_code == 200
    assert response.json() == {
        "errors": [
            {
                "message": "first must not be negative",
                "locations": [{"line": 1, "column": 13}],
                "path": ["all"],
                "extensions": {"code": "INVALID_ARGUMENT"},
            }
        ],
        "data": None,
    }


async def test_what_fails_inside_is_logged_and_not_told(own: Served) -> None:
    connection = await asyncpg.connect(own.url)
    await connection.execute("ALTER TABLE training_jobs RENAME TO secret")
    await connection.close()
    with capture_logs() as logged:
        response = await own.post('{trainingJob(id:"job_1"){id} templates{totalCount}}')
    assert response.status_code == 200
    assert response.json() == {
        "errors": [{"message": "Unexpected error. It was logged.", "extensions": {"code": "INTERNAL_ERROR"}}],
        "data": None,
    }
    [line] = logged
    assert (line["event"], line["log_level"], line["path"]) == ("a field failed", "error", None)
    assert isinstance(line["exc_info"], asyncpg.UndefinedTableError)
    assert str(line["exc_info"]) == 'relation "training_jobs" does not exist'


async def test_a_lone_surrogate_in_an_error_is_still_json(served: Served) -> None:
    query = "query($f:TrainingJobFilter){trainingJobs(filter:$f){totalCount}}"
    body = json.dumps({"query": query, "variables": {"f": {"a\ud800": 1}}}).encode()
    response = await served.http.post("/graphql", content=body, headers={"Content-Type": "application/json"})
    [(_, message)] = words(response)
    assert message.endswith("not to include unknown field 'a\ud800', found: {'a\\ud800': 1}.")


async def test_the_job_of_a_world_is_as_it_was_written(served: Served, world: World) -> None:
    """Over the whole way: a request, one statement, and its bytes."""
    job_id = world.job_ids(status=JobStatus.SUCCEEDED.value)[0]
    before = len(served.statements)
    response = await served.post("query($id:ID!){trainingJob(id:$id){id status}}", variables={"id": job_id})
    assert response.json() == {"data": {"trainingJob": {"id": job_id, "status": "SUCCEEDED"}}}
    assert len(served.statements) - before == 1


async def test_a_client_may_ask_what_its_operation_might_have_cost(served: Served) -> None:
    body = {"query": "{trainingJobs(first:3){nodes{id}}}"}
    plain = await served.http.post("/graphql", json=body)
    told = await served.http.post("/graphql", json=body, headers={"X-GraphQL-Cost": "1"})
    assert plain.json().keys() == {"data"}
    assert told.json() == plain.json() | {"extensions": {"cost": {"requested": 7, "limit": 500_000}}}
    failing = {"query": '{node(id:"x"){id} trainingJobs(first:-1){totalCount} baseModels{name}}'}
    response = await served.http.post("/graphql", json=failing, headers={"X-GraphQL-Cost": "1"})
    assert response.json()["extensions"]["cost"]["limit"] == LIMITS.cost_in_python


@pytest.mark.parametrize("accept", ["plain", "graphql"])
async def test_what_costs_too_much_is_refused(served: Served, accept: str) -> None:
    query = (
        "{trainingJobs(first:100){nodes{events(first:100){nodes{" + " ".join(f"a{n}:id" for n in range(50)) + "}}}}}"
    )
    response = await served.post(query, accept=ACCEPT[accept])
    assert response.status_code == (200 if accept == "plain" else 400)
    [(code, message)] = words(response)
    assert code == "TOO_COMPLEX"
    assert message.startswith("the operation asks for up to 510,201 values and may ask for 500,000")


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_errors_of_variables_are_few_however_they_are_sent(served: Served, method: str) -> None:
    query = "query($n:[TrainingJobStatus!]){trainingJobs(filter:{status:$n}){totalCount}}"
    variables = {"n": [1] * 1_000}
    if method == "GET":
        parameters = {"query": query, "variables": json.dumps(variables, separators=(",", ":"))}
        response = await served.http.get("/graphql", params=parameters)
    else:
        response = await served.post(query, variables=variables)
    assert response.status_code == 200
    assert len(words(response)) == 11
    assert len(response.content) < 4_000


async def test_a_body_of_too_many_entries_is_refused(served: Served) -> None:
    content = b'{"query":"{__typename}","variables":{"a":[' + b"[]," * 250_000 + b"[]]}}"
    response = await served.http.post("/graphql", content=content, headers={"Content-Type": "application/json"})
    assert response.status_code == 413
    [(code, message)] = words(response)
    assert code == "TOO_LARGE"
    assert message.startswith("the request's body has more than 250000 lists, objects and entries")


async def test_a_server_with_too_many_large_requests_says_so(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offload, "MOST_WAITING", 0)
    for accept in ACCEPT.values():
        for query in ("{a:__typename}", "{__typename}#" + "x" * 10_000):
            response = await served.post(query, accept=accept)
            assert response.status_code == 503
            assert response.headers["Retry-After"] == "1"
            assert [code for code, _ in words(response)] == ["OVERLOADED"]


async def test_a_document_that_is_too_long_is_refused_whatever_it_says(served: Served) -> None:
    response = await served.post("{__typename}#" + "x" * 1_000_000, accept=ACCEPT["graphql"])
    assert response.status_code == 400
    [(code, message)] = words(response)
    assert code == "TOO_LARGE"
    assert message.startswith("the document has 1,000,013 characters and may have 100,000")
