"""Rows to read: factories of what the tables allow."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from server.domain.caller import LOCAL
from server.domain.ids import Kind
from server.domain.status import TERMINAL, JobStatus, TrainerKind
from server.services.curation import Curation

Row: TypeAlias = dict[str, Any]

NEWEST = datetime(2026, 2, 6, 10, 0, 0, 123456, tzinfo=UTC)


def stable_id(kind: Kind, number: int) -> str:
    """An id whose order has nothing to do with the number, as ties in time have it."""
    return f"{kind}_{hashlib.sha256(f'{kind} {number}'.encode()).hexdigest()[:32]}"


def rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


async def add(connection: AsyncConnection, table: Any, rows: Sequence[Row]) -> None:  # noqa: ANN401  (a Table)
    """Write rows that may have different columns."""
    for row in rows:
        await connection.execute(insert(table).values(**row))


async def curated(engine: AsyncEngine) -> tuple[str, str, str]:
    """The ids of a sheet, a template and a training sheet that joins them."""
    curation = Curation(engine)
    sheet = await curation.create_sheet(LOCAL, "s", "EXTERNAL")
    template = await curation.create_template(LOCAL, "t", None, "{question}")
    return sheet, template, await curation.create_training_sheet(LOCAL, "ts", sheet, template)


def job(number: int, training_sheet_id: str, **changes: Any) -> Row:  # noqa: ANN401  (columns)
    """A job that the table's constraints allow, whatever its status."""
    status = changes.get("status", tuple(JobStatus)[number % 6].value)
    started = NEWEST - timedelta(minutes=number)
    return {
        "id": stable_id(Kind.JOB, number),
        "training_sheet_id": training_sheet_id,
        "model_name": f"model {number % 2}",
        "base_model": "local/retriever-small",
        "trainer": tuple(TrainerKind)[number // 3 % 3].value,
        "status": status,
        "training_config": {"epochs": 3},
        "train_val_split": 0.8,
        "split_seed": number,
        "progress_percent": 100 if status == JobStatus.SUCCEEDED else number % 100,
        "total_pairs": 7,
        "train_pairs": 5,
        "val_pairs": 2,
        "excluded_not_labeled": 0,
        "excluded_use_prohibited": 0,
        "excluded_use_not_allowed": 0,
        "excluded_malformed": 0,
        "trainer_job_id": None if status == JobStatus.PENDING else f"run-{number}",
        "register_to_uc": False,
        "created_by": ("local", "anna@example.com", "ben")[number // 2 % 3],
        "created_at": started,
        "updated_at": started + timedelta(seconds=90, microseconds=500_000),
        "started_at": None if status in {JobStatus.PENDING, JobStatus.QUEUED} else started,
        "completed_at": started + timedelta(seconds=60) if status in TERMINAL else None,
        **changes,
    }


def lineage(job_row: Row, **changes: Any) -> Row:  # noqa: ANN401
    return {
        "job_id": job_row["id"],
        "created_at": job_row["created_at"],
        "training_sheet_id": job_row["training_sheet_id"],
        "training_sheet_name": "as it was called then",
        "sheet_name": "its sheet then",
        "template_name": "its template then",
        "template_version": 1,
        "model_name": job_row["model_name"],
        **changes,
    }


def event(number: int, job_id: str, sequence: int, **changes: Any) -> Row:  # noqa: ANN401
    return {
        "id": stable_id(Kind.EVENT, number),
        "job_id": job_id,
        "sequence": sequence,
        "event_type": "PROGRESS_UPDATE",
        "message": f"event {sequence}",
        "created_at": NEWEST + timedelta(seconds=sequence),
        **changes,
    }
