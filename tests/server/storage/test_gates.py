"""The gates in SQL are the plain rules, for every pair and label that they can tell apart."""

from itertools import product

import pytest
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from server.domain.defects import Defect
from server.domain.gates import DataUse, PairStatus
from server.storage import gates
from server.storage.migrations import driver_url
from server.storage.tables import canonical_labels, qa_pairs, sheets, templates, training_sheets
from tests.oracle import gates as rules
from tests.oracle.gates import Uses

pytestmark = pytest.mark.database

ASKED_FOR = (DataUse.TRAINING, DataUse.VALIDATION)
SUBSETS = [
    frozenset(use for use, there in zip(ASKED_FOR, chosen, strict=True) if there) | {DataUse.TESTING}
    for chosen in product((False, True), repeat=2)
]
USES = [Uses(allowed, prohibited) for allowed, prohibited in product(SUBSETS, SUBSETS)]
CASES = list(product(PairStatus, USES, [None, *USES], (None, Defect.EMPTY_ANSWER)))


def columns(uses: Uses) -> dict[str, object]:
    return {"allowed_uses": sorted(uses.allowed), "prohibited_uses": sorted(uses.prohibited)}


def label_row(number: int, uses: Uses) -> dict[str, object]:
    row = {"id": f"label_{number}", "sheet_id": "sheet", "item_ref": str(number), "label_type": "answer"}
    return {**row, "label_data": {}, "version": 1, **columns(uses)}


def pair_row(number: int, status: PairStatus, uses: Uses, label: Uses | None, defect: str | None) -> dict[str, object]:
    return {
        "id": f"qa_{number:06}",
        "training_sheet_id": "tsheet",
        "canonical_label_id": None if label is None else f"label_{USES.index(label)}",
        "messages": [],
        "status": status.value,
        "defect": defect,
        "question_digest": "q",
        "line_digest": "l",
        **columns(uses),
    }


async def test_the_database_judges_every_pair_as_the_domain_does(database_url: str) -> None:
    engine = create_async_engine(driver_url(database_url), poolclass=NullPool)
    async with engine.begin() as connection:
        await connection.execute(insert(sheets).values(id="sheet", name="s", source="EXTERNAL"))
        await connection.execute(insert(templates).values(id="tmpl", name="t", version=1, user_prompt="q"))
        await connection.execute(
            insert(training_sheets).values(id="tsheet", name="t", sheet_id="sheet", template_id="tmpl")
        )
        await connection.execute(insert(canonical_labels), [label_row(*numbered) for numbered in enumerate(USES)])
        await connection.execute(insert(qa_pairs), [pair_row(number, *case) for number, case in enumerate(CASES)])
        judged = (
            select(gates.verdict(qa_pairs, canonical_labels), gates.may_validate(qa_pairs, canonical_labels))
            .select_from(qa_pairs.outerjoin(canonical_labels, canonical_labels.c.id == qa_pairs.c.canonical_label_id))
            .order_by(qa_pairs.c.id)
        )
        found = [tuple(row) for row in await connection.execute(judged)]
    expected = [
        (rules.verdict(status, uses, label, malformed=defect is not None), rules.may_validate(uses, label))
        for status, uses, label, defect in CASES
    ]
    assert len(found) == 2176
    assert found == expected
