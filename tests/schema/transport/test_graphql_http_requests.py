"""Requests over HTTP that are odd, or none: they are told so, and nothing that a client sends is answered with 500."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from tests.schema.served import Served, serving
from tests.schema.world import JOBS, World

pytestmark = [pytest.mark.database, pytest.mark.asyncio(loop_scope="module")]

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


MALFORMED: list[tuple[str, bytes, str]] = [
    ("a string", b'"{__typename}"', "the request must be a JSON object with a query"),
    ("a number", b"1", "the request must be a JSON object with a query"),
    ("null", b"null", "the request must be a JSON object with a query"),
    ("true", b"true", "the request must be a JSON object with a query"),
    ("a batch", b'[{"query":"{__typename}"}]', "the request must be a JSON object with a query"),
    ("no query", b'{"qeury":"{__typename}"}', "query must be a string"),
    ("an object for the query", b'{"query":{"obj":"ect"}}', "query must be a string"),
    ("a number for the query", b'{"query":0}', "query must be a string"),
    ("null for the query", b'{"query":null}', "query must be a string"),
    ("a list for the query", b'{"query":["array"]}', "query must be a string"),
    ("a number for the name", b'{"query":"{__typename}","operationName":0}', "operationName must be a string"),
    ("an object for the name", b'{"query":"{__typename}","operationName":{}}', "operationName must be a string"),
    ("false for the name", b'{"query":"{__typename}","operationName":false}', "operationName must be a string"),
    ("a list for the name", b'{"query":"{__typename}","operationName":["A"]}', "operationName must be a string"),
    ("a string for the variables", b'{"query":"{__typename}","variables":"{}"}', "variables must be an object"),
    ("a number for the variables", b'{"query":"{__typename}","variables":0}', "variables must be an object"),
    ("false for the variables", b'{"query":"{__typename}","variables":false}', "variables must be an object"),
    ("a list for the variables", b'{"query":"{__typename}","variables":["a"]}', "variables must be an object"),
    ("a string for the extensions", b'{"query":"{__typename}","extensions":"a"}', "extensions must be an object"),
    ("a number for the extensions", b'{"query":"{__typename}","extensions":0}', "extensions must be an object"),
    ("false for the extensions", b'{"query":"{__typename}","extensions":false}', "extensions must be an object"),
    ("a list for the extensions", b'{"query":"{__typename}","extensions":[]}', "extensions must be an object"),
    ("nothing", b"", "the request's body is not valid JSON in UTF-8"),
    ("the beginning of JSON", b'{ "not a JSON', "the request's body is not valid JSON in UTF-8"),
    ("bytes that are no UTF-8", b'{"query":"\xff"}', "the request's body is not valid JSON in UTF-8"),
    ("UTF-16", '{"query":"{__typename}"}'.encode("utf-16"), "the request's body is not valid JSON in UTF-8"),
    ("100,000 levels", b"[" * 100_000, "the request's body is not valid JSON in UTF-8"),
    (
        "5,000 digits",
        b'{"query":"{__typename}","variables":{"n":' + b"9" * 5000 + b"}}",
        "the request's body is not valid JSON in UTF-8",
    ),
    ("NaN", b'{"query":"{__typename}","variables":{"n":NaN}}', "the request's body is not valid JSON in UTF-8"),
    ("infinity", b'{"query":"{__typename}","variables":{"n":-1e999}}', "the request's body is not valid JSON in UTF-8"),
    (
        "a subscription",
        b'{"query":"subscription{trainingJobsUpdated{id}}"}',
        "a subscription needs a WebSocket, or Accept: text/event-stream",
    ),
]


@pytest.mark.parametrize("accept", ["plain", "graphql"])
@pytest.mark.parametrize(("body", "message"), [case[1:] for case in MALFORMED], ids=[case[0] for case in MALFORMED])
async def test_a_body_that_is_no_request_is_400_for_every_client(
    served: Served, body: bytes, message: str, accept: str
) -> None:
    headers = {"Content-Type": "application/json", "Accept": ACCEPT[accept]}
    response = await served.http.post("/graphql", content=body, headers=headers)
    assert (response.status_code, response.headers["content-type"]) == (400, ACCEPT[accept] + "; charset=utf-8")
    assert words(response) == [("BAD_REQUEST", message)]


@pytest.mark.parametrize(
    "body",
    [
        b'{"query":"{trainingJobs{totalCount}}","variables":null,"operationName":null,"extensions":null}',
        b'{"query":"{trainingJobs{totalCount}}","variables":{},"extensions":{"some":"value"},"id":"1"}',
        b'{"query":"{","query":"{trainingJobs{totalCount}}"}',
        b' \n{"query":"query Q{trainingJobs{totalCount}}","operationName":"Q"}\t',
        b'{"query":"query A{__typename} query B{trainingJobs{totalCount}}","operationName":"B"}',
        b'{"query":"{trainingJobs{totalCount}}","variables":{"unknown":1e308,"\\ud800":[[[]]]}}',
    ],
)
@pytest.mark.parametrize("accept", ["plain", "graphql"])
async def test_a_request_may_say_more_than_is_needed(served: Served, body: bytes, accept: str) -> None:
    headers = {"Content-Type": "application/json", "Accept": ACCEPT[accept]}
    response = await served.http.post("/graphql", content=body, headers=headers)
    assert (response.status_code, response.json()) == (200, COUNTED)


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200),
        ("Application/JSON ; Charset=UTF-8", 200),
        ('application/json;charset="utf-8";v=1', 200),
        ("application/json;charset=utf8", 200),
        ("application/json; charset=iso-8859-1", 415),
        ("application/json; v=1; charset=utf-16", 415),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=a", 415),
        ("application/graphql", 415),
        ("application/json-patch+json", 415),
        ("json", 415),
        (None, 415),
    ],
)
async def test_a_body_of_another_type_is_415(served: Served, content_type: str | None, status: int) -> None:
    headers = [] if content_type is None else [("Content-Type", content_type)]
    response = await served.raw(json.dumps({"query": COUNT}).encode(), headers)
    assert response.status_code == status
    if status == 200:
        assert response.json() == COUNTED
    else:
        message = "the request's Content-Type must be application/json in UTF-8"
        assert words(response) == [("UNSUPPORTED_MEDIA_TYPE", message)]


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
async def test_other_methods_are_405_and_told_which_there_are(served: Served, method: str) -> None:
    response = await served.http.request(method, "/graphql")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, POST")
    if method != "HEAD":
        assert words(response) == [("METHOD_NOT_ALLOWED", "GraphQL is asked by GET or POST")]


@pytest.mark.parametrize(
    "parameters",
    [
        {"query": COUNT},
        {"query": COUNT, "operationName": "", "variables": "", "extensions": ""},
        {"query": COUNT, "variables": "null", "extensions": '{"some":"value"}'},
        {"query": "query A{__typename} query B{trainingJobs{totalCount}}", "operationName": "B"},
        {"query": "query($n:Int){trainingJobs(first:$n){totalCount}}", "variables": '{"n":1}'},
    ],
)
@pytest.mark.parametrize("accept", ["plain", "graphql"])
async def test_a_query_may_be_asked_by_get(served: Served, parameters: dict[str, str], accept: str) -> None:
    response = await served.http.get("/graphql", params=parameters, headers={"Accept": ACCEPT[accept]})
    assert (response.status_code, response.json()) == (200, COUNTED)


@pytest.mark.parametrize(
    ("parameters", "code", "message"),
    [
        ({}, "BAD_REQUEST", "query must be a string"),
        ({"query": ""}, "BAD_REQUEST", "query must be a string"),
        ({"query": COUNT, "variables": "{"}, "BAD_REQUEST", "variables is not valid JSON in UTF-8"),
        ({"query": COUNT, "variables": "[]"}, "BAD_REQUEST", "variables must be an object"),
        ({"query": COUNT, "extensions": "x"}, "BAD_REQUEST", "extensions is not valid JSON in UTF-8"),
        (
            {"query": "subscription{trainingJobsUpdated{id}}"},
            "BAD_REQUEST",
            "a subscription needs a WebSocket, or Accept: text/event-stream",
        ),
    ],
)
async def test_a_get_that_asks_nothing_is_400(
    served: Served, parameters: dict[str, str], code: str, message: str
) -> None:
    response = await served.http.get("/graphql", params=parameters)
    assert response.status_code == 400
    assert words(response) == [(code, message)]


async def test_a_mutation_by_get_changes_nothing(own: Served) -> None:
    mutation = 'mutation{createSheet(input:{name:"a",source:EXTERNAL}){__typename}}'
    for accept in ACCEPT.values():
        response = await own.http.get("/graphql", params={"query": mutation}, headers={"Accept": accept})
        assert (response.status_code, response.headers["allow"]) == (405, "POST")
        assert words(response) == [("METHOD_NOT_ALLOWED", "a mutation can't be asked by GET")]
    assert (await own.post("{sheets{totalCount}}")).json() == {"data": {"sheets": {"totalCount": 0}}}
    assert (await own.post(mutation)).json() == {"data": {"createSheet": {"__typename": "Sheet"}}}
    assert (await own.post("{sheets{totalCount}}")).json() == {"data": {"sheets": {"totalCount": 1}}}
