"""Writes of what people curate, with the locks that keep pairs under the current version of their labels.

Locks are always taken in this order: names, the sheet, pairs by id. So no two writers wait for each other.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ARRAY, ColumnElement, Select, Text, and_, any_, func, insert, literal, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or_not
from sqlalchemy.ext.asyncio import AsyncConnection

from server.storage.tables import canonical_labels, qa_pairs, sheets, templates, training_sheets


class Template(NamedTuple):
    """One version of a template."""

    id: str
    version: int
    system_prompt: str | None
    user_prompt: str


class TrainingSheet(NamedTuple):
    """A training sheet with what it joins. `now` is the time of the transaction that reads it."""

    id: str
    sheet_id: str
    sheet_name: str
    template_name: str
    template: Template
    now: datetime


class CurrentLabel(NamedTuple):
    """Which version is the current one of a label, and whose it is."""

    id: str
    sheet_id: str


def among(column: ColumnElement[str], ids: Iterable[str]) -> ColumnElement[bool]:
    """One array parameter, however many ids: the statement stays the same."""
    return column == any_(literal(list(ids), ARRAY(Text)))


async def lock_name(connection: AsyncConnection, kind: str, name: str) -> None:
    """Let one transaction at a time decide about a name that may not have a row yet."""
    await connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"{kind}:{name}", 0))))


async def insert_sheet(connection: AsyncConnection, values: Mapping[str, object]) -> bool:
    """Whether the sheet was written: not when its name is taken."""
    statement = insert_or_not(sheets).values(values).on_conflict_do_nothing(index_elements=["name"])
    return (await connection.execute(statement)).rowcount == 1


async def find_sheet(connection: AsyncConnection, name: str) -> str | None:
    """The id of the sheet with this name."""
    return (await connection.execute(select(sheets.c.id).where(sheets.c.name == name))).scalar_one_or_none()


async def sheet_exists(connection: AsyncConnection, sheet_id: str) -> bool:
    """Whether an id is that of a sheet."""
    return (await connection.execute(select(sheets.c.id).where(sheets.c.id == sheet_id))).first() is not None


async def lock_labels(connection: AsyncConnection, sheet_id: str, *, to_write: bool) -> bool:
    """Hold the labels of a sheet until the transaction ends, alone to write them and with others to refer to them.

    Answers whether the sheet exists.
    """
    statement = select(sheets.c.id).where(sheets.c.id == sheet_id)
    locked = statement.with_for_update(key_share=True) if to_write else statement.with_for_update(read=True)
    return (await connection.execute(locked)).first() is not None


async def insert_template(connection: AsyncConnection, name: str, values: Mapping[str, object]) -> int:
    """Write the next version of a template and answer its number; the name must be locked."""
    latest = select(func.max(templates.c.version)).where(templates.c.name == name).scalar_subquery()
    statement = insert(templates).values({**values, "name": name, "version": func.coalesce(latest, 0) + 1})
    version: int = (await connection.execute(statement.returning(templates.c.version))).scalar_one()
    return version


async def latest_template(connection: AsyncConnection, name: str) -> Template | None:
    """The newest version of a template."""
    statement = (
        select(templates.c.id, templates.c.version, templates.c.system_prompt, templates.c.user_prompt)
        .where(templates.c.name == name)
        .order_by(templates.c.version.desc())
        .limit(1)
    )
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else Template(*row)


async def template_exists(connection: AsyncConnection, template_id: str) -> bool:
    """Whether an id is that of a version of a template."""
    return (await connection.execute(select(templates.c.id).where(templates.c.id == template_id))).first() is not None


async def insert_training_sheet(connection: AsyncConnection, values: Mapping[str, object]) -> bool:
    """Whether the training sheet was written: not when its name is taken."""
    statement = insert_or_not(training_sheets).values(values).on_conflict_do_nothing(index_elements=["name"])
    return (await connection.execute(statement)).rowcount == 1


async def training_sheet(connection: AsyncConnection, training_sheet_id: str) -> TrainingSheet | None:
    """A training sheet by its id."""
    return await _training_sheet(connection, training_sheets.c.id == training_sheet_id)


async def find_training_sheet(connection: AsyncConnection, name: str) -> TrainingSheet | None:
    """A training sheet by its name."""
    return await _training_sheet(connection, training_sheets.c.name == name)


async def _training_sheet(connection: AsyncConnection, which: ColumnElement[bool]) -> TrainingSheet | None:
    statement = (
        select(
            training_sheets.c.id,
            sheets.c.id,
            sheets.c.name,
            templates.c.name,
            func.now(),
            templates.c.id,
            templates.c.version,
            templates.c.system_prompt,
            templates.c.user_prompt,
        )
        .join(sheets, sheets.c.id == training_sheets.c.sheet_id)
        .join(templates, templates.c.id == training_sheets.c.template_id)
        .where(which)
    )
    row = (await connection.execute(statement)).one_or_none()
    if row is None:
        return None
    own_id, sheet_id, sheet_name, template_name, now, *template = row
    return TrainingSheet(own_id, sheet_id, sheet_name, template_name, Template(*template), now)


def _same_label(one: Any, other: Any) -> ColumnElement[bool]:  # noqa: ANN401  (tables and aliases)
    return and_(
        one.c.sheet_id == other.c.sheet_id,
        one.c.item_ref == other.c.item_ref,
        one.c.label_type == other.c.label_type,
    )


async def insert_label(connection: AsyncConnection, values: Mapping[str, object]) -> None:
    """Write the next version of a label; the labels of its sheet must be locked to write."""
    key = (canonical_labels.c[column] == values[column] for column in ("sheet_id", "item_ref", "label_type"))
    latest = select(func.max(canonical_labels.c.version)).where(*key).scalar_subquery()
    await connection.execute(insert(canonical_labels).values({**values, "version": func.coalesce(latest, 0) + 1}))


async def move_pairs(connection: AsyncConnection, label_ids: Sequence[str] | Select[tuple[str]]) -> None:
    """Put the pairs that stand under an older version of these labels under them."""
    new, old = canonical_labels.alias("new"), canonical_labels.alias("old")
    chosen = new.c.id.in_(label_ids) if isinstance(label_ids, Select) else among(new.c.id, label_ids)
    moving = (
        select(qa_pairs.c.id, new.c.id.label("label_id"))
        .join(old, old.c.id == qa_pairs.c.canonical_label_id)
        .join(new, and_(_same_label(old, new), old.c.version < new.c.version))
        .where(chosen)
        .order_by(qa_pairs.c.id)
        .with_for_update(of=qa_pairs, key_share=True)
        .cte("moving")
    )
    await connection.execute(
        update(qa_pairs).values(canonical_label_id=moving.c.label_id).where(qa_pairs.c.id == moving.c.id)
    )


async def current_labels(connection: AsyncConnection, label_ids: Iterable[str]) -> dict[str, CurrentLabel]:
    """For each id that is a label's, of whatever version: the current version."""
    given, newer = canonical_labels.alias("given"), canonical_labels.alias("newer")
    current = (
        select(newer.c.id).where(_same_label(newer, given)).order_by(newer.c.version.desc()).limit(1).scalar_subquery()
    )
    rows = await connection.execute(select(given.c.id, current, given.c.sheet_id).where(among(given.c.id, label_ids)))
    return {label_id: CurrentLabel(current_id, sheet_id) for label_id, current_id, sheet_id in rows}


async def insert_pairs(connection: AsyncConnection, rows: Sequence[Mapping[str, object]]) -> None:
    """Write pairs, all of them with the same columns."""
    await connection.execute(insert(qa_pairs), rows)


async def lock_pairs(connection: AsyncConnection, pair_ids: Iterable[str]) -> frozenset[str]:
    """Lock pairs in the order of their ids and answer which there are."""
    statement = select(qa_pairs.c.id).where(among(qa_pairs.c.id, pair_ids)).order_by(qa_pairs.c.id)
    return frozenset((await connection.execute(statement.with_for_update(key_share=True))).scalars())


async def review_pairs(connection: AsyncConnection, pair_ids: Iterable[str], values: Mapping[str, object]) -> None:
    """Write a review of pairs, which must be locked.

    Its time is this statement's: the transaction may have begun before a review that it had to wait for.
    """
    statement = update(qa_pairs).where(among(qa_pairs.c.id, pair_ids))
    await connection.execute(statement.values({**values, "reviewed_at": func.statement_timestamp()}))
