"""Plans are kept and serve again, but only requests that would compile to the same; and there is an end to how many."""

import asyncio
import threading
from typing import Any

import pytest

from schema.reads import plans
from schema.reads.arguments import Request
from schema.reads.plans import Place, Plan, Value, compile_plan
from schema.reads.selection import Document
from tests.schema.clients import eventually
from tests.schema.conftest import Api, read
from tests.schema.world import EMPTY, JOBS, RICH, World

BY_NAME = "query ($by: String) { trainingJobs(first: 100, filter: { createdBy: $by }) { totalCount } }"


@pytest.mark.database
async def test_other_values_are_filled_into_the_same_plan(api: Api, world: World) -> None:
    for by in ("ben", "local", "anna@example.com", "nobody") * 3:
        assert (await api.ask(BY_NAME, by=by))["trainingJobs"]["totalCount"] == len(world.job_ids(created_by=by))
    assert len(api.statements) == 12
    assert len(set(api.statements)) == 1


@pytest.mark.database
async def test_whether_a_value_is_there_makes_another_plan(api: Api, world: World) -> None:
    for by in ("ben", None, "ben", None):
        columns = {} if by is None else {"created_by": by}
        assert (await api.ask(BY_NAME, by=by))["trainingJobs"]["totalCount"] == len(world.job_ids(**columns))
    assert len(set(api.statements)) == 2


@pytest.mark.database
async def test_words_of_closed_sets_and_sizes_of_pages_are_written_into_plans(api: Api, world: World) -> None:
    query = """query ($n: Int, $status: [TrainingJobStatus!], $order: TrainingJobOrder) {
      trainingJobs(first: $n, filter: { status: $status }, orderBy: $order) { nodes { id } }
    }"""
    for n, status, order in [
        (3, ["FAILED"], None),
        (2, ["FAILED"], None),
        (3, ["RUNNING"], None),
        (3, ["FAILED"], "CREATED_AT_ASC"),
        (3, [], None),
        (3, ["RUNNING", "FAILED"], None),
        (3, ["FAILED"], None),
    ]:
        rows = [row["id"] for row in world.newest_first() if row["status"] in status]
        found = (await api.ask(query, n=n, status=status, order=order))["trainingJobs"]["nodes"]
        assert [node["id"] for node in found] == (rows[::-1] if order else rows)[:n]
    assert len(set(api.statements)) == 6
    assert "LIMIT 4" in api.statements[0]
    assert "IN ('FAILED')" in api.statements[0]


@pytest.mark.database
async def test_pages_beyond_a_hundred_share_a_plan(api: Api) -> None:
    for size in (100, 101, 5_000, 2**31 - 1):
        await api.ask("query ($n: Int) { trainingJobs(first: $n) { totalCount nodes { id } } }", n=size)
    assert len(set(api.statements)) == 1


@pytest.mark.database
async def test_a_plan_serves_its_own_document_and_place_only(api: Api, world: World) -> None:
    job_id = world.jobs[RICH]["id"]
    query = "query ($id: ID!) { a: trainingJob(id: $id) { %s } b: trainingJob(id: $id) { %s } }"
    assert await api.ask(query % ("id", "status"), id=job_id) == {"a": {"id": job_id}, "b": {"status": "SUCCEEDED"}}
    assert await api.ask(query % ("status", "id"), id=job_id) == {"a": {"status": "SUCCEEDED"}, "b": {"id": job_id}}


@pytest.mark.database
async def test_operations_of_one_document_are_apart(api: Api) -> None:
    text = """query A { trainingJobs(first: 1) { totalCount } ...R }
    query B { trainingJobs(first: 2) { nodes { id } } ...R }
    fragment R on Query { sheets { totalCount } }"""
    found = []
    for name in ("A", "B", "A"):
        prepared = await api.execution.prepare({"query": text, "operationName": name})
        found.append(read(await api.execution.execute(prepared, api.context))["data"])
    assert found[0] == found[2] == {"trainingJobs": {"totalCount": JOBS}, "sheets": {"totalCount": 2}}
    assert len(found[1]["trainingJobs"]["nodes"]) == 2


@pytest.mark.database
async def test_requests_at_the_same_time_get_their_own_answers(api: Api, world: World) -> None:
    query = (
        "query ($id: ID!, $yes: Boolean!) { node(id: $id) { id @include(if: $yes) ... on TrainingJob { modelName } } }"
    )
    asked = [(row, place % 2 == 0) for place, row in enumerate(world.jobs * 2)]
    answers = await asyncio.gather(*(api.ask(query, id=row["id"], yes=yes) for row, yes in asked))
    assert [answer["node"] for answer in answers] == [
        {"id": row["id"], "modelName": row["model_name"]} if yes else {"modelName": row["model_name"]}
        for row, yes in asked
    ]
    assert len(set(api.statements)) == 2


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """The plans that are compiled, in order."""
    compiled: list[Plan] = []

    def compiling(*arguments: Any) -> Plan:  # noqa: ANN401  (compile_plan's)
        compiled.append(compile_plan(*arguments))
        return compiled[-1]

    monkeypatch.setattr(plans, "compile_plan", compiling)
    return compiled


def counting(alias: str) -> str:
    return f"{{ {alias}: trainingJobs(first: 1) {{ totalCount }} }}"


@pytest.mark.database
async def test_the_places_that_were_used_last_are_kept(
    api: Api, monkeypatch: pytest.MonkeyPatch, compilations: list[Plan]
) -> None:
    await api.ask(counting("a"))
    size = compilations[0].size + Place(counting("a"), (0,), "Query").size
    assert api.plans._size == size
    monkeypatch.setattr(plans, "MOST_KEPT", 2 * size)
    for alias in ("b", "a", "c", "a"):
        await api.ask(counting(alias))
        assert api.plans._size <= 2 * size
    assert len(compilations) == 3, "a was kept, because it was used after b"
    await api.ask(counting("b"))
    assert len(compilations) == 4


@pytest.mark.database
async def test_a_document_that_is_too_large_to_keep_is_answered_all_the_same(
    api: Api, monkeypatch: pytest.MonkeyPatch, compilations: list[Plan]
) -> None:
    monkeypatch.setattr(plans, "MOST_KEPT", 1)
    for _ in range(2):
        assert await api.ask(counting("a")) == {"a": {"totalCount": JOBS}}
    assert len(compilations) == 2
    assert (len(api.plans._places), api.plans._size) == (0, 0)


@pytest.mark.database
async def test_documents_that_can_t_be_compiled_leave_nothing_behind(api: Api) -> None:
    for number in range(5):
        await api.refusals(f"{{ a{number}: trainingJobs(first: -1) {{ totalCount }} }}")
    assert (len(api.plans._places), api.plans._size) == (0, 0)


@pytest.mark.database
async def test_shapes_of_one_place_are_given_up_when_there_are_too_many(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans, "MOST_SHAPES", 4)
    query = "query ($n: Int) { trainingJobs(first: $n) { nodes { id } } }"
    for size in [*range(10), *range(10)]:
        assert len((await api.ask(query, n=size))["trainingJobs"]["nodes"]) == size
    [(place, shapes)] = api.plans._places.items()
    assert len(shapes) == 4
    assert api.plans._size == place.size + sum(plan.size for plan in shapes)


@pytest.mark.database
async def test_a_value_that_is_bad_now_is_refused_though_a_plan_is_there(api: Api) -> None:
    query = """query ($n: Int, $last: Int, $by: String) {
      trainingJobs(first: $n, last: $last, filter: { createdBy: $by }) { totalCount }
    }"""
    await api.ask(query, n=1, by="ben")
    assert await api.refusals(query, n=-1, by="ben") == [("INVALID_ARGUMENT", "first must not be negative")]
    [(code, _)] = await api.refusals(query, n=1, last=1, by="ben")
    assert code == "INVALID_ARGUMENT"
    [(code, _)] = await api.refusals(query, n=1, by="a\0b")
    assert code == "INVALID_ARGUMENT"
    assert (await api.ask(query, n=1, by="nobody"))["trainingJobs"] == {"totalCount": 0}


@pytest.mark.database
async def test_a_kept_plan_reads_what_is_true_now(own: Api) -> None:
    for count in range(3):
        assert (await own.ask("{ sheets { totalCount } }"))["sheets"] == {"totalCount": count}
        await own.ask(f'mutation {{ createSheet(input: {{ name: "{count}", source: EXTERNAL }}) {{ __typename }} }}')


@pytest.mark.database
async def test_a_read_session_can_t_write(api: Api) -> None:
    settings = "SELECT ARRAY[current_setting('default_transaction_read_only'), current_setting('timezone')]"
    assert await api.database.reads.value(settings) == ["on", "UTC"]


@pytest.mark.database
async def test_the_empty_job_is_answered_by_the_plan_of_the_rich_one(api: Api, world: World) -> None:
    query = """query ($id: ID!) { trainingJob(id: $id) {
      metrics { trainLoss } lineage { modelVersion } events { totalCount } metricHistory { key }
    } }"""
    rich = (await api.ask(query, id=world.jobs[RICH]["id"]))["trainingJob"]
    empty = (await api.ask(query, id=world.jobs[EMPTY]["id"]))["trainingJob"]
    assert rich["metrics"] == {"trainLoss": 0.25}
    assert empty == {
        "metrics": None,
        "lineage": {"modelVersion": None},
        "events": {"totalCount": 0},
        "metricHistory": [],
    }
    assert len(set(api.statements)) == 1


@pytest.mark.database
async def test_a_short_selection_does_not_wait_for_long_ones_to_be_compiled(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_work, held, loop = threading.Event(), threading.Event(), threading.get_ident()

    def compiling(request: Request, document: Document, value: Value, most_bytes: int) -> Plan:
        assert threading.get_ident() != loop
        if not at_work.is_set():
            at_work.set()
            held.wait(10)
        return compile_plan(request, document, value, most_bytes)

    monkeypatch.setattr(plans, "compile_plan", compiling)
    long = "{" + " ".join(f"a{number}: trainingJobs(first: 1) {{ totalCount }}" for number in range(80)) + "}"
    waiting = asyncio.ensure_future(api.ask(long))
    await eventually(at_work.is_set)
    assert await api.ask("{ trainingJobs { totalCount } }") == {"trainingJobs": {"totalCount": JOBS}}
    assert not waiting.done()
    held.set()
    assert len(await waiting) == 80
