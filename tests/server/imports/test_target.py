"""Where an import goes: what is found, what is made, and what contradicts the training sheet that is there."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.domain.errors import Conflict, InvalidInput
from tests.server.imports.files import Importer, asked, importer
from tests.server.services.desk import BEN

pytestmark = pytest.mark.database


@pytest.fixture
async def imports(database_url: str, tmp_path: Path) -> AsyncIterator[Importer]:
    async with importer(database_url, tmp_path) as imports:
        yield imports


async def templates(imports: Importer) -> list[tuple[int, str | None, str]]:
    rows = await imports.desk.rows("SELECT version, system_prompt, user_prompt FROM templates ORDER BY version")
    return [(version, system_prompt, user_prompt) for version, system_prompt, user_prompt in rows]


async def test_what_is_not_there_is_made(imports: Importer) -> None:
    report = await imports.lines(asked(), system_prompt="Be brief.", user_prompt="Q: {question}")
    sheet = await imports.desk.one("SELECT id, name, source, source_location FROM sheets")
    assert sheet == (report.sheet_id, "invoices", "EXTERNAL", "examples.jsonl")
    template = await imports.desk.one("SELECT id, name, version, system_prompt, user_prompt FROM templates")
    assert template == (report.template_id, "desk", 1, "Be brief.", "Q: {question}")
    training_sheet = await imports.desk.one("SELECT id, name, sheet_id, template_id FROM training_sheets")
    assert training_sheet == (report.training_sheet_id, "invoice desk", report.sheet_id, report.template_id)
    assert report.template_version == 1


async def test_a_new_template_without_prompts_adds_nothing_to_a_question(imports: Importer) -> None:
    await imports.lines(asked())
    assert await templates(imports) == [(1, None, "{question}")]


async def test_what_is_there_is_found_by_name(imports: Importer) -> None:
    sheet_id = await imports.desk.curation.create_sheet(BEN, "invoices", "UC_TABLE", "main.finance.invoices")
    await imports.desk.curation.create_template(BEN, "desk", "Old.", "{question}")
    template_id = await imports.desk.curation.create_template(BEN, "desk", "Be brief.", "{question}")
    training_sheet_id = await imports.desk.curation.create_training_sheet(BEN, "invoice desk", sheet_id, template_id)
    report = await imports.lines(asked(), system_prompt="Be brief.")
    assert (report.sheet_id, report.template_id, report.template_version, report.training_sheet_id) == (
        sheet_id,
        template_id,
        2,
        training_sheet_id,
    )
    assert await imports.desk.value("SELECT source FROM sheets") == "UC_TABLE"


@pytest.mark.parametrize(
    ("asked_for", "version"),
    [
        ({}, (1, "Be brief.", "Q: {question}")),
        ({"system_prompt": "Be brief."}, (1, "Be brief.", "Q: {question}")),
        ({"system_prompt": "Be polite."}, (2, "Be polite.", "Q: {question}")),
        ({"user_prompt": "{question}!"}, (2, "Be brief.", "{question}!")),
        ({"system_prompt": " ", "user_prompt": "Q: {question}"}, (2, None, "Q: {question}")),
    ],
)
async def test_prompts_that_differ_make_the_next_version(
    imports: Importer, asked_for: dict[str, str], version: tuple[int, str | None, str]
) -> None:
    await imports.desk.curation.create_template(BEN, "desk", "Be brief.", "Q: {question}")
    report = await imports.lines(asked(), **asked_for)
    assert (await templates(imports))[-1] == version
    assert report.template_version == version[0]


@pytest.mark.parametrize("asked_for", [{}, {"system_prompt": "Be brief.", "user_prompt": "{question}"}])
async def test_a_training_sheet_keeps_its_version_of_the_template(imports: Importer, asked_for: dict[str, str]) -> None:
    first = await imports.lines(asked(), system_prompt="Be brief.")
    await imports.desk.curation.create_template(BEN, "desk", "Be polite.", "{question}")
    again = await imports.lines(asked(), asked("Who pays?"), **asked_for)
    assert (again.template_id, again.template_version) == (first.template_id, 1)
    assert (again.pairs, again.already_there) == (1, 1)
    assert len(await templates(imports)) == 2


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        ({"sheet": "orders"}, "belongs to the sheet 'invoices', not 'orders'"),
        ({"template": "clerk"}, "uses the template 'desk', not 'clerk'"),
        (
            {"system_prompt": "Be polite."},
            "uses version 1 of the template 'desk', whose prompts are not those given",
        ),
        ({"system_prompt": ""}, "uses version 1 of the template 'desk', whose prompts are not those given"),
        ({"user_prompt": "Q"}, "uses version 1 of the template 'desk', whose prompts are not those given"),
    ],
)
async def test_a_training_sheet_that_does_not_fit_is_a_conflict(
    imports: Importer, options: dict[str, str], difference: str
) -> None:
    await imports.lines(asked(), system_prompt="Be brief.")
    before = await imports.everything()
    with pytest.raises(Conflict) as refused:
        await imports.lines(asked("Who pays?"), **options)
    assert refused.value.message == (
        f"the training sheet 'invoice desk' {difference}; import into another training sheet"
    )
    assert await imports.everything() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sheet": ""}, "sheet: must not be blank"),
        ({"template": " "}, "template: must not be blank"),
        ({"training_sheet": "x" * 256}, "training_sheet: has 256 characters; at most 255 are allowed"),
        ({"user_prompt": ""}, "user_prompt: must not be blank"),
        ({"system_prompt": "\ud800"}, "system_prompt: contains a lone surrogate, which is not valid Unicode text"),
    ],
)
async def test_names_and_prompts_that_cannot_be_stored_are_refused(
    imports: Importer, options: dict[str, str], message: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        await imports.lines(asked(), **options)
    assert refused.value.message == message
    assert await imports.nothing()
