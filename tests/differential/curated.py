"""Rows of what jobs are made from: sheets, templates, labels, training sheets and pairs."""

import json
from datetime import datetime, timedelta

from server.domain.derived import derive
from server.domain.examples import Message
from server.domain.gates import DataUse, PairStatus
from server.domain.ids import Kind
from tests.differential.awkward import DOCUMENTS, MOMENTS, TEXTS
from tests.schema.rows import NEWEST, Row, stable_id

SHEETS, TEMPLATES, LABELS, TRAINING_SHEETS, PAIRS = 23, 22, 26, 22, 104
USES = [use.value for use in DataUse]
RICH_SHEET, SMALL_SHEET, SPLIT_SHEET = 0, 1, 2  # training sheets: with every verdict, with one pair, can be split
SHEET_SOURCES = ("UC_TABLE", "UC_VOLUME", "EXTERNAL")
ITEMS = ("inv-1", "inv-2", "İtem „3“")


def created(number: int, count: int) -> datetime:
    """Moments that go back in time; equal at the head, in the middle of the first page, and at the tail."""
    if number < 3:
        return NEWEST
    if number in (9, 10, 11):
        return NEWEST - timedelta(minutes=9)
    if number >= count - 3:
        return MOMENTS[3]
    if number % 4 == 3:
        return MOMENTS[number % len(MOMENTS)].replace(year=2025)
    return NEWEST - timedelta(minutes=number, microseconds=123_456 if number % 2 else 0)


def sheets() -> list[Row]:
    return [
        {
            "id": stable_id(Kind.SHEET, number),
            "name": f"sheet {number} {TEXTS[number % len(TEXTS)]}",
            "source": SHEET_SOURCES[number % 3],
            "source_location": None if number % 3 == 1 else TEXTS[number % len(TEXTS)],
            "created_at": created(number, SHEETS),
        }
        for number in range(SHEETS)
    ]


def templates() -> list[Row]:
    return [
        {
            "id": stable_id(Kind.TEMPLATE, number),
            "name": f"template {TEXTS[number // 4]}",
            "version": number % 4 + 1,
            "system_prompt": None if number % 3 == 0 else TEXTS[-number % len(TEXTS)],
            "user_prompt": TEXTS[number % len(TEXTS)],
            "created_at": created(number, TEMPLATES),
        }
        for number in range(TEMPLATES)
    ]


def labels() -> list[Row]:
    """Three versions of each; the last two versions of the first item allow less."""
    return [
        {
            "id": stable_id(Kind.CANONICAL_LABEL, number),
            "sheet_id": stable_id(Kind.SHEET, number // 9),
            "item_ref": ITEMS[number // 3 % 3],
            "label_type": "answer" if number < 18 else TEXTS[number % len(TEXTS)],
            "label_data": DOCUMENTS[number % len(DOCUMENTS)],
            "version": number % 3 + 1,
            "allowed_uses": (USES, USES[1:], [])[number % 3] if number < 6 else USES[: number % 6],
            "prohibited_uses": [] if number % 4 else [DataUse.TRAINING.value, DataUse.TESTING.value],
            "created_at": created(number, LABELS),
        }
        for number in range(LABELS)
    ]


def training_sheets() -> list[Row]:
    return [
        {
            "id": stable_id(Kind.TRAINING_SHEET, number),
            "name": f"training sheet {number} {TEXTS[number % len(TEXTS)]}",
            "sheet_id": stable_id(Kind.SHEET, number // 3),
            "template_id": stable_id(Kind.TEMPLATE, number // 2),
            "created_at": created(number, TRAINING_SHEETS),
        }
        for number in range(TRAINING_SHEETS)
    ]


def pairs() -> list[Row]:
    """Most belong to one training sheet, which has every status and every verdict."""
    return [
        *(_pair(number, RICH_SHEET, **_governed(number)) for number in range(PAIRS)),
        _pair(PAIRS, SMALL_SHEET, status=PairStatus.LABELED.value),
        *(_pair(PAIRS + 1 + number, SPLIT_SHEET, status=PairStatus.LABELED.value) for number in range(7)),
    ]


def _governed(number: int) -> Row:
    """What makes the verdicts differ: mostly labelled, a label behind every third, uses withdrawn now and then."""
    changes: Row = {"status": PairStatus.LABELED.value if number % 3 else tuple(PairStatus)[number // 3 % 4].value}
    if number % 3 == 1:
        changes["canonical_label_id"] = stable_id(Kind.CANONICAL_LABEL, (1, 4, 3, 0)[number // 3 % 4])
    if number % 7 == 5:
        changes["prohibited_uses"] = [DataUse.TRAINING.value]
    if number % 11 == 2:
        changes["allowed_uses"] = USES[1:3]
    if number == 33:
        changes["allowed_uses"] = []
    return changes


def _turns(number: int) -> list[Message]:
    question, answer = TEXTS[number % len(TEXTS)], TEXTS[(number + 5) % len(TEXTS)]
    match number % 8:
        case 3:
            return [Message("system", question), Message("user", f"q {question}"), Message("assistant", answer)]
        case 5:
            return [Message("user", question)]
        case 6:
            return [Message(("user", "assistant")[turn % 2], f"{turn} {question}") for turn in range(6)]
    return [Message("user", f"{number} {question}"), Message("assistant", f"a {answer}")]


def _pair(number: int, sheet: int, **changes: object) -> Row:
    turns = _turns(number)
    reviewed = number % 2 == 0
    return {
        "id": stable_id(Kind.QA_PAIR, number),
        "training_sheet_id": stable_id(Kind.TRAINING_SHEET, sheet),
        "canonical_label_id": None,
        "item_ref": None if number % 3 == 0 else f"item {number // 4}",
        "messages": json.dumps([turn._asdict() for turn in turns]),
        "allowed_uses": USES,
        "prohibited_uses": [],
        **derive(turns, None)._asdict(),
        "reviewed_by": TEXTS[number % len(TEXTS)] if reviewed else None,
        "reviewed_at": MOMENTS[number % len(MOMENTS)] if reviewed else None,
        "created_at": created(number, PAIRS),
        **changes,
    }
