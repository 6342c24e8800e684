"""Pages: every row once, whichever way one walks; and each part of a connection read alone or beside the others."""

from typing import Any, TypeAlias

import pytest

from server.domain.ids import Kind
from server.storage import tables
from tests.schema.conftest import Api
from tests.schema.rows import add, curated, job, stable_id
from tests.schema.world import JOBS, RICH, RICH_EVENTS, World

pytestmark = pytest.mark.database

PAGE = """
query ($first: Int, $after: String, $last: Int, $before: String) {
  trainingJobs(first: $first, after: $after, last: $last, before: $before) {
    totalCount
    nodes { id }
    edges { cursor node { id } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}
"""
Expected: TypeAlias = tuple[slice, bool, bool]  # the rows of the page, and whether others follow and precede it
EMPTY = {"hasNextPage": False, "hasPreviousPage": False, "startCursor": None, "endCursor": None}


def ids(page: dict[str, Any]) -> list[str]:
    return [node["id"] for node in page["nodes"]]


async def page(api: Api, **arguments: object) -> dict[str, Any]:
    """A page of jobs; what holds of every page is asserted here."""
    found: dict[str, Any] = (await api.ask(PAGE, **arguments))["trainingJobs"]
    assert [edge["node"] for edge in found["edges"]] == found["nodes"]
    cursors = [edge["cursor"] for edge in found["edges"]]
    assert len(set(cursors)) == len(cursors)
    assert found["totalCount"] == JOBS
    assert found["pageInfo"]["startCursor"] == (cursors[0] if cursors else None)
    assert found["pageInfo"]["endCursor"] == (cursors[-1] if cursors else None)
    return found


async def cursor_of(api: Api, place: int) -> str:
    found = await page(api, first=JOBS)
    cursor: str = found["edges"][place]["cursor"]
    return cursor


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, (slice(0, 20), True, False)),
        ({"first": None, "last": None, "after": None, "before": None}, (slice(0, 20), True, False)),
        ({"first": 0}, (slice(0, 0), True, False)),
        ({"first": 1}, (slice(0, 1), True, False)),
        ({"first": JOBS - 1}, (slice(0, JOBS - 1), True, False)),
        ({"first": JOBS}, (slice(0, JOBS), False, False)),
        ({"first": JOBS + 1}, (slice(0, JOBS), False, False)),
        ({"first": 2**31 - 1}, (slice(0, JOBS), False, False)),
        ({"last": 0}, (slice(JOBS, JOBS), False, True)),
        ({"last": 1}, (slice(JOBS - 1, JOBS), False, True)),
        ({"last": JOBS - 1}, (slice(1, JOBS), False, True)),
        ({"last": JOBS}, (slice(0, JOBS), False, False)),
        ({"last": 2**31 - 1}, (slice(0, JOBS), False, False)),
    ],
)
async def test_a_page_is_cut_from_one_end(
    api: Api, world: World, arguments: dict[str, int | None], expected: Expected
) -> None:
    found = await page(api, **arguments)
    rows, following, preceding = expected
    assert ids(found) == world.job_ids()[rows]
    assert found["pageInfo"]["hasNextPage"] is following
    assert found["pageInfo"]["hasPreviousPage"] is preceding


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        # the newest four were created in one moment, so cursors 0 to 3 differ in their ids only
        ({"first": 2, "after": 0}, (slice(1, 3), True, True)),
        ({"first": 2, "after": 2}, (slice(3, 5), True, True)),
        ({"after": 3}, (slice(4, 24), True, True)),
        ({"after": 4}, (slice(5, 25), False, True)),
        ({"first": 2, "after": 22}, (slice(23, 25), False, True)),
        ({"first": 2, "after": 24}, (slice(25, 25), False, True)),
        ({"last": 2, "before": 3}, (slice(1, 3), True, True)),
        ({"last": 3, "before": 3}, (slice(0, 3), True, False)),
        ({"last": 2, "before": 0}, (slice(0, 0), True, False)),
        ({"last": 20, "before": 24}, (slice(4, 24), True, True)),
        # one end of what two cursors leave: the other cursor's row is there, beyond the page
        ({"first": 2, "before": 4}, (slice(0, 2), True, False)),
        ({"first": 4, "before": 4}, (slice(0, 4), True, False)),
        ({"before": 2}, (slice(0, 2), True, False)),
        ({"last": 2, "after": 20}, (slice(23, 25), False, True)),
        ({"last": 4, "after": 20}, (slice(21, 25), False, True)),
        ({"first": 2, "after": 5, "before": 20}, (slice(6, 8), True, True)),
        ({"first": 9, "after": 5, "before": 9}, (slice(6, 9), True, True)),
        ({"last": 2, "after": 5, "before": 20}, (slice(18, 20), True, True)),
        ({"last": 9, "after": 5, "before": 9}, (slice(6, 9), True, True)),
        ({"first": 9, "after": 9, "before": 5}, (slice(0, 0), True, True)),
    ],
)
async def test_cursors_bound_a_page(api: Api, world: World, arguments: dict[str, int], expected: Expected) -> None:
    cursors = {name: await cursor_of(api, place) for name, place in arguments.items() if name in {"after", "before"}}
    found = await page(api, **{**arguments, **cursors})
    rows, following, preceding = expected
    assert ids(found) == world.job_ids()[rows]
    assert found["pageInfo"]["hasNextPage"] is following
    assert found["pageInfo"]["hasPreviousPage"] is preceding


@pytest.mark.parametrize("size", [1, 2, 3, 24, 25])
async def test_a_walk_forwards_visits_each_row_once(api: Api, world: World, size: int) -> None:
    seen: list[str] = []
    after = None
    while True:
        found = await page(api, first=size, after=after)
        seen += ids(found)
        after = found["pageInfo"]["endCursor"]
        if not found["pageInfo"]["hasNextPage"]:
            break
    assert seen == world.job_ids()


@pytest.mark.parametrize("size", [1, 2, 3, 24, 25])
async def test_a_walk_backwards_visits_each_row_once(api: Api, world: World, size: int) -> None:
    seen: list[str] = []
    before = None
    while True:
        found = await page(api, last=size, before=before)
        seen = ids(found) + seen
        before = found["pageInfo"]["startCursor"]
        if not found["pageInfo"]["hasPreviousPage"]:
            break
    assert seen == world.job_ids()


async def test_the_oldest_come_first_when_asked(api: Api, world: World) -> None:
    query = """
    query ($order: TrainingJobOrder, $first: Int, $after: String, $last: Int, $before: String) {
      trainingJobs(orderBy: $order, first: $first, after: $after, last: $last, before: $before) {
        nodes { id } pageInfo { endCursor startCursor hasNextPage hasPreviousPage }
      }
    }
    """
    oldest = world.job_ids()[::-1]
    first = (await api.ask(query, order="CREATED_AT_ASC", first=22))["trainingJobs"]
    assert ids(first) == oldest[:22]
    rest = (await api.ask(query, order="CREATED_AT_ASC", first=22, after=first["pageInfo"]["endCursor"]))[
        "trainingJobs"
    ]
    assert ids(rest) == oldest[22:]
    last = (await api.ask(query, order="CREATED_AT_ASC", last=2))["trainingJobs"]
    assert ids(last) == oldest[-2:]
    back = (await api.ask(query, order="CREATED_AT_ASC", last=2, before=last["pageInfo"]["startCursor"]))[
        "trainingJobs"
    ]
    assert ids(back) == oldest[-4:-2]
    for order in ("CREATED_AT_DESC", None):
        assert ids((await api.ask(query, order=order, first=3))["trainingJobs"]) == world.job_ids()[:3]


async def test_pages_end_at_a_hundred(own: Api) -> None:
    _, _, training_sheet = await curated(own.database.engine)
    async with own.database.engine.begin() as connection:
        await add(connection, tables.training_jobs, [job(number, training_sheet) for number in range(102)])
    newest = [stable_id(Kind.JOB, number) for number in range(102)]
    for arguments, expected in (("first: 101", newest[:100]), ("first: 100", newest[:100]), ("last: 200", newest[2:])):
        found = (await own.ask(f"{{ trainingJobs({arguments}) {{ totalCount nodes {{ id }} }} }}"))["trainingJobs"]
        assert ids(found) == expected
        assert found["totalCount"] == 102
    nested = (await own.ask("{ sheets { nodes { trainingJobs(first: 101) { nodes { id } totalCount } } } }"))["sheets"]
    assert nested == {"nodes": [{"trainingJobs": {"nodes": [], "totalCount": 0}}]}
    below = (await own.ask("{ trainingSheets { nodes { trainingJobs(first: 101) { nodes { id } } } } }"))[
        "trainingSheets"
    ]
    assert ids(below["nodes"][0]["trainingJobs"]) == newest[:100]


@pytest.mark.parametrize(
    "root",
    ["trainingJobs", "activeTrainingJobs", "trainingSheets", "sheets", "templates", "canonicalLabels"],
)
async def test_a_list_of_nothing_is_an_empty_page(own: Api, root: str) -> None:
    whole = "{ totalCount nodes { id } edges { cursor node { id } } pageInfo {"
    found = await own.ask(f"{{ {root} {whole} hasNextPage hasPreviousPage startCursor endCursor }} }} }}")
    assert found == {root: {"totalCount": 0, "nodes": [], "edges": [], "pageInfo": EMPTY}}


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ("__typename", {"__typename": "TrainingJobConnection"}),
        ("totalCount", {"totalCount": JOBS}),
        ("pageInfo { __typename }", {"pageInfo": {"__typename": "PageInfo"}}),
        ("pageInfo { hasNextPage }", {"pageInfo": {"hasNextPage": True}}),
        ("pageInfo { hasPreviousPage }", {"pageInfo": {"hasPreviousPage": False}}),
        ("nodes { __typename }", {"nodes": [{"__typename": "TrainingJob"}] * 2}),
        ("edges { __typename }", {"edges": [{"__typename": "TrainingJobEdge"}] * 2}),
        ("edges { node { __typename } }", {"edges": [{"node": {"__typename": "TrainingJob"}}] * 2}),
    ],
)
async def test_each_part_of_a_page_can_be_read_alone(api: Api, selection: str, expected: dict[str, Any]) -> None:
    assert await api.ask(f"{{ trainingJobs(first: 2) {{ {selection} }} }}") == {"trainingJobs": expected}


async def test_parts_of_a_page_may_be_asked_twice_under_other_names(api: Api, world: World) -> None:
    query = """{ trainingJobs(first: 2) {
      a: nodes { id } b: nodes { status } c: totalCount d: totalCount
      e: edges { x: cursor y: cursor n: node { id } m: node { status } }
      p: pageInfo { s: startCursor t: startCursor } q: pageInfo { hasNextPage }
    } }"""
    found = (await api.ask(query))["trainingJobs"]
    newest = world.newest_first()[:2]
    assert found["a"] == [{"id": row["id"]} for row in newest]
    assert found["b"] == [{"status": row["status"]} for row in newest]
    assert (found["c"], found["d"]) == (JOBS, JOBS)
    assert [(edge["n"], edge["m"]) for edge in found["e"]] == list(zip(found["a"], found["b"], strict=True))
    assert [edge["x"] for edge in found["e"]] == [edge["y"] for edge in found["e"]]
    assert found["p"] == {"s": found["e"][0]["x"], "t": found["e"][0]["x"]}
    assert found["q"] == {"hasNextPage": True}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", (slice(0, 12), False, False)),
        ("(first: 3)", (slice(0, 3), True, False)),
        ("(last: 3)", (slice(9, 12), False, True)),
        ("(last: 12)", (slice(0, 12), False, False)),
        ("(first: 0)", (slice(0, 0), True, False)),
    ],
)
async def test_a_page_below_a_row(api: Api, world: World, arguments: str, expected: Expected) -> None:
    query = f"""query ($id: ID!) {{ trainingJob(id: $id) {{ events{arguments} {{
      totalCount nodes {{ sequence }} pageInfo {{ hasNextPage hasPreviousPage }}
    }} }} }}"""
    rows, following, preceding = expected
    found = (await api.ask(query, id=world.jobs[RICH]["id"]))["trainingJob"]["events"]
    assert found == {
        "totalCount": len(RICH_EVENTS),
        "nodes": [{"sequence": sequence} for sequence in list(range(1, 13))[rows]],
        "pageInfo": {"hasNextPage": following, "hasPreviousPage": preceding},
    }


async def test_pages_below_many_rows_are_each_their_own(api: Api, world: World) -> None:
    query = "{ trainingJobs(first: 100) { nodes { id events(last: 2) { totalCount nodes { sequence jobId } } } } }"
    found = (await api.ask(query))["trainingJobs"]["nodes"]
    for node in found:
        own = [row["sequence"] for row in world.events if row["job_id"] == node["id"]]
        shown = [{"sequence": sequence, "jobId": node["id"]} for sequence in own[-2:]]
        assert node["events"] == {"totalCount": len(own), "nodes": shown}
