"""What jobs were made from, frozen when they were created.

Each row has its job's `created_at`, so that the jobs which used something are one range of an index, newest first. The
foreign key to both columns keeps the copy equal; the default is right for who writes the job in the same transaction.
"""

from datetime import datetime
from typing import Final

from sqlalchemy import CheckConstraint, DateTime, ForeignKeyConstraint, Index
from sqlalchemy import UniqueConstraint as Unique
from sqlmodel import Field

from server.storage.tables.definitions import Row, created_now, one_of, table

SPLITS = ("TRAIN", "VALIDATION")


def _of_job() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["job_id", "created_at"], ["training_jobs.id", "training_jobs.created_at"])


class TrainingJobLineageRow(Row, table=True):
    """Where a job's data came from, as it was called when the job was created. Only the model's version comes later."""

    __tablename__ = "training_job_lineage"
    __table_args__ = (
        _of_job(),
        Index(None, "sheet_id", "created_at", "job_id"),
        Index(None, "template_id", "created_at", "job_id"),
        Index(None, "model_name", "created_at", "job_id"),
        Index("ix_training_job_lineage_version", "model_name", "model_version", "created_at", "job_id"),
    )

    job_id: str = Field(primary_key=True)
    training_sheet_id: str = Field(foreign_key="training_sheets.id")
    training_sheet_name: str
    sheet_id: str = Field(foreign_key="sheets.id")
    sheet_name: str
    template_id: str = Field(foreign_key="templates.id")
    template_name: str
    template_version: int
    model_name: str
    model_version: str | None
    created_at: datetime = created_now()


class TrainingJobPairRow(Row, table=True):
    """A pair that a job exports. `position` counts from 0 in file order: the train side, then the validation side."""

    __tablename__ = "training_job_pairs"
    __table_args__ = (
        _of_job(),
        one_of("split", SPLITS),
        CheckConstraint("position >= 0", name="position"),
        CheckConstraint("(canonical_label_id IS NULL) = (canonical_label_version IS NULL)", name="canonical_label"),
        Unique("qa_pair_id", "created_at", "job_id"),  # a pair once in a job, whose created_at is but one
        Index(None, "job_id", "split", "position"),
    )

    job_id: str = Field(primary_key=True)
    position: int = Field(primary_key=True)
    split: str
    qa_pair_id: str = Field(foreign_key="qa_pairs.id")
    digest: str
    canonical_label_id: str | None = Field(default=None, foreign_key="canonical_labels.id")
    canonical_label_version: int | None
    created_at: datetime = created_now()


class TrainingJobLabelRow(Row, table=True):
    """A label behind some of a job's pairs, once however many they are.

    A trigger of `training_job_pairs` writes it, so that both always agree. The pairs' foreign key to the labels holds
    for it as well: checking it twice would be a fifth of the time that a job of 100,000 pairs takes to store.
    """

    __tablename__ = "training_job_labels"
    __table_args__ = (_of_job(),)

    canonical_label_id: str = Field(primary_key=True)
    created_at: datetime = Field(primary_key=True, sa_type=DateTime(timezone=True))
    job_id: str = Field(primary_key=True)


training_job_lineage: Final = table(TrainingJobLineageRow)
training_job_pairs: Final = table(TrainingJobPairRow)
training_job_labels: Final = table(TrainingJobLabelRow)
