"""@skip and @include: what is left of a selection, each time for the values of that request."""

from typing import Any

import pytest

from tests.schema.conftest import Api
from tests.schema.world import RICH, World

pytestmark = pytest.mark.database


@pytest.fixture
def rich(world: World) -> str:
    job_id: str = world.jobs[RICH]["id"]
    return job_id


SKIPPING = """
query ($yes: Boolean!, $no: Boolean = false) {
  trainingJobs(first: 1) {
    nodes {
      a: modelName @skip(if: $yes)
      b: modelName @include(if: $yes)
      c: modelName @skip(if: true)
      d: modelName @include(if: false)
      e: modelName @skip(if: false) @include(if: true)
      f: modelName @skip(if: $no) @include(if: $yes)
      ... @include(if: $yes) { g: modelName }
      ... on TrainingJob @skip(if: $yes) { h: modelName }
      ...Named @skip(if: $yes)
      lineage @include(if: $yes) { modelName }
      lineage { modelName @skip(if: $yes) sheetName templateName @skip(if: $no) }
    }
    totalCount @skip(if: $yes)
    pageInfo @include(if: $yes) { hasNextPage }
  }
}
fragment Named on TrainingJob { i: modelName }
"""
UNSKIPPED = {
    (False, False): "a e h i",
    (True, False): "b e f g",
    (False, True): "a e h i",
    (True, True): "b e g",
}


async def test_what_is_skipped_depends_on_the_variables_of_each_request(api: Api) -> None:
    """The same document over and over: no plan of other values may serve."""
    for yes, no in [(False, False), (True, False), (False, True), (True, True)] * 2:
        found = (await api.ask(SKIPPING, yes=yes, no=no))["trainingJobs"]
        [node] = found["nodes"]
        kept = {key for key in node if key != "lineage"}
        assert kept == set(UNSKIPPED[yes, no].split()), (yes, no)
        assert set(node["lineage"]) == {"modelName", "sheetName", *(() if no else ("templateName",))}
        assert set(found) == ({"nodes", "pageInfo"} if yes else {"nodes", "totalCount"})


async def test_what_is_skipped_is_not_read(api: Api, rich: str) -> None:
    query = """query ($id: ID!, $yes: Boolean!) { trainingJob(id: $id) {
      id events @skip(if: $yes) { totalCount } ...Metrics @skip(if: $yes) ... @skip(if: $yes) { lineage { jobId } }
    } }
    fragment Metrics on TrainingJob { metrics { trainLoss } }"""
    for yes in (True, False, True):
        assert len((await api.ask(query, id=rich, yes=yes))["trainingJob"]) == (1 if yes else 4)
        sent = api.statements[-1]
        for table in ("training_job_events", "training_job_metrics", "training_job_lineage"):
            assert (f" {table} " in sent) is not yes


async def test_a_root_field_that_is_merged_or_not_is_read_as_asked_each_time(api: Api, world: World) -> None:
    query = """query ($more: Boolean!, $other: Boolean!) {
      trainingJobs(first: 1) { totalCount }
      trainingJobs(first: 1) @include(if: $more) { nodes { id } }
      ...Other @include(if: $other)
      node(id: "job_x") @skip(if: $more) { id }
      node(id: "job_x") @skip(if: $other) { __typename }
    }
    fragment Other on Query { trainingJobs(first: 1) { pageInfo { hasNextPage } } }"""
    parts: dict[str, Any] = {
        "totalCount": 25,
        "nodes": [{"id": world.job_ids()[0]}],
        "pageInfo": {"hasNextPage": True},
    }
    for more, other in [(False, False), (True, False), (False, True), (True, True)] * 2:
        wanted = ["totalCount", *(["nodes"] if more else []), *(["pageInfo"] if other else [])]
        found = await api.ask(query, more=more, other=other)
        assert found["trainingJobs"] == {key: parts[key] for key in wanted}
        assert ("node" in found) is not (more and other)


async def test_a_fragment_that_is_skipped_once_may_be_included_by_a_later_spread(api: Api, rich: str) -> None:
    query = """query ($id: ID!, $skip: Boolean = true) { trainingJob(id: $id) {
      ...F @skip(if: $skip) ... on Node { ...F @include(if: false) } lineage { ...L @skip(if: true) ...L }
      ...F
    } }
    fragment F on TrainingJob { id } fragment L on TrainingJobLineage { jobId }"""
    for skip in (True, False):
        assert await api.ask(query, id=rich, skip=skip) == {"trainingJob": {"id": rich, "lineage": {"jobId": rich}}}


async def test_a_selection_of_which_nothing_is_left_is_an_empty_object(api: Api, rich: str) -> None:
    query = """query ($id: ID!, $no: Boolean = false) {
      trainingJob(id: $id) {
        ...Nothing lineage { jobId @include(if: $no) } excluded { count @skip(if: true) }
        events(first: 1) { nodes { id @include(if: $no) } edges { cursor @include(if: $no) }
          pageInfo { hasNextPage @include(if: $no) } }
      }
      a: trainingJobs(first: 2) { nodes { id @include(if: $no) } } b: trainingJobs { totalCount @include(if: $no) }
      node(id: $id) { ... on QaPair { id } }
    }
    fragment Nothing on Node { id @include(if: $no) }"""
    assert await api.ask(query, id=rich) == {
        "trainingJob": {
            "lineage": {},
            "excluded": [{}, {}, {}],
            "events": {"nodes": [{}], "edges": [{}], "pageInfo": {}},
        },
        "a": {"nodes": [{}, {}]},
        "b": {},
        "node": {},
    }
