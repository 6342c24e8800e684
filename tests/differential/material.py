"""What arguments are drawn from: the ids in the data, and cursors that answers gave."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from schema.roots.query import TYPES
from server.domain.ids import Kind
from tests.differential import curated, data, trained
from tests.schema.conftest import Api
from tests.schema.rows import rfc3339

LISTS = """{
  trainingJobs(first: 100) { edges { cursor } __typename }
  canonicalLabels(first: 100) { edges { cursor } __typename }
  sheets(first: 100) { edges { cursor } __typename }
  templates(first: 100) { edges { cursor } __typename }
  trainingSheets(first: 100) {
    edges { cursor node { qaPairs(first: 100) { edges { cursor } __typename } } }
    __typename
  }
  jobs: trainingJobs(first: 100) { nodes {
    events(first: 100) { edges { cursor } __typename }
    lineage { pairs(first: 100) { edges { cursor } __typename } }
  } }
}"""


@dataclass(frozen=True)
class Material:
    """`ids` by the type of what they name, `cursors` by the type of the list that they belong to."""

    ids: Mapping[str, Sequence[str]]
    cursors: Mapping[str, Sequence[str]]
    moments: Sequence[str]
    creators: Sequence[str]
    models: Sequence[str] = trained.MODELS
    series: Sequence[str] = trained.SERIES
    versions: Sequence[str] = ("0", "1", "2", "3")
    items: Sequence[str] = curated.ITEMS


async def gather(api: Api) -> Material:
    """Read the cursors of all lists, and take everything else from the rows."""
    rows = data.rows()
    ids = {
        TYPES[Kind(all_rows[0]["id"].partition("_")[0])]: [row["id"] for row in all_rows]
        for all_rows in rows.values()
        if "id" in all_rows[0]
    }
    jobs = rows["training_jobs"]
    cursors: dict[str, list[str]] = {}
    _collect(await api.ask(LISTS), cursors)
    return Material(
        ids,
        cursors,
        sorted({rfc3339(row["created_at"]) for row in jobs}),
        sorted({row["created_by"] for row in jobs}),
    )


def _collect(answer: Any, cursors: dict[str, list[str]]) -> None:  # noqa: ANN401  (JSON)
    if isinstance(answer, list):
        for item in answer:
            _collect(item, cursors)
    if isinstance(answer, dict):
        if "__typename" in answer:
            known = cursors.setdefault(answer["__typename"], [])
            known += [edge["cursor"] for edge in answer["edges"] if edge["cursor"] not in known]
        for item in answer.values():
            _collect(item, cursors)
