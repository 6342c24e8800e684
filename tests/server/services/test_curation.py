"""What people may write of sheets, templates and labels, and what is refused at the door."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from server.domain.errors import Conflict, InvalidInput, NotFound
from server.domain.gates import PairStatus
from server.services import inputs
from tests.server.services.desk import ANNA, BEN, LONG, NUL, SURROGATE, SYSTEM_PROMPT, Desk, opened, pair, refusal

pytestmark = pytest.mark.database


@pytest.fixture
async def desk(database_url: str) -> AsyncIterator[Desk]:
    async with opened(database_url) as desk:
        yield desk


async def test_a_sheet_is_stored_as_given(desk: Desk) -> None:
    sheet_id = await desk.curation.create_sheet(ANNA, "Überweisungen 你好", "UC_VOLUME", "/Volumes/main/x")
    row = await desk.one("SELECT name, source, source_location FROM sheets WHERE id = :id", id=sheet_id)
    assert row == ("Überweisungen 你好", "UC_VOLUME", "/Volumes/main/x")
    assert sheet_id.startswith("sheet_")


async def test_names_are_taken_once(desk: Desk) -> None:
    with pytest.raises(Conflict) as sheet:
        await desk.curation.create_sheet(BEN, "invoices", "EXTERNAL")
    with pytest.raises(Conflict) as training_sheet:
        await desk.curation.create_training_sheet(BEN, "invoice desk", desk.sheet_id, desk.template_id)
    assert refusal(sheet) == ("input.name", "there is already a sheet called 'invoices'")
    assert refusal(training_sheet) == ("input.name", "there is already a training sheet called 'invoice desk'")
    assert await desk.one("SELECT (SELECT count(*) FROM sheets), (SELECT count(*) FROM training_sheets)") == (1, 1)


@pytest.mark.parametrize(
    ("given", "path", "message"),
    [
        (("", "EXTERNAL", None), "input.name", "name: must not be blank"),
        ((" \t", "EXTERNAL", None), "input.name", "name: must not be blank"),
        ((LONG, "EXTERNAL", None), "input.name", "name: has 256 characters; at most 255 are allowed"),
        (("a\0b", "EXTERNAL", None), "input.name", f"name: {NUL}"),
        (("a\ud800", "EXTERNAL", None), "input.name", f"name: {SURROGATE}"),
        (("a", "FTP", None), "input.source", "source: unknown source; use one of UC_TABLE, UC_VOLUME, EXTERNAL"),
        (("a", "EXTERNAL", " "), "input.sourceLocation", "sourceLocation: must not be blank"),
        (
            ("a", "EXTERNAL", "x" * 2001),
            "input.sourceLocation",
            "sourceLocation: has 2,001 characters; at most 2,000 are allowed",
        ),
    ],
)
async def test_a_sheet_that_cannot_be_stored_is_refused(
    desk: Desk, given: tuple[str, str, str | None], path: str, message: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        await desk.curation.create_sheet(ANNA, *given)
    assert refusal(refused) == (path, message)
    assert await desk.value("SELECT count(*) FROM sheets") == 1


async def test_a_template_of_the_same_name_is_the_next_version(desk: Desk) -> None:
    await desk.curation.create_template(ANNA, "desk", None, "{question}")
    await desk.curation.create_template(ANNA, "desk", " \n", "Now: {question}")
    await desk.curation.create_template(ANNA, "other", "Be brief.", "{question}")
    rows = await desk.rows("SELECT name, version, system_prompt, user_prompt FROM templates ORDER BY name, version")
    assert rows == [
        ("desk", 1, SYSTEM_PROMPT, "{question}"),
        ("desk", 2, None, "{question}"),
        ("desk", 3, None, "Now: {question}"),
        ("other", 1, "Be brief.", "{question}"),
    ]


@pytest.mark.parametrize(
    ("system_prompt", "user_prompt", "path", "message"),
    [
        (None, " ", "input.userPrompt", "userPrompt: must not be blank"),
        (None, "x" * 100_001, "input.userPrompt", "userPrompt: has 100,001 characters; at most 100,000 are allowed"),
        ("x" * 100_001, "u", "input.systemPrompt", "systemPrompt: has 100,001 characters; at most 100,000 are allowed"),
        ("\0", "u", "input.systemPrompt", f"systemPrompt: {NUL}"),
        ("s", "\udfff", "input.userPrompt", f"userPrompt: {SURROGATE}"),
    ],
)
async def test_prompts_that_cannot_be_stored_are_refused(
    desk: Desk, system_prompt: str | None, user_prompt: str, path: str, message: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        await desk.curation.create_template(ANNA, "desk", system_prompt, user_prompt)
    assert refusal(refused) == (path, message)


@pytest.mark.parametrize("unknown", ["sheet_0", "", "\0", "\ud800", "x" * 10_000])
async def test_a_training_sheet_needs_a_sheet_and_a_template_that_exist(desk: Desk, unknown: str) -> None:
    with pytest.raises(NotFound) as sheet:
        await desk.curation.create_training_sheet(ANNA, "new", unknown, desk.template_id)
    with pytest.raises(NotFound) as template:
        await desk.curation.create_training_sheet(ANNA, "new", desk.sheet_id, unknown)
    assert sheet.value.path == ("input", "sheetId")
    assert template.value.path == ("input", "templateId")
    assert len(sheet.value.message) < 250
    assert await desk.value("SELECT count(*) FROM training_sheets") == 1


async def test_a_label_is_stored_as_given(desk: Desk) -> None:
    data = {"lines": [1, 2.5, None, True, "ü"], "": {}}
    label_id = await desk.label(
        label_data=data, allowed_uses=["VALIDATION", "TRAINING", "VALIDATION"], prohibited_uses=["FEW_SHOT"]
    )
    row = await desk.one(
        "SELECT sheet_id, item_ref, label_type, label_data, version, allowed_uses, prohibited_uses"
        " FROM canonical_labels WHERE id = :id",
        id=label_id,
    )
    assert row == (desk.sheet_id, "inv-1", "answer", data, 1, ["TRAINING", "VALIDATION"], ["FEW_SHOT"])


async def test_the_next_version_of_a_label_takes_its_pairs_over(desk: Desk) -> None:
    first, elsewhere = await desk.label(), await desk.label("inv-2")
    one, other, free = await desk.add(
        pair(canonical_label_id=first), pair(canonical_label_id=elsewhere), pair(status=PairStatus.LABELED)
    )
    second = await desk.label(prohibited_uses=["TRAINING"])
    third = await desk.label(prohibited_uses=["TRAINING", "VALIDATION"])
    await desk.label(label_type="summary")
    rows = await desk.rows("SELECT id, canonical_label_id FROM qa_pairs ORDER BY id")
    assert rows == [(one, third), (other, elsewhere), (free, None)]
    versions = await desk.rows(
        "SELECT id, version FROM canonical_labels WHERE item_ref = 'inv-1' AND label_type = 'answer' ORDER BY version"
    )
    assert versions == [(first, 1), (second, 2), (third, 3)]


async def test_a_label_of_the_same_item_in_another_sheet_is_another_label(desk: Desk) -> None:
    sheet_id = await desk.curation.create_sheet(ANNA, "orders", "EXTERNAL")
    await desk.label()
    elsewhere = await desk.label(sheet_id=sheet_id)
    assert await desk.value("SELECT version FROM canonical_labels WHERE id = :id", id=elsewhere) == 1


def nested(levels: int) -> object:
    value: object = []
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("changes", "path", "message"),
    [
        ({"item_ref": ""}, "input.itemRef", "itemRef: must not be blank"),
        ({"item_ref": LONG}, "input.itemRef", "itemRef: has 256 characters; at most 255 are allowed"),
        ({"label_type": "\t"}, "input.labelType", "labelType: must not be blank"),
        ({"label_type": "\0"}, "input.labelType", f"labelType: {NUL}"),
        ({"label_data": None}, "input.labelData", "labelData: must not be null"),
        ({"label_data": {"a": ["b\0"]}}, "input.labelData", f"labelData: {NUL}"),
        ({"label_data": {"\ud800": 1}}, "input.labelData", f"labelData: {SURROGATE}"),
        (
            {"label_data": [float("nan")]},
            "input.labelData",
            "labelData: contains a number that is not finite, which JSON can't hold",
        ),
        (
            {"label_data": {"a": {1}}},
            "input.labelData",
            "labelData: contains a set, which JSON can't hold",
        ),
        ({"label_data": 10**5000}, "input.labelData", "labelData: contains a number with too many digits"),
        (
            {"label_data": "ü" * 32_768},
            "input.labelData",
            "labelData: has 65,538 bytes as JSON; at most 65,536 are allowed",
        ),
        ({"label_data": nested(65)}, "input.labelData", "labelData: is nested more than 64 levels deep"),
        ({"label_data": nested(100_000)}, "input.labelData", "labelData: is nested more than 64 levels deep"),
        (
            {"allowed_uses": ["TRAINING", "SALE"]},
            "input.allowedUses.1",
            "allowedUses[1]: unknown use 'SALE'; use one of TRAINING, VALIDATION, EVALUATION, FEW_SHOT, TESTING",
        ),
        (
            {"prohibited_uses": ["\0"]},
            "input.prohibitedUses.0",
            "prohibitedUses[0]: unknown use '\\x00'; use one of TRAINING, VALIDATION, EVALUATION, FEW_SHOT, TESTING",
        ),
    ],
)
async def test_a_label_that_cannot_be_stored_is_refused(
    desk: Desk, changes: dict[str, Any], path: str, message: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        await desk.label(**{"item_ref": "inv-1", **changes})
    assert refusal(refused) == (path, message)
    assert await desk.value("SELECT count(*) FROM canonical_labels") == 0


@pytest.mark.parametrize("data", ["x" * (inputs.MAX_LABEL_BYTES - 2), nested(64), False, 0, "", 1e308, 2**80])
async def test_a_label_at_the_limits_is_stored(desk: Desk, data: object) -> None:
    label_id = await desk.label(label_data=data)
    assert await desk.value("SELECT label_data FROM canonical_labels WHERE id = :id", id=label_id) == data


async def test_a_label_of_an_unknown_sheet_is_not_found(desk: Desk) -> None:
    with pytest.raises(NotFound) as refused:
        await desk.label(sheet_id="sheet_\0")
    assert refusal(refused) == ("input.sheetId", "no sheet has the id 'sheet_\\x00'")
