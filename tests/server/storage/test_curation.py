"""What the database itself refuses of curated rows, whoever writes them."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import Column, MetaData, Table, Text, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from server.storage import curation
from server.storage.curation import CurrentLabel, Template
from server.storage.migrations import driver_url

pytestmark = pytest.mark.database

PAIR = {
    "training_sheet_id": "tsheet_1",
    "messages": [{"role": "user", "content": "?"}],
    "status": "UNLABELED",
    "allowed_uses": ["TRAINING"],
    "prohibited_uses": [],
    "question_digest": "q",
    "line_digest": "l",
}
LABEL = {
    "sheet_id": "sheet_1",
    "item_ref": "inv-1",
    "label_type": "answer",
    "label_data": {"a": 1},
    "allowed_uses": ["TRAINING"],
    "prohibited_uses": [],
}


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[AsyncConnection]:
    """A transaction in which there is one row of each table; it is rolled back."""
    engine = create_async_engine(driver_url(database_url), poolclass=NullPool)
    async with engine.connect() as connection:
        await curation.insert_sheet(connection, {"id": "sheet_1", "name": "S", "source": "EXTERNAL"})
        await curation.insert_template(connection, "T", {"id": "tmpl_1", "system_prompt": None, "user_prompt": "u"})
        await curation.insert_training_sheet(
            connection, {"id": "tsheet_1", "name": "TS", "sheet_id": "sheet_1", "template_id": "tmpl_1"}
        )
        await curation.insert_label(connection, {"id": "label_1", **LABEL})
        await curation.insert_pairs(connection, [{"id": "qa_1", "canonical_label_id": "label_1", **PAIR}])
        yield connection
        await connection.rollback()
    await engine.dispose()


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("templates", "name = 'other'"),
        ("templates", "version = 2"),
        ("templates", "system_prompt = 'other'"),
        ("templates", "user_prompt = 'other'"),
        ("canonical_labels", "label_data = '2'"),
        ("canonical_labels", "item_ref = 'other'"),
        ("canonical_labels", "version = 2"),
        ("canonical_labels", "allowed_uses = '{}'"),
        ("canonical_labels", "prohibited_uses = '{}'"),
        ("training_sheets", "sheet_id = sheet_id"),
        ("training_sheets", "template_id = template_id"),
        ("qa_pairs", "messages = '[]'"),
        ("qa_pairs", "item_ref = 'other'"),
        ("qa_pairs", "training_sheet_id = training_sheet_id"),
        ("qa_pairs", "defect = 'EMPTY_ANSWER'"),
        ("qa_pairs", "question_digest = 'other'"),
        ("qa_pairs", "line_digest = 'other'"),
        ("qa_pairs", "created_at = now() - interval '1 day'"),
    ],
)
async def test_what_is_immutable_cannot_be_changed(connection: AsyncConnection, table: str, change: str) -> None:
    with pytest.raises(IntegrityError, match=f"{table} never change once stored"):
        await connection.execute(text(f"UPDATE {table} SET {change}"))


async def test_what_experts_decide_can_be_changed(connection: AsyncConnection) -> None:
    values = {"status": "LABELED", "allowed_uses": [], "prohibited_uses": ["TESTING"], "reviewed_by": "anna"}
    await curation.review_pairs(connection, ["qa_1"], values)
    await connection.execute(text("UPDATE qa_pairs SET canonical_label_id = NULL"))
    await connection.execute(text("UPDATE training_sheets SET name = 'renamed'"))
    row = (await connection.execute(text("SELECT status, allowed_uses, prohibited_uses FROM qa_pairs"))).one()
    assert tuple(row) == ("LABELED", [], ["TESTING"])


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("status = 'labeled'", "ck_qa_pairs_status"),
        ("allowed_uses = '{training}'", "ck_qa_pairs_allowed_uses"),
        ("allowed_uses = '{TRAINING,NULL}'", "ck_qa_pairs_allowed_uses"),
        ("prohibited_uses = '{SALE}'", "ck_qa_pairs_prohibited_uses"),
        ("prohibited_uses = '{NULL}'", "ck_qa_pairs_prohibited_uses"),
        ("reviewed_by = 'anna'", "ck_qa_pairs_reviewed"),
        ("reviewed_at = now()", "ck_qa_pairs_reviewed"),
        ("canonical_label_id = 'label_0'", "fk_qa_pairs_canonical_label_id"),
    ],
)
async def test_a_pair_keeps_to_its_constraints(connection: AsyncConnection, change: str, constraint: str) -> None:
    with pytest.raises(IntegrityError, match=constraint):
        await connection.execute(text(f"UPDATE qa_pairs SET {change}"))


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"sheet_id": "sheet_0"}, "fk_canonical_labels_sheet_id"),
        ({"allowed_uses": ["SALE"]}, "ck_canonical_labels_allowed_uses"),
        ({"prohibited_uses": ["sale"]}, "ck_canonical_labels_prohibited_uses"),
    ],
)
async def test_a_label_keeps_to_its_constraints(
    connection: AsyncConnection, changes: dict[str, object], constraint: str
) -> None:
    with pytest.raises(IntegrityError, match=constraint):
        await curation.insert_label(connection, {"id": "label_2", **LABEL, **changes})


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("INSERT INTO sheets (id, name, source) VALUES ('s', 'X', 'FTP')", "ck_sheets_source"),
        ("INSERT INTO sheets (id, name, source) VALUES ('s', 'S', 'EXTERNAL')", "uq_sheets_name"),
        ("INSERT INTO templates (id, name, version, user_prompt) VALUES ('t', 'T', 0, 'u')", "ck_templates_version"),
        (
            "INSERT INTO templates (id, name, version, user_prompt) VALUES ('t', 'T', 1, 'u')",
            "uq_templates_name_version",
        ),
        (
            "INSERT INTO training_sheets (id, name, sheet_id, template_id) VALUES ('t', 'TS', 'sheet_1', 'tmpl_1')",
            "uq_training_sheets_name",
        ),
        (
            "INSERT INTO canonical_labels VALUES ('l', 'sheet_1', 'inv-1', 'answer', '1', 1, '{}', '{}')",
            "uq_canonical_labels_sheet_id_item_ref_label_type_version",
        ),
        ("DELETE FROM sheets", "fk_canonical_labels_sheet_id"),
        ("DELETE FROM templates", "fk_training_sheets_template_id"),
        ("DELETE FROM canonical_labels", "fk_qa_pairs_canonical_label_id"),
        ("DELETE FROM training_sheets", "fk_qa_pairs_training_sheet_id"),
    ],
)
async def test_names_versions_and_references_hold(connection: AsyncConnection, statement: str, constraint: str) -> None:
    with pytest.raises(IntegrityError, match=constraint):
        await connection.execute(text(statement))


async def test_a_name_that_is_taken_is_not_written_and_the_transaction_goes_on(connection: AsyncConnection) -> None:
    sheet = {"id": "sheet_2", "name": "S", "source": "EXTERNAL"}
    training_sheet = {"id": "tsheet_2", "name": "TS", "sheet_id": "sheet_1", "template_id": "tmpl_1"}
    assert not await curation.insert_sheet(connection, sheet)
    assert not await curation.insert_training_sheet(connection, training_sheet)
    assert await curation.insert_sheet(connection, {**sheet, "name": "other"})
    assert await curation.insert_training_sheet(connection, {**training_sheet, "name": "other"})


async def test_rows_are_found_by_name_and_id(connection: AsyncConnection) -> None:
    template = {"id": "tmpl_2", "system_prompt": "s", "user_prompt": "u"}
    assert await curation.insert_template(connection, "T", template) == 2
    assert await curation.latest_template(connection, "T") == Template("tmpl_2", 2, "s", "u")
    assert await curation.latest_template(connection, "t") is None
    assert await curation.find_sheet(connection, "S") == "sheet_1"
    assert await curation.find_sheet(connection, "s") is None
    assert await curation.sheet_exists(connection, "sheet_1")
    assert not await curation.sheet_exists(connection, "S")
    assert await curation.template_exists(connection, "tmpl_1")
    assert not await curation.template_exists(connection, "T")
    by_name = await curation.find_training_sheet(connection, "TS")
    assert by_name is not None
    assert by_name[:5] == ("tsheet_1", "sheet_1", "S", "T", Template("tmpl_1", 1, None, "u"))
    assert await curation.training_sheet(connection, "tsheet_1") == by_name
    assert await curation.training_sheet(connection, "TS") is None


async def test_the_current_version_of_a_label_is_known_by_any_of_its_versions(connection: AsyncConnection) -> None:
    await curation.insert_label(connection, {"id": "label_2", **LABEL})
    await curation.insert_label(connection, {"id": "label_x", **LABEL, "item_ref": "inv-2"})
    found = await curation.current_labels(connection, ["label_1", "label_2", "label_x", "label_0"])
    current = CurrentLabel("label_2", "sheet_1")
    assert found == {"label_1": current, "label_2": current, "label_x": CurrentLabel("label_x", "sheet_1")}


async def test_pairs_move_only_to_newer_versions_of_their_own_label(connection: AsyncConnection) -> None:
    await curation.insert_label(connection, {"id": "label_2", **LABEL})
    await curation.insert_label(connection, {"id": "label_x", **LABEL, "item_ref": "inv-2"})
    await curation.insert_pairs(
        connection,
        [
            {"id": "qa_2", "canonical_label_id": "label_2", **PAIR},
            {"id": "qa_3", "canonical_label_id": "label_x", **PAIR},
            {"id": "qa_4", "canonical_label_id": None, **PAIR},
        ],
    )

    async def under() -> list[str | None]:
        return list((await connection.execute(text("SELECT canonical_label_id FROM qa_pairs ORDER BY id"))).scalars())

    await curation.move_pairs(connection, ["label_1"])
    assert await under() == ["label_1", "label_2", "label_x", None]
    await curation.move_pairs(connection, ["label_2"])
    assert await under() == ["label_2", "label_2", "label_x", None]


async def test_pairs_move_to_the_labels_that_a_query_names(connection: AsyncConnection) -> None:
    await curation.insert_label(connection, {"id": "label_2", **LABEL})
    named = Table("named", MetaData(), Column("label_id", Text))
    await connection.execute(text("CREATE TEMPORARY TABLE named AS SELECT 'label_2' AS label_id UNION SELECT NULL"))
    await curation.move_pairs(connection, select(named.c.label_id))
    label_id = (await connection.execute(text("SELECT canonical_label_id FROM qa_pairs"))).scalar_one()
    assert label_id == "label_2"


async def test_only_pairs_that_exist_are_locked(connection: AsyncConnection) -> None:
    assert await curation.lock_pairs(connection, ["qa_1", "qa_0"]) == {"qa_1"}
    assert not await curation.lock_labels(connection, "sheet_0", to_write=True)
    assert await curation.lock_labels(connection, "sheet_1", to_write=False)
