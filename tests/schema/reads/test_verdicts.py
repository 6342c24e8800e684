"""A pair's verdict is that of the gates, whichever pair it is."""

import itertools
from typing import Any

import pytest

from server.domain.caller import LOCAL
from server.domain.defects import defect
from server.domain.examples import Message
from server.domain.gates import DataUse, PairStatus, Verdict
from server.services.curation import Curation, NewPair
from tests.oracle import gates
from tests.oracle.gates import Uses
from tests.schema.conftest import Api
from tests.schema.rows import curated

pytestmark = pytest.mark.database

USES: list[tuple[list[str], list[str]]] = [
    (list(DataUse), []),
    ([], []),
    (["TRAINING"], ["TRAINING"]),
    (["VALIDATION"], []),
    (["TRAINING"], ["VALIDATION"]),
]
TALKS = [
    [Message("user", "q"), Message("assistant", "a")],
    [Message("user", "q")],
    [Message("user", "q"), Message("assistant", " ")],
]


async def test_the_verdict_is_the_gates_own(own: Api) -> None:
    """Every status with every use of a pair, and of its label or none, over good and bad messages."""
    curation = Curation(own.database.engine)
    sheet, _, training_sheet = await curated(own.database.engine)
    labels: list[tuple[str | None, Uses | None]] = [(None, None)]
    for number, (allowed, prohibited) in enumerate(USES):
        label = await curation.create_canonical_label(
            LOCAL,
            sheet_id=sheet,
            item_ref=f"i{number}",
            label_type="x",
            label_data={},
            allowed_uses=allowed,
            prohibited_uses=prohibited,
        )
        labels.append((label, _uses(allowed, prohibited)))
    pairs, expected = [], []
    for status, own_uses, (label_id, of_label), talk in itertools.product(PairStatus, USES, labels, TALKS):
        allowed, prohibited = own_uses
        pairs.append(NewPair(talk, None, label_id, status, allowed, prohibited))
        malformed = defect(talk) is not None
        expected.append(gates.verdict(status, _uses(allowed, prohibited), of_label, malformed=malformed))
    written = await curation.add_qa_pairs(LOCAL, training_sheet, pairs)
    assert set(expected) == set(Verdict)
    assert await _verdicts(own, training_sheet) == list(zip(written, expected, strict=True))


def _uses(allowed: list[str], prohibited: list[str]) -> Uses:
    return Uses({DataUse(use) for use in allowed}, {DataUse(use) for use in prohibited})


async def _verdicts(own: Api, training_sheet: str) -> list[tuple[str, Any]]:
    query = """query ($id: ID!, $after: String) { trainingSheet(id: $id) { qaPairs(first: 100, after: $after) {
      nodes { id verdict } pageInfo { hasNextPage endCursor }
    } } }"""
    found: list[tuple[str, Any]] = []
    page: dict[str, Any] = {"hasNextPage": True, "endCursor": None}
    while page["hasNextPage"]:
        answer = await own.ask(query, id=training_sheet, after=page["endCursor"])
        pairs = answer["trainingSheet"]["qaPairs"]
        found += [(node["id"], node["verdict"]) for node in pairs["nodes"]]
        page = pairs["pageInfo"]
    return found
