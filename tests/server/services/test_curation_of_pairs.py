"""What people may write of pairs, and what is refused at the door."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from server.domain import examples
from server.domain.errors import InvalidInput, NotFound
from server.domain.gates import PairStatus
from server.domain.questions import question_digest
from tests.server.services.desk import (
    ANNA,
    BEN,
    LONG,
    NUL,
    SURROGATE,
    SYSTEM_PROMPT,
    Desk,
    opened,
    pair,
    refusal,
    turns,
)

pytestmark = pytest.mark.database

ALL = ["TRAINING", "VALIDATION", "EVALUATION", "FEW_SHOT", "TESTING"]


@pytest.fixture
async def desk(database_url: str) -> AsyncIterator[Desk]:
    async with opened(database_url) as desk:
        yield desk


async def test_pairs_are_stored_with_what_follows_from_their_messages(desk: Desk) -> None:
    messages = turns("user", "When is  it DUE?", "assistant", "In 30 days.")
    own_prompt = turns("system", "Be brief.", "user", "Who pays?", "assistant", " ")
    first, second = await desk.add(
        pair(messages=messages, item_ref="inv-1", allowed_uses=["TESTING", "TRAINING", "TRAINING"]),
        pair(messages=own_prompt, prohibited_uses=["TRAINING"]),
    )
    rows = await desk.rows(
        "SELECT id, item_ref, messages, status, allowed_uses, prohibited_uses, defect, question_digest, line_digest,"
        " reviewed_by, reviewed_at FROM qa_pairs ORDER BY id"
    )
    exported = examples.export_line(messages, SYSTEM_PROMPT)
    assert json.loads(exported)["messages"][0] == {"role": "system", "content": SYSTEM_PROMPT}
    assert rows[0] == (
        first,
        "inv-1",
        [{"role": "user", "content": "When is  it DUE?"}, {"role": "assistant", "content": "In 30 days."}],
        "UNLABELED",
        ["TRAINING", "TESTING"],
        [],
        None,
        question_digest(messages),
        examples.line_digest(exported),
        None,
        None,
    )
    assert rows[1][:2] == (second, None)
    assert rows[1][3:7] == ("UNLABELED", ALL, ["TRAINING"], "EMPTY_ANSWER")
    assert rows[1][8] == examples.line_digest(examples.export_line(own_prompt, None))


async def test_a_pair_that_comes_with_a_status_is_reviewed_by_who_adds_it(desk: Desk) -> None:
    await desk.add(*(pair(status=status) for status in PairStatus))
    rows = await desk.rows("SELECT status, reviewed_by, reviewed_at = created_at FROM qa_pairs ORDER BY id")
    assert rows == [
        ("UNLABELED", None, None),
        ("LABELED", ANNA.name, True),
        ("REJECTED", ANNA.name, True),
        ("FLAGGED", ANNA.name, True),
    ]


async def test_pairs_keep_the_order_in_which_they_were_given(desk: Desk) -> None:
    added = await desk.add(*(pair(f"Question {number}") for number in range(1000)))
    rows = await desk.rows("SELECT id, messages -> 0 ->> 'content' FROM qa_pairs ORDER BY created_at, id")
    assert rows == [(pair_id, f"Question {number}") for number, pair_id in enumerate(added)]


async def test_an_old_version_of_a_label_stands_for_the_current_one(desk: Desk) -> None:
    first = await desk.label()
    second = await desk.label()
    await desk.add(pair(canonical_label_id=first), pair(canonical_label_id=second))
    assert await desk.rows("SELECT canonical_label_id FROM qa_pairs") == [(second,), (second,)]


async def test_a_label_of_another_sheet_is_refused(desk: Desk) -> None:
    sheet_id = await desk.curation.create_sheet(ANNA, "orders", "EXTERNAL")
    elsewhere = await desk.label(sheet_id=sheet_id)
    with pytest.raises(InvalidInput) as refused:
        await desk.add(pair(), pair(canonical_label_id=elsewhere))
    assert refusal(refused) == (
        "input.pairs.1.canonicalLabelId",
        "pairs[1].canonicalLabelId: is a label of another sheet than the training sheet's",
    )
    assert await desk.value("SELECT count(*) FROM qa_pairs") == 0


@pytest.mark.parametrize("unknown", ["label_0", "\0", "\udc00"])
async def test_an_unknown_label_is_not_found_and_no_pair_is_added(desk: Desk, unknown: str) -> None:
    known = await desk.label()
    with pytest.raises(NotFound) as refused:
        await desk.add(pair(), pair(canonical_label_id=known), pair(canonical_label_id=unknown))
    assert refused.value.path == ("input", "pairs", "2", "canonicalLabelId")
    assert await desk.value("SELECT count(*) FROM qa_pairs") == 0


@pytest.mark.parametrize("unknown", ["tsheet_0", "\0"])
async def test_pairs_need_a_training_sheet_that_exists(desk: Desk, unknown: str) -> None:
    with pytest.raises(NotFound) as refused:
        await desk.curation.add_qa_pairs(ANNA, unknown, [pair()])
    assert refused.value.path == ("input", "trainingSheetId")


@pytest.mark.parametrize(
    ("changes", "path", "message"),
    [
        ({"messages": []}, "messages", "pairs[1].messages: needs at least one message"),
        (
            {"messages": turns("user", "?", "bot", "!")},
            "messages.1.role",
            "pairs[1].messages[1].role: unknown role 'bot'; use one of system, user, assistant",
        ),
        ({"messages": turns("user", "\0")}, "messages.0.content", f"pairs[1].messages[0].content: {NUL}"),
        ({"messages": turns("user", "\ud834")}, "messages.0.content", f"pairs[1].messages[0].content: {SURROGATE}"),
        (
            {"messages": turns("user", "x" * 1_000_001)},
            "messages.0.content",
            "pairs[1].messages[0].content: has 1,000,001 characters; at most 1,000,000 are allowed",
        ),
        (
            {"messages": turns(*["user", "?"] * 201)},
            "messages",
            "pairs[1].messages: has 201 messages; at most 200 are allowed",
        ),
        ({"item_ref": " "}, "itemRef", "pairs[1].itemRef: must not be blank"),
        ({"item_ref": LONG}, "itemRef", "pairs[1].itemRef: has 256 characters; at most 255 are allowed"),
        (
            {"allowed_uses": ["training"]},
            "allowedUses.0",
            (
                "pairs[1].allowedUses[0]: unknown use 'training';"
                " use one of TRAINING, VALIDATION, EVALUATION, FEW_SHOT, TESTING"
            ),
        ),
    ],
)
async def test_one_pair_that_cannot_be_stored_refuses_them_all(
    desk: Desk, changes: dict[str, Any], path: str, message: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        await desk.add(pair(), pair(**changes))
    assert refusal(refused) == (f"input.pairs.1.{path}", message)
    assert await desk.value("SELECT count(*) FROM qa_pairs") == 0


@pytest.mark.parametrize(
    ("number", "message"),
    [(0, "pairs: needs at least one entry"), (1001, "pairs: has 1,001 entries; at most 1,000 are allowed")],
)
async def test_pairs_come_one_to_a_thousand_at_a_time(desk: Desk, number: int, message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        await desk.add(*[pair()] * number)
    assert refusal(refused) == ("input.pairs", message)


async def test_a_review_changes_only_what_is_given(desk: Desk) -> None:
    first, second, third = await desk.add(*(pair(status=PairStatus.FLAGGED) for _ in range(3)))
    await desk.curation.review_qa_pairs(BEN, [second], status=PairStatus.LABELED)
    await desk.curation.review_qa_pairs(BEN, [third], allowed_uses=[], prohibited_uses=["TESTING", "TRAINING"])
    rows = await desk.rows("SELECT id, status, allowed_uses, prohibited_uses, reviewed_by FROM qa_pairs ORDER BY id")
    assert rows == [
        (first, "FLAGGED", ALL, [], ANNA.name),
        (second, "LABELED", ALL, [], BEN.name),
        (third, "FLAGGED", [], ["TRAINING", "TESTING"], BEN.name),
    ]
    times = await desk.rows("SELECT reviewed_at > created_at FROM qa_pairs ORDER BY id")
    assert times == [(False,), (True,), (True,)]


async def test_a_review_answers_each_pair_once_in_the_order_given(desk: Desk) -> None:
    first, second, third = await desk.add(pair(), pair(), pair())
    reviewed = await desk.curation.review_qa_pairs(
        BEN, [third, first, third, second, first], status=PairStatus.REJECTED
    )
    assert reviewed == [third, first, second]
    assert await desk.value("SELECT count(*) FROM qa_pairs WHERE status = 'REJECTED'") == 3


async def test_taking_a_label_back_is_a_review_on_record(desk: Desk) -> None:
    [pair_id] = await desk.add(pair(status=PairStatus.LABELED))
    await desk.curation.review_qa_pairs(BEN, [pair_id], status=PairStatus.UNLABELED)
    row = await desk.one("SELECT status, reviewed_by, reviewed_at IS NOT NULL FROM qa_pairs")
    assert row == ("UNLABELED", BEN.name, True)


@pytest.mark.parametrize("unknown", ["qa_0", "", "\0", "\ud800"])
async def test_a_review_with_an_unknown_pair_changes_nothing(desk: Desk, unknown: str) -> None:
    first, second = await desk.add(pair(), pair())
    with pytest.raises(NotFound) as refused:
        await desk.curation.review_qa_pairs(BEN, [first, second, unknown, "qa_1"], status=PairStatus.LABELED)
    assert refused.value.path == ("input", "qaPairIds", "2")
    assert await desk.rows("SELECT DISTINCT status, reviewed_by FROM qa_pairs") == [("UNLABELED", None)]


async def test_a_review_says_something_of_one_to_a_thousand_pairs(desk: Desk) -> None:
    [pair_id] = await desk.add(pair())
    with pytest.raises(InvalidInput) as nothing:
        await desk.curation.review_qa_pairs(BEN, [pair_id])
    with pytest.raises(InvalidInput) as none:
        await desk.curation.review_qa_pairs(BEN, [], status=PairStatus.LABELED)
    with pytest.raises(InvalidInput) as many:
        await desk.curation.review_qa_pairs(BEN, [pair_id] * 1001, status=PairStatus.LABELED)
    with pytest.raises(InvalidInput) as unknown_use:
        await desk.curation.review_qa_pairs(BEN, [pair_id], prohibited_uses=["SALE"])
    assert refusal(nothing) == ("input", "give at least one of status, allowedUses and prohibitedUses")
    assert refusal(none) == ("input.qaPairIds", "qaPairIds: needs at least one entry")
    assert refusal(many) == ("input.qaPairIds", "qaPairIds: has 1,001 entries; at most 1,000 are allowed")
    assert unknown_use.value.path == ("input", "prohibitedUses", "0")
    assert await desk.one("SELECT status, reviewed_by FROM qa_pairs") == ("UNLABELED", None)
