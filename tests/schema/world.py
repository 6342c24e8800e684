"""One small world that most tests only read: ties, nulls wherever they may be, parents without children."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from server.domain.caller import Caller
from server.domain.examples import Message
from server.domain.gates import PairStatus
from server.services.curation import Curation, NewPair
from server.storage import tables
from server.storage.migrations import driver_url
from tests.schema.rows import NEWEST, Row, add, event, job, lineage

ANNA = Caller("anna@example.com")
TIED = 4  # the newest jobs, and two in the middle, were created in one moment
JOBS = 25
EMPTY, RICH, LAST = 0, 3, JOBS - 1  # numbers of jobs: with nothing below it, with everything, without a lineage
LABEL_DATA = {"zebra": 1, "a": [1.0, 2.50, 12345678901234567890], "é": "„quoted“ \"'\\ \n\t 🦓", "n": None, "": {}}
CONFIG = {"learning_rate": 1e-05, "epochs": 3, "batch_size": 16, "note": 'it\'s\n"ours"', "big": 2**70}
RICH_EVENTS: tuple[tuple[str, str | None, str | None, object, str | None], ...] = (
    ("CREATED", None, None, {"pairs": 7}, "local"),
    ("SUBMITTED", None, None, None, None),
    ("STATUS_CHANGE", "PENDING", "QUEUED", None, None),
    ("STATUS_CHANGE", "QUEUED", "RUNNING", None, None),
    ("METRIC_UPDATE", None, None, {"zebra": 1, "a": 1.0}, None),
    ("PROGRESS_UPDATE", None, None, {"percent": 33}, None),
    ("METRIC_UPDATE", None, None, [], None),
    ("PROGRESS_UPDATE", None, None, "text", None),
    ("ERROR", None, None, 0, None),
    ("CANCEL_REQUESTED", None, None, None, "ben"),
    ("MODEL_REGISTERED", None, None, {"version": "4"}, None),
    ("STATUS_CHANGE", "RUNNING", "SUCCEEDED", None, None),
)


def turns(question: str, answer: str) -> list[Message]:
    return [Message("user", question), Message("assistant", answer)]


@dataclass(frozen=True)
class World:
    """What was written. `jobs` are by number: 0 is among the newest. `pairs` are in the order of their sheet."""

    url: str
    sheet: str
    empty_sheet: str
    templates: tuple[str, str]
    labels: tuple[str, str, str]
    training_sheet: str
    other_training_sheet: str
    pairs: list[str]
    jobs: list[Row]
    lineages: dict[str, Row]
    frozen: list[Row]
    events: list[Row]

    def newest_first(self) -> list[Row]:
        return sorted(self.jobs, key=lambda row: (row["created_at"], row["id"]), reverse=True)

    def job_ids(self, **columns: Any) -> list[str]:  # noqa: ANN401
        """Jobs with these values, newest first."""
        return [row["id"] for row in self.newest_first() if columns.items() <= row.items()]


async def fill(url: str) -> World:
    """Write the world into an empty, migrated database."""
    engine = create_async_engine(driver_url(url))
    try:
        return await _filled(url, engine)
    finally:
        await engine.dispose()


async def _filled(url: str, engine: AsyncEngine) -> World:
    curation = Curation(engine)
    sheet = await curation.create_sheet(ANNA, "invoices", "UC_TABLE", "main.finance.invoices")
    empty_sheet = await curation.create_sheet(ANNA, "nothing 'here' „“", "EXTERNAL")
    first = await curation.create_template(ANNA, "desk", "You answer for the invoice desk.", "{question}")
    second = await curation.create_template(ANNA, "desk", None, "{question}?")
    old = await curation.create_canonical_label(
        ANNA, sheet_id=sheet, item_ref="inv-1", label_type="answer", label_data={"text": "first version"}
    )
    training_sheet = await curation.create_training_sheet(ANNA, "invoice desk", sheet, first)
    other = await curation.create_training_sheet(ANNA, "spare", sheet, second)
    pairs = await curation.add_qa_pairs(ANNA, training_sheet, _pairs(old))
    new = await curation.create_canonical_label(
        ANNA, sheet_id=sheet, item_ref="inv-1", label_type="answer", label_data=LABEL_DATA
    )
    strict = await curation.create_canonical_label(
        ANNA,
        sheet_id=sheet,
        item_ref="inv-2",
        label_type="answer",
        label_data="only a text",
        allowed_uses=["VALIDATION"],
        prohibited_uses=["TESTING", "FEW_SHOT"],
    )
    pairs += await curation.add_qa_pairs(
        ANNA, training_sheet, [NewPair(turns("q7", "a7"), canonical_label_id=strict, status=PairStatus.LABELED)]
    )
    jobs = [_numbered(number, training_sheet, other) for number in range(JOBS)]
    template_of = {training_sheet: first, other: second}
    lineages = {
        row["id"]: lineage(row, sheet_id=sheet, template_id=template_of[row["training_sheet_id"]])
        for row in jobs[:LAST]
    }
    lineages[jobs[RICH]["id"]]["model_version"] = "4"
    frozen = [*_frozen(jobs[RICH], pairs, (new, old)), *_frozen(jobs[9], pairs[:2], (new, old))]
    events = [
        event(
            number,
            jobs[RICH]["id"],
            number + 1,
            event_type=kind,
            old_status=old_status,
            new_status=new_status,
            event_data=data,
            actor=actor,
        )
        for number, (kind, old_status, new_status, data, actor) in enumerate(RICH_EVENTS)
    ]
    events.append(event(100, jobs[9]["id"], 1, event_type="CREATED", message="„é“ \"'\\\n"))
    async with engine.begin() as connection:
        await add(connection, tables.training_jobs, jobs)
        await add(connection, tables.training_job_lineage, list(lineages.values()))
        await add(connection, tables.training_job_pairs, frozen)
        await add(connection, tables.training_job_events, events)
        await add(connection, tables.training_job_metrics, _metrics(jobs))
    return World(
        url,
        sheet,
        empty_sheet,
        (first, second),
        (old, new, strict),
        training_sheet,
        other,
        pairs,
        jobs,
        lineages,
        frozen,
        events,
    )


def _pairs(label: str) -> list[NewPair]:
    labeled = PairStatus.LABELED
    return [
        NewPair(
            turns("Wann? 你好 🦓", 'It\'s „due“ "now"\\\n\tor\u2028never'),
            item_ref="inv-1",
            canonical_label_id=label,
            status=labeled,
        ),
        NewPair(turns("q1", "a1"), status=labeled),
        NewPair(turns("q2", "a2"), canonical_label_id=label),
        NewPair(turns("q3", "a3"), status=labeled, prohibited_uses=["TRAINING"]),
        NewPair(turns("q4", "a4"), status=labeled, allowed_uses=["EVALUATION", "VALIDATION"]),
        NewPair([Message("system", "Be brief."), *turns("q5", " ")], status=labeled),
        NewPair([Message("user", "q6")], status=PairStatus.REJECTED, allowed_uses=[]),
    ]


def _numbered(number: int, training_sheet: str, other: str) -> Row:
    moment = NEWEST if number < TIED else NEWEST - timedelta(minutes=number)
    if number == 11:
        moment = NEWEST - timedelta(minutes=10)
    row = job(number, other if number % 5 == 4 else training_sheet, created_at=moment)
    if number != RICH:
        return row
    return {
        **row,
        "training_config": CONFIG,
        "train_val_split": 0.75,
        "current_epoch": 3,
        "total_epochs": 3,
        "excluded_not_labeled": 3,
        "excluded_use_not_allowed": 2,
        "excluded_malformed": 1,
        "mlflow_run_id": "0123abcd",
        "register_to_uc": True,
        "uc_catalog": "main",
        "uc_schema": "models",
        "uc_model_name": "main.models.invoice-desk",
        "uc_model_version": "4",
        "dataset_digest": "d" * 64,
        "error_code": "NONE",
        "error_message": "none „really“",
        "cancel_requested_at": NEWEST,
        "cancel_requested_by": "ben",
        "cancel_reason": "too\nlate",
        "unreachable_since": NEWEST,
    }


def _frozen(job_row: Row, pairs: Sequence[str], labels: tuple[str, str]) -> list[Row]:
    """Pairs in another order than their sheet's; some stand under an old version of a label, used first and last."""
    new, old = labels
    backed = {1: (old, 1), 2: (new, 2), 3: (new, 2), 5: (old, 1)}
    return [
        {
            "job_id": job_row["id"],
            "created_at": job_row["created_at"],
            "position": position,
            "split": "TRAIN" if position < len(pairs) - 2 else "VALIDATION",
            "qa_pair_id": pair,
            "digest": hashlib.sha256(pair.encode()).hexdigest(),
            "canonical_label_id": backed.get(position, (None, None))[0],
            "canonical_label_version": backed.get(position, (None, None))[1],
        }
        for position, pair in enumerate(reversed(pairs))
    ]


def _metrics(jobs: Sequence[Row]) -> list[Row]:
    return [
        {"job_id": jobs[9]["id"], "recorded_at": NEWEST},
        {
            "job_id": jobs[RICH]["id"],
            "train_loss": 0.25,
            "val_loss": 1e-9,
            "train_accuracy": 1.0,
            "val_accuracy": 0.0,
            "learning_rate": 1e22,
            "epochs_completed": 3,
            "training_duration_seconds": 12.5,
            "tokens_processed": 2**53 + 1,
            "cost_dbu": 0.1,
            "custom_metrics": {"zebra": 1, "a": {"x": [2**70]}},
            "recorded_at": NEWEST,
        },
    ]
