"""Cursors are opaque: what a page gave comes back, and anything else is a clear error."""

import base64
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import DateTime, Text

from schema.reads.arguments import BadArgument
from schema.reads.cursors import decode
from schema.types.curation import JOBS as JOBS_ORDER
from tests.schema.conftest import Api
from tests.schema.rows import NEWEST, rfc3339
from tests.schema.world import RICH, World

JOBS = "query ($cursor: String) { trainingJobs(after: $cursor, first: 2) { totalCount nodes { id } } }"
BACK = "query ($cursor: String) { trainingJobs(before: $cursor, last: 2) { totalCount nodes { id } } }"
EVENTS = """query ($cursor: String, $id: ID!) {
  trainingJob(id: $id) { events(after: $cursor) { nodes { sequence } } }
}"""
PAIRS = "query ($cursor: String) { trainingSheets { nodes { qaPairs(after: $cursor) { totalCount } } } }"
MOMENT = "2026-02-06T10:00:00.123456Z"
REFUSED = "is not a cursor of this list; use one that a page of it gave you"


def written(*values: object) -> str:
    return base64.b64encode(json.dumps(values).encode()).decode()


def refused(name: str = "after") -> list[tuple[str, str]]:
    return [("INVALID_ARGUMENT", f"{name} {REFUSED}")]


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "abc",
        "=",
        "é",
        "\ud800",
        "a\0b",
        "W10=",  # []
        base64.b64encode(b'["jobs", "2026-02-06T10:00:00.123456Z", "job_x"]').decode() + "!",
        "\n" + base64.b64encode(b'["jobs", "2026-02-06T10:00:00.123456Z", "job_x"]').decode(),
        base64.b64encode(b"[" * 100_000).decode(),
        base64.b64encode(b'["jobs", ' + b"9" * 5000 + b"]").decode(),
        base64.b64encode(b"\xff\xfe").decode(),
        base64.b64encode(b"null").decode(),
        base64.b64encode(b'{"jobs": 1}').decode(),
        base64.b64encode(b'"jobs"').decode(),
        base64.b64encode(b'["jobs", NaN, "x"]').decode(),
        written(None),
        written(["jobs"], MOMENT, "job_x"),
        written("jobs"),
        written("jobs", MOMENT),
        written("jobs", MOMENT, "job_x", "job_x"),
        written("jobs", None, "job_x"),
        written("jobs", 1, "job_x"),
        written("jobs", MOMENT, None),
        written("jobs", MOMENT, 1),
        written("jobs", MOMENT, ["job_x"]),
        written("jobs", MOMENT, {"a": "b"}),
        written("jobs", "job_x", MOMENT),
        written("jobs", "", "job_x"),
        written("jobs", "infinity", "job_x"),
        written("jobs", "2026-02-30T10:00:00.123456Z", "job_x"),
        written("jobs", "2026-02-06T10:00:00.123456", "job_x"),
        written("jobs", "0001-01-01T00:00:00.000000+05:00", "job_x"),
        written("jobs", "9999-12-31T23:59:59.999999-05:00", "job_x"),
        written("events", 1),
        written("sheets", MOMENT, "sheet_x"),
        written("pairs", MOMENT, "qa_x"),
    ],
)
@pytest.mark.database
async def test_what_no_page_gave_is_refused(api: Api, text: str) -> None:
    assert await api.refusals(JOBS, cursor=text) == refused()
    assert await api.refusals(BACK, cursor=text) == refused("before")
    assert api.statements == [], "nothing is asked of the database"


@pytest.mark.parametrize("value", [None, True, 1.0, 1e400, "1", [1], 2**31, -(2**31) - 1, 2**70])
@pytest.mark.database
async def test_a_number_of_a_cursor_is_a_number_that_can_be_stored(api: Api, world: World, value: object) -> None:
    assert await api.refusals(EVENTS, cursor=written("events", value), id=world.jobs[RICH]["id"]) == refused()


@pytest.mark.parametrize(
    ("text", "reason"), [("a\0b", "contains a NUL character"), ("\ud800", "contains a lone surrogate")]
)
@pytest.mark.database
async def test_a_text_of_a_cursor_is_one_that_can_be_stored(api: Api, text: str, reason: str) -> None:
    [(code, message)] = await api.refusals(JOBS, cursor=written("jobs", MOMENT, text))
    assert code == "INVALID_ARGUMENT"
    assert message.startswith(f"after {reason}")


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z"])
@pytest.mark.database
async def test_a_cursor_at_the_ends_of_time_bounds_nothing_or_everything(api: Api, world: World, moment: str) -> None:
    [found] = (await api.ask(JOBS, cursor=written("jobs", moment, "job_x"))).values()
    assert [node["id"] for node in found["nodes"]] == (world.job_ids()[:2] if moment[0] == "9" else [])


@pytest.mark.database
async def test_a_cursor_is_the_row_s_place_to_the_microsecond(api: Api, world: World) -> None:
    [found] = (await api.ask("{ trainingJobs(first: 5) { edges { cursor } } }")).values()
    cursors = [json.loads(base64.b64decode(edge["cursor"])) for edge in found["edges"]]
    assert cursors == [["jobs", rfc3339(row["created_at"]), row["id"]] for row in world.newest_first()[:5]]
    assert rfc3339(NEWEST) == MOMENT
    assert all("\n" not in edge["cursor"] for edge in found["edges"])


@pytest.mark.database
async def test_an_event_s_own_cursor_is_the_one_of_its_edge(api: Api, world: World) -> None:
    query = "query ($id: ID!) { trainingJob(id: $id) { events { edges { cursor node { cursor sequence } } } } }"
    edges = (await api.ask(query, id=world.jobs[RICH]["id"]))["trainingJob"]["events"]["edges"]
    assert [edge["node"]["cursor"] for edge in edges] == [edge["cursor"] for edge in edges]
    for edge in edges:
        after = (await api.ask(EVENTS, cursor=edge["cursor"], id=world.jobs[RICH]["id"]))["trainingJob"]["events"]
        assert [node["sequence"] for node in after["nodes"]] == list(range(edge["node"]["sequence"] + 1, 13))


@pytest.mark.database
async def test_a_cursor_of_one_list_of_jobs_serves_the_others(api: Api, world: World) -> None:
    """They are in one order, so a client may change its filter and go on from where it is."""
    [found] = (await api.ask("{ trainingJobs(first: 6) { pageInfo { endCursor } } }")).values()
    query = "query ($c: String) { trainingJobs(after: $c, filter: { status: [FAILED] }) { nodes { id } } }"
    [rest] = (await api.ask(query, c=found["pageInfo"]["endCursor"])).values()
    expected = [row["id"] for row in world.newest_first()[6:] if row["status"] == "FAILED"]
    assert [node["id"] for node in rest["nodes"]] == expected


@given(st.text() | st.binary().map(lambda raw: base64.b64encode(raw).decode()))
def test_decoding_any_text_gives_values_or_a_clear_error(text: str) -> None:
    message = None
    try:
        found = decode(text, JOBS_ORDER, [DateTime(timezone=True), Text()], "after")
    except BadArgument as error:
        found, message = [], error.message
    assert isinstance(found, list)
    assert message in {None, f"after {REFUSED}"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.datetimes().map(rfc3339),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=5,
)
cursors = (
    st.text(st.characters())
    | st.binary().map(lambda raw: base64.b64encode(raw).decode())
    | st.builds(written, st.sampled_from(["jobs", "pairs"]), json_values, json_values)
    | st.builds(written, st.just("jobs"), st.datetimes().map(rfc3339), st.text(st.characters()))
)


@pytest.mark.database
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(cursor=cursors)
async def test_no_text_makes_a_read_fail_inside(api: Api, cursor: str) -> None:
    for query in (JOBS, BACK, PAIRS):
        answer = await api.execute(query, cursor=cursor)
        assert {error["extensions"]["code"] for error in answer.get("errors", ())} <= {"INVALID_ARGUMENT"}
