"""Rows of jobs and of what hangs below them."""

import hashlib
from datetime import timedelta

from server.domain.ids import Kind
from server.domain.status import EventType, JobStatus
from tests.differential.awkward import BIG_INTS, DOCUMENTS, FLOATS, JSONS, MOMENTS, TEXTS
from tests.differential.curated import PAIRS, RICH_SHEET, SPLIT_SHEET, created
from tests.schema.rows import NEWEST, Row, event, job, lineage, stable_id

JOBS = 26
RICH, EMPTY, LONG = 3, 0, 5  # numbers of jobs: with everything, with nothing below, with a history of several pages
MANY_EVENTS = 131
MODELS = ("invoice desk", "Invoice Desk", "„модель“ 🦓", "m'odel\\")
SERIES = ("val_loss", "train_loss", "Val_loss", "ünï „key“", "all absent", "single", "")
LENGTHS = (700, 60, 9, 6, 5, 1, 3)
OPTIONAL: dict[str, tuple[object, ...]] = {
    "current_epoch": (0, 3, 2**31 - 1),
    "total_epochs": (3, 2**31 - 1),
    "mlflow_run_id": TEXTS,
    "uc_catalog": TEXTS,
    "uc_schema": TEXTS,
    "uc_model_name": TEXTS,
    "uc_model_version": ("4", "", "٤"),
    "dataset_digest": ("d" * 64,),
    "error_code": TEXTS,
    "error_message": TEXTS,
    "unreachable_since": MOMENTS,
}


def jobs() -> list[Row]:
    return [_job(number) for number in range(JOBS)]


def _job(number: int) -> Row:
    moment = created(number, JOBS)
    row = job(
        number,
        stable_id(Kind.TRAINING_SHEET, (RICH_SHEET, SPLIT_SHEET, 7)[number % 3]),
        model_name=MODELS[number // 2 % len(MODELS)],
        created_at=moment,
        training_config=DOCUMENTS[number % len(DOCUMENTS)],
        train_val_split=(0.8, 0.1, 0.95, 1 / 3)[number % 4],
        split_seed=(0, -1, 2**31 - 1, -(2**31))[number % 4],
        register_to_uc=number % 2 == 1,
        excluded_not_labeled=number % 4,
        excluded_use_prohibited=number % 3,
        excluded_use_not_allowed=number // 3 % 2,
        excluded_malformed=7 if number % 5 == 0 else 0,
    )
    for place, (name, values) in enumerate(OPTIONAL.items()):
        if (number + place) % 3 == 0 or number == RICH:
            row[name] = values[(number + place) % len(values)]
    if row["started_at"] is not None and number % 4 == 1:
        row["started_at"] = MOMENTS[number % len(MOMENTS)]
    if number % 5 == 2 or number == RICH:
        row |= {
            "cancel_requested_at": MOMENTS[number % len(MOMENTS)],
            "cancel_requested_by": "ben",
            "cancel_reason": TEXTS[number % len(TEXTS)] if number % 2 else None,
        }
    return row


def lineages(of: list[Row]) -> list[Row]:
    """All jobs have one but the last two and the empty one."""
    return [
        lineage(
            row,
            training_sheet_name=TEXTS[number % len(TEXTS)],
            sheet_id=stable_id(Kind.SHEET, number % 3),
            template_id=stable_id(Kind.TEMPLATE, number % 4),
            template_version=number % 4 + 1,
            model_version=None if number % 3 else str(number % 4),
        )
        for number, row in enumerate(of[: JOBS - 2])
        if number != EMPTY
    ]


def frozen(of: list[Row]) -> list[Row]:
    """What some jobs trained on: in another order than their sheet's, some under versions of labels."""
    found: list[Row] = []
    for number in range(1, JOBS - 2):
        count = (0, 3, 26, 7)[number % 4] if number != RICH else PAIRS
        found += [_frozen(of[number], number, place, count) for place in range(count)]
    return found


def _frozen(of: Row, number: int, position: int, count: int) -> Row:
    pair = stable_id(Kind.QA_PAIR, (position * 7 + number) % PAIRS)
    label = (number + position * 5) % 6 if position % 3 == 1 else None
    return {
        "job_id": of["id"],
        "created_at": of["created_at"],
        "position": position,
        "split": "TRAIN" if position < count - 2 else "VALIDATION",
        "qa_pair_id": pair,
        "digest": hashlib.sha256(pair.encode()).hexdigest(),
        "canonical_label_id": None if label is None else stable_id(Kind.CANONICAL_LABEL, label),
        "canonical_label_version": None if label is None else label % 3 + 1,
    }


def metrics(of: list[Row]) -> list[Row]:
    """The latest values of every third job: one with none of them, others with the ends of their ranges."""
    names = ("train_loss", "val_loss", "train_accuracy", "val_accuracy", "learning_rate", "cost_dbu")
    found: list[Row] = [{"job_id": of[1]["id"], "recorded_at": MOMENTS[0]}]
    for number in range(RICH, JOBS, 3):
        row: Row = {
            "job_id": of[number]["id"],
            "recorded_at": MOMENTS[number % len(MOMENTS)],
            "tokens_processed": BIG_INTS[-1 - number // 3 % len(BIG_INTS)],
            "epochs_completed": None if number % 4 == 0 else number,
            "training_duration_seconds": FLOATS[number % len(FLOATS)],
            "custom_metrics": None if number % 4 == 1 else JSONS[number % len(JSONS)],
        }
        row |= {
            name: FLOATS[(number + place) % len(FLOATS)]
            for place, name in enumerate(names)
            if (number + place) % 5 or number == RICH
        }
        found.append(row)
    return found


def points(of: list[Row]) -> list[Row]:
    """Series of which one is longer than a page of points; some values were not finite and are null."""
    found = [
        {
            "job_id": of[RICH]["id"],
            "key": key,
            "step": step,
            "value": None if key == "all absent" or step % 7 == 3 else float((step * 37) % 101 - 50) / 8,
            "recorded_at": NEWEST + timedelta(seconds=step, microseconds=0 if step % 2 else 250_000),
        }
        for key, length in zip(SERIES, LENGTHS, strict=True)
        for step in range(length)
    ]
    found += [
        {
            "job_id": of[1]["id"],
            "key": "wide",
            "step": step,
            "value": FLOATS[place % len(FLOATS)],
            "recorded_at": MOMENTS[place % len(MOMENTS)],
        }
        for place, step in enumerate(sorted(BIG_INTS))
    ]
    return found


def events(of: list[Row]) -> list[Row]:
    """Of every type; one history is longer than the largest page, some jobs have none."""
    lengths = {RICH: 24, LONG: MANY_EVENTS} | {number: number % 4 for number in range(7, JOBS)}
    found: list[Row] = []
    for number, length in lengths.items():
        for sequence in range(1, length + 1):
            found.append(_event(len(found), of[number]["id"], sequence))
    return found


def _event(number: int, job_id: str, sequence: int) -> Row:
    moved = sequence % 3 == 0
    statuses = tuple(JobStatus)
    row = event(
        number,
        job_id,
        sequence,
        event_type=tuple(EventType)[number % len(EventType)].value,
        message=TEXTS[number % len(TEXTS)],
        event_data=None if sequence % 4 == 0 else JSONS[number % len(JSONS)],
        actor=None if sequence % 2 else TEXTS[number % len(TEXTS)],
    )
    if moved:
        row |= {
            "old_status": statuses[number % len(statuses)].value,
            "new_status": statuses[(number + 1) % len(statuses)].value,
        }
    if sequence % 5 == 0:
        row["created_at"] = MOMENTS[number % len(MOMENTS)]
    return row
