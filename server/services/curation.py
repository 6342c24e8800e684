"""What people curate: sheets, templates, labels, training sheets and their pairs."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from server.domain import examples, ids
from server.domain.caller import Caller
from server.domain.derived import derive
from server.domain.errors import Conflict, NotFound
from server.domain.examples import Message
from server.domain.gates import DataUse, PairStatus
from server.services import inputs
from server.storage import curation as storage
from server.storage.tables import SHEET_SOURCES
from server.threads import Threads

MAX_PAIRS = 1_000
THREADS = 2
ALL_USES: Collection[str] = tuple(DataUse)

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class NewPair:
    """A pair to add. `canonical_label_id` may be any version of a label: the current one is stored."""

    messages: Sequence[Message]
    item_ref: str | None = None
    canonical_label_id: str | None = None
    status: PairStatus = PairStatus.UNLABELED
    allowed_uses: Collection[str] = ALL_USES
    prohibited_uses: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Curation:
    """The writes of curation. Each is one transaction that either happens whole or raises a `Refused`."""

    engine: AsyncEngine
    threads: Threads = field(default_factory=lambda: Threads(THREADS, "curation"))

    async def create_sheet(self, caller: Caller, name: str, source: str, source_location: str | None = None) -> str:
        """Write a sheet and answer its id. Raises `Conflict` when the name is taken."""
        inputs.filled(name, ("input", "name"))
        if source not in SHEET_SOURCES:
            raise inputs.refused(("input", "source"), f"unknown source; use one of {', '.join(SHEET_SOURCES)}")
        inputs.optional(source_location, ("input", "sourceLocation"), inputs.MAX_LOCATION_CHARACTERS)
        sheet_id = ids.new(ids.Kind.SHEET)
        values = {"id": sheet_id, "name": name, "source": str(source), "source_location": source_location}
        async with self.engine.begin() as connection:
            if not await storage.insert_sheet(connection, values):
                raise Conflict(f"there is already a sheet called {name!r}", ("input", "name"))
        log.info("sheet created", sheet=sheet_id, by=caller.name)
        return sheet_id

    async def create_template(self, caller: Caller, name: str, system_prompt: str | None, user_prompt: str) -> str:
        """Write a template, or the next version of the one with this name, and answer its id.

        A blank system prompt is none.
        """
        inputs.filled(name, ("input", "name"))
        system_prompt = inputs.prompt(system_prompt, ("input", "systemPrompt"))
        inputs.filled(user_prompt, ("input", "userPrompt"), inputs.MAX_PROMPT_CHARACTERS)
        template_id = ids.new(ids.Kind.TEMPLATE)
        values = {"id": template_id, "system_prompt": system_prompt, "user_prompt": user_prompt}
        async with self.engine.begin() as connection:
            await storage.lock_name(connection, "template", name)
            version = await storage.insert_template(connection, name, values)
        log.info("template created", template=template_id, version=version, by=caller.name)
        return template_id

    async def create_training_sheet(self, caller: Caller, name: str, sheet_id: str, template_id: str) -> str:
        """Join a sheet with a version of a template and answer the training sheet's id.

        Raises `NotFound` for an unknown id and `Conflict` when the name is taken.
        """
        inputs.filled(name, ("input", "name"))
        training_sheet_id = ids.new(ids.Kind.TRAINING_SHEET)
        values = {"id": training_sheet_id, "name": name, "sheet_id": sheet_id, "template_id": template_id}
        async with self.engine.begin() as connection:
            if not (_may_exist(sheet_id) and await storage.sheet_exists(connection, sheet_id)):
                raise _unknown("sheet", sheet_id, ("input", "sheetId"))
            if not (_may_exist(template_id) and await storage.template_exists(connection, template_id)):
                raise _unknown("template", template_id, ("input", "templateId"))
            if not await storage.insert_training_sheet(connection, values):
                raise Conflict(f"there is already a training sheet called {name!r}", ("input", "name"))
        log.info("training sheet created", training_sheet=training_sheet_id, by=caller.name)
        return training_sheet_id

    async def create_canonical_label(  # noqa: PLR0913  (the fields of the label)
        self,
        caller: Caller,
        *,
        sheet_id: str,
        item_ref: str,
        label_type: str,
        label_data: object,
        allowed_uses: Collection[str] = ALL_USES,
        prohibited_uses: Collection[str] = (),
    ) -> str:
        """Write a label, or the next version of the one with this sheet, item and type, and answer its id.

        The pairs of the previous version come under the new one in the same transaction, so that governance that
        tightens a label tightens its pairs; jobs keep the version that they froze. Raises `NotFound` for an unknown
        sheet.
        """
        values = {
            "id": ids.new(ids.Kind.CANONICAL_LABEL),
            "sheet_id": sheet_id,
            "item_ref": inputs.filled(item_ref, ("input", "itemRef")),
            "label_type": inputs.filled(label_type, ("input", "labelType")),
            "label_data": label_data,
            "allowed_uses": inputs.uses(allowed_uses, ("input", "allowedUses")),
            "prohibited_uses": inputs.uses(prohibited_uses, ("input", "prohibitedUses")),
        }
        inputs.label_data(label_data, ("input", "labelData"))
        label_id = str(values["id"])
        async with self.engine.begin() as connection:
            if not (_may_exist(sheet_id) and await storage.lock_labels(connection, sheet_id, to_write=True)):
                raise _unknown("sheet", sheet_id, ("input", "sheetId"))
            await storage.insert_label(connection, values)
            await storage.move_pairs(connection, [label_id])
        log.info("canonical label created", canonical_label=label_id, by=caller.name)
        return label_id

    async def add_qa_pairs(self, caller: Caller, training_sheet_id: str, pairs: Sequence[NewPair]) -> list[str]:
        """Write 1 to 1000 pairs, all or none, and answer their ids in the same order.

        A pair that comes with a status counts as reviewed by the caller. Raises `NotFound` for an unknown training
        sheet or label, `InvalidInput` for what can't be stored and for a label of another sheet.
        """
        inputs.count(pairs, ("input", "pairs"), MAX_PAIRS)
        async with self.engine.begin() as connection:
            sheet = _may_exist(training_sheet_id) and await storage.training_sheet(connection, training_sheet_id)
            if not sheet:
                raise _unknown("training sheet", training_sheet_id, ("input", "trainingSheetId"))
            labels = await _current_labels(connection, sheet.sheet_id, pairs)
            rows = await self.threads.call(_rows, pairs, sheet, labels, Review(caller.name, sheet.now))
            await storage.insert_pairs(connection, rows)
        log.info("pairs added", training_sheet=training_sheet_id, pairs=len(rows), by=caller.name)
        return [str(row["id"]) for row in rows]

    async def review_qa_pairs(
        self,
        caller: Caller,
        qa_pair_ids: Sequence[str],
        *,
        status: PairStatus | None = None,
        allowed_uses: Collection[str] | None = None,
        prohibited_uses: Collection[str] | None = None,
    ) -> list[str]:
        """Change what is given on up to 1000 pairs, record the caller as their reviewer, and answer the ids, each once.

        Taking a label back (UNLABELED) is a review like any other: who did it stays on record. Raises `NotFound` with
        the path of the first id that is no pair's; then nothing changes.
        """
        inputs.count(qa_pair_ids, ("input", "qaPairIds"), MAX_PAIRS)
        changes: dict[str, object] = {}
        if status is not None:
            changes["status"] = str(status)
        if allowed_uses is not None:
            changes["allowed_uses"] = inputs.uses(allowed_uses, ("input", "allowedUses"))
        if prohibited_uses is not None:
            changes["prohibited_uses"] = inputs.uses(prohibited_uses, ("input", "prohibitedUses"))
        if not changes:
            raise inputs.refused(("input",), "give at least one of status, allowedUses and prohibitedUses")
        async with self.engine.begin() as connection:
            known = await storage.lock_pairs(connection, filter(_may_exist, qa_pair_ids))
            for index, pair_id in enumerate(qa_pair_ids):
                if pair_id not in known:
                    raise _unknown("pair", pair_id, ("input", "qaPairIds", str(index)))
            await storage.review_pairs(connection, known, {**changes, "reviewed_by": caller.name})
        log.info("pairs reviewed", pairs=len(known), by=caller.name)
        return list(dict.fromkeys(qa_pair_ids))


@dataclass(frozen=True, slots=True)
class Review:
    """Who reviewed a pair, and when: at the time of the transaction."""

    by: str
    at: datetime


def _may_exist(given_id: str) -> bool:
    """Text that Postgres can't hold names nothing, and mustn't reach a statement."""
    return examples.unstorable_text(given_id) is None


def _unknown(noun: str, given_id: str, path: tuple[str, ...]) -> NotFound:
    return NotFound(f"no {noun} has the id {given_id[:60]!a}", path)


async def _current_labels(connection: AsyncConnection, sheet_id: str, pairs: Sequence[NewPair]) -> dict[str, str]:
    """The current version for each label that pairs name, which then stays current until the transaction ends."""
    given = {pair.canonical_label_id for pair in pairs if pair.canonical_label_id is not None}
    if not given:
        return {}
    await storage.lock_labels(connection, sheet_id, to_write=False)
    labels = await storage.current_labels(connection, filter(_may_exist, given))
    for index, pair in enumerate(pairs):
        if pair.canonical_label_id is None:
            continue
        path = ("input", "pairs", str(index), "canonicalLabelId")
        label = labels.get(pair.canonical_label_id)
        if label is None:
            raise _unknown("canonical label", pair.canonical_label_id, path)
        if label.sheet_id != sheet_id:
            raise inputs.refused(path, "is a label of another sheet than the training sheet's")
    return {label_id: label.id for label_id, label in labels.items()}


def _rows(
    pairs: Sequence[NewPair], into: storage.TrainingSheet, labels: dict[str, str], review: Review
) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for index, pair in enumerate(pairs):
        path = ("input", "pairs", str(index))
        inputs.messages(pair.messages, (*path, "messages"))
        reviewed = pair.status != PairStatus.UNLABELED
        row: dict[str, object] = {
            "id": ids.new(ids.Kind.QA_PAIR, index),
            "training_sheet_id": into.id,
            "canonical_label_id": labels[pair.canonical_label_id] if pair.canonical_label_id is not None else None,
            "item_ref": inputs.optional(pair.item_ref, (*path, "itemRef")),
            "messages": [message._asdict() for message in pair.messages],
            "status": str(pair.status),
            "allowed_uses": inputs.uses(pair.allowed_uses, (*path, "allowedUses")),
            "prohibited_uses": inputs.uses(pair.prohibited_uses, (*path, "prohibitedUses")),
            **derive(pair.messages, into.template.system_prompt)._asdict(),
            "reviewed_by": review.by if reviewed else None,
            "reviewed_at": review.at if reviewed else None,
        }
        rows.append(row)
    return rows
