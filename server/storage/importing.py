"""The statements of a bulk import: lines go into a temporary table and from there, in whole sets, where they belong.

All of them belong to one transaction, with whose end the temporary table goes away.
"""

from collections.abc import AsyncIterable
from typing import Any, NamedTuple

import asyncpg
from sqlalchemy import (
    ARRAY,
    JSON,
    Column,
    ColumnElement,
    FromClause,
    Integer,
    MetaData,
    Subquery,
    Table,
    Text,
    and_,
    case,
    cast,
    exists,
    func,
    insert,
    or_,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by, distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.schema import CreateTable

from server.domain.defects import Defect, PairDefect
from server.domain.gates import Verdict
from server.storage import curation, gates
from server.storage.tables import canonical_labels, qa_pairs


class Line(NamedTuple):
    """A pair as it is copied, with the canonical label that stands on its line. The JSON values are texts."""

    line: int
    id: str
    item_ref: str | None
    messages: str
    status: str
    allowed_uses: list[str]
    prohibited_uses: list[str]
    defect: str | None
    defect_turn: int | None
    control_token: str | None
    question_digest: str
    line_digest: str
    reviewed_by: str | None
    label_id: str | None
    label_type: str | None
    label_data: str | None
    label_allowed_uses: list[str] | None
    label_prohibited_uses: list[str] | None


class Defective(NamedTuple):
    """How many pairs have a defect; the first of them, its line in the file and the defect with its turn."""

    pairs: int
    first_line: int
    defect: PairDefect


class ControlTokens(NamedTuple):
    """How many pairs have a mark of a chat template in their content; the first of them and its mark."""

    pairs: int
    first_line: int
    token: str


class Contradiction(NamedTuple):
    """Two lines that disagree about one label."""

    line: int
    earlier_line: int
    item_ref: str
    label_type: str


lines = Table(
    "import_lines",
    MetaData(),
    Column("line", Integer),
    Column("id", Text),
    Column("item_ref", Text),
    Column("messages", JSON),
    Column("status", Text),
    Column("allowed_uses", ARRAY(Text)),
    Column("prohibited_uses", ARRAY(Text)),
    Column("defect", Text),
    Column("defect_turn", Integer),
    Column("control_token", Text),
    Column("question_digest", Text),
    Column("line_digest", Text),
    Column("reviewed_by", Text),
    Column("label_id", Text),
    Column("label_type", Text),
    Column("label_data", JSON),
    Column("label_allowed_uses", ARRAY(Text)),
    Column("label_prohibited_uses", ARRAY(Text)),
    prefixes=["TEMPORARY"],
    postgresql_on_commit="DROP",
)


async def copy_lines(connection: AsyncConnection, records: AsyncIterable[Line]) -> None:
    """Make the temporary table and stream lines into it; what `records` raises comes through."""
    await connection.execute(CreateTable(lines))
    driver = (await connection.get_raw_connection()).driver_connection
    if not isinstance(driver, asyncpg.Connection):
        raise TypeError(f"COPY needs asyncpg, not {type(driver).__name__}")
    await driver.copy_records_to_table(lines.name, records=records, columns=Line._fields)
    await connection.execute(text(f"ANALYZE {lines.name}"))


async def contradiction(connection: AsyncConnection) -> Contradiction | None:
    """The first line whose label is not the one that an earlier line gives the same item."""
    first = _first_lines()
    statement = (
        select(lines.c.line, first.c.line, lines.c.item_ref, lines.c.label_type)
        .join(first, _same_item(lines, first))
        .where(
            or_(
                cast(lines.c.label_data, JSONB) != cast(first.c.label_data, JSONB),
                lines.c.label_allowed_uses != first.c.label_allowed_uses,
                lines.c.label_prohibited_uses != first.c.label_prohibited_uses,
            )
        )
        .order_by(lines.c.line)
        .limit(1)
    )
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else Contradiction(*row)


async def insert_labels(connection: AsyncConnection, sheet_id: str) -> int:
    """Write the labels that are new or differ from their current version, and answer how many.

    Pairs of earlier versions come under the new ones. The labels of the sheet must be locked to write.
    """
    first, current = _first_lines(), _current_labels(sheet_id)
    differs = or_(
        current.c.id.is_(None),
        cast(first.c.label_data, JSONB) != cast(current.c.label_data, JSONB),
        first.c.label_allowed_uses != current.c.allowed_uses,
        first.c.label_prohibited_uses != current.c.prohibited_uses,
    )
    columns = {
        "id": first.c.label_id,
        "sheet_id": cast(sheet_id, Text),
        "item_ref": first.c.item_ref,
        "label_type": first.c.label_type,
        "label_data": first.c.label_data,
        "version": func.coalesce(current.c.version, 0) + 1,
        "allowed_uses": first.c.label_allowed_uses,
        "prohibited_uses": first.c.label_prohibited_uses,
    }
    new = select(*columns.values()).outerjoin_from(first, current, _same_item(first, current)).where(differs)
    written = await connection.execute(insert(canonical_labels).from_select(list(columns), new))
    if written.rowcount:
        await curation.move_pairs(connection, select(lines.c.label_id))
    return written.rowcount


async def insert_pairs(connection: AsyncConnection, training_sheet_id: str, sheet_id: str) -> int:
    """Write the pairs that the training sheet does not have yet, in the file's order, and answer how many."""
    current = _current_labels(sheet_id)
    existing = exists().where(
        qa_pairs.c.training_sheet_id == training_sheet_id,
        qa_pairs.c.line_digest == lines.c.line_digest,
        qa_pairs.c.item_ref.is_not_distinct_from(lines.c.item_ref),
    )
    as_copied = (
        "id",
        "item_ref",
        "messages",
        "status",
        "allowed_uses",
        "prohibited_uses",
        "defect",
        "defect_turn",
        "control_token",
        "question_digest",
        "line_digest",
        "reviewed_by",
    )
    columns = {name: lines.c[name] for name in as_copied} | {
        "training_sheet_id": cast(training_sheet_id, Text),
        "canonical_label_id": current.c.id,
        "reviewed_at": case((lines.c.reviewed_by.is_not(None), func.now())),
    }
    new = (
        select(*columns.values())
        .outerjoin_from(lines, current, _same_item(lines, current))
        .where(~existing)
        .order_by(lines.c.line)
    )
    return (await connection.execute(insert(qa_pairs).from_select(list(columns), new))).rowcount


async def verdicts(connection: AsyncConnection) -> dict[Verdict, int]:
    """How many of the pairs that were written have each verdict."""
    verdict = gates.verdict(qa_pairs, canonical_labels).label("verdict")
    statement = (
        select(verdict, func.count())
        .select_from(lines)
        .join(qa_pairs, qa_pairs.c.id == lines.c.id)
        .outerjoin(canonical_labels, canonical_labels.c.id == qa_pairs.c.canonical_label_id)
        .group_by(verdict)
    )
    counts = {Verdict(word): count for word, count in await connection.execute(statement)}
    return {verdict: counts[verdict] for verdict in Verdict if verdict in counts}


async def defects(connection: AsyncConnection) -> list[Defective]:
    """The defects among the pairs that were written, each once, in the order in which they are looked for."""
    statement = (
        select(
            qa_pairs.c.defect,
            func.count(),
            func.min(lines.c.line),
            _of_first_line(qa_pairs.c.defect_turn),
        )
        .join(lines, lines.c.id == qa_pairs.c.id)
        .where(qa_pairs.c.defect.is_not(None))
        .group_by(qa_pairs.c.defect)
    )
    rows = [
        Defective(count, line, PairDefect(Defect(code), turn))
        for code, count, line, turn in await connection.execute(statement)
    ]
    return sorted(rows, key=lambda row: list(Defect).index(row.defect.code))


async def control_tokens(connection: AsyncConnection) -> ControlTokens | None:
    """The pairs that were written and have marks of chat templates in their content; None when there are none."""
    statement = (
        select(func.count(), func.min(lines.c.line), _of_first_line(qa_pairs.c.control_token))
        .join(lines, lines.c.id == qa_pairs.c.id)
        .where(qa_pairs.c.control_token.is_not(None))
    )
    count, line, token = (await connection.execute(statement)).one()
    return ControlTokens(count, line, token) if count else None


def _of_first_line(value: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.array_agg(aggregate_order_by(value, lines.c.line))[1]


def _same_item(one: FromClause, other: FromClause) -> ColumnElement[bool]:
    return and_(one.c.item_ref == other.c.item_ref, one.c.label_type == other.c.label_type)


def _first_lines() -> Subquery:
    """For each label that lines give: the first line that does."""
    return (
        select(lines)
        .where(lines.c.label_type.is_not(None))
        .ext(distinct_on(lines.c.item_ref, lines.c.label_type))
        .order_by(lines.c.item_ref, lines.c.label_type, lines.c.line)
        .subquery("first")
    )


def _current_labels(sheet_id: str) -> Subquery:
    return (
        select(canonical_labels)
        .where(canonical_labels.c.sheet_id == sheet_id)
        .ext(distinct_on(canonical_labels.c.item_ref, canonical_labels.c.label_type))
        .order_by(canonical_labels.c.item_ref, canonical_labels.c.label_type, canonical_labels.c.version.desc())
        .subquery("current")
    )
