"""Jobs as they stand, with their history and what was measured."""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import ARRAY, BigInteger, CheckConstraint, DateTime, Index, text
from sqlalchemy import UniqueConstraint as Unique
from sqlmodel import Field

from server.domain.status import ACTIVE, TERMINAL, EventType, JobStatus, TrainerKind
from server.storage.tables.definitions import (
    Row,
    created_now,
    finite,
    json_value,
    moment,
    number,
    one_of,
    quoted,
    table,
)


class TrainingJobRow(Row, table=True):
    """A job as it stands, and what the poller needs to go on from here after a crash.

    `last_sequence` numbers the events; `submit_started_at` says that a run may exist although none was recorded;
    `trained_at` when the trainer was first seen done, from which the bound on registering counts; `last_metric_step` is
    where the next observation goes on, `trainer_events` are digests of the trainer's own events that are recorded.
    """

    __tablename__ = "training_jobs"
    __table_args__ = (
        one_of("status", JobStatus),
        one_of("trainer", TrainerKind),
        CheckConstraint(f"(status IN ({quoted(TERMINAL)})) = (completed_at IS NOT NULL)", name="completed"),
        CheckConstraint("status <> 'SUCCEEDED' OR progress_percent = 100", name="succeeded_progress"),
        CheckConstraint("progress_percent BETWEEN 0 AND 100", name="progress"),
        CheckConstraint("train_pairs >= 1 AND val_pairs >= 1 AND total_pairs = train_pairs + val_pairs", name="pairs"),
        CheckConstraint(
            "excluded_not_labeled >= 0 AND excluded_use_prohibited >= 0"
            " AND excluded_use_not_allowed >= 0 AND excluded_malformed >= 0",
            name="excluded",
        ),
        CheckConstraint("train_val_split BETWEEN 0.1 AND 0.95", name="train_val_split"),
        CheckConstraint(
            "status NOT IN ('QUEUED', 'RUNNING', 'SUCCEEDED') OR trainer_job_id IS NOT NULL", name="submitted"
        ),
        CheckConstraint(
            "(cancel_requested_at IS NULL) = (cancel_requested_by IS NULL)"
            " AND (cancel_reason IS NULL OR cancel_requested_at IS NOT NULL)",
            name="cancel",
        ),
        CheckConstraint("(client_mutation_id IS NULL) = (input_digest IS NULL)", name="client_mutation_id"),
        Unique("created_by", "client_mutation_id"),
        Unique("created_at", "id"),  # an index for lists, and what the rows of a job's lineage refer to
        Index(None, "status", "created_at", "id"),
        Index(None, "training_sheet_id", "created_at", "id"),
        Index(None, "created_by", "created_at", "id"),
        Index(None, "model_name", "created_at", "id"),
        Index(None, "trainer", "created_at", "id"),
        Index(None, "updated_at", "id"),  # what changed since a moment
        Index("ix_training_jobs_active", "created_at", "id", postgresql_where=text(f"status IN ({quoted(ACTIVE)})")),
    )

    id: str = Field(primary_key=True)
    training_sheet_id: str = Field(foreign_key="training_sheets.id")
    model_name: str
    base_model: str
    trainer: str
    status: str
    training_config: Any = json_value()
    train_val_split: float
    split_seed: int
    progress_percent: int = number("0")
    current_epoch: int | None
    total_epochs: int | None
    total_pairs: int
    train_pairs: int
    val_pairs: int
    excluded_not_labeled: int
    excluded_use_prohibited: int
    excluded_use_not_allowed: int
    excluded_malformed: int
    trainer_job_id: str | None
    mlflow_run_id: str | None
    register_to_uc: bool
    uc_catalog: str | None
    uc_schema: str | None
    uc_model_name: str | None
    uc_model_version: str | None
    dataset_digest: str | None
    error_code: str | None
    error_message: str | None
    cancel_requested_at: datetime | None = moment()
    cancel_requested_by: str | None
    cancel_reason: str | None
    created_by: str
    created_at: datetime = created_now()
    started_at: datetime | None = moment()
    completed_at: datetime | None = moment()
    updated_at: datetime = created_now()
    client_mutation_id: str | None
    input_digest: str | None
    last_sequence: int = number("0")
    unreachable_since: datetime | None = moment()
    submit_started_at: datetime | None = moment()
    trained_at: datetime | None = moment()
    trainer_events: list[int] = Field(sa_type=ARRAY(BigInteger), sa_column_kwargs={"server_default": text("'{}'")})
    estimated_end_at: datetime | None = moment()
    last_metric_step: int | None = Field(default=None, sa_type=BigInteger)


class TrainingJobEventRow(Row, table=True):
    """One entry of a job's history; never changed. Only what tells of progress is ever deleted."""

    __tablename__ = "training_job_events"
    __table_args__ = (
        Unique("job_id", "sequence"),
        one_of("event_type", EventType),
        CheckConstraint(f"old_status IN ({quoted(JobStatus)})", name="old_status"),
        CheckConstraint(f"new_status IN ({quoted(JobStatus)})", name="new_status"),
        CheckConstraint("sequence >= 1", name="sequence"),
        Index(None, "job_id", "event_type", "sequence"),
    )

    id: str = Field(primary_key=True)
    job_id: str = Field(foreign_key="training_jobs.id")
    sequence: int
    event_type: str
    old_status: str | None
    new_status: str | None
    message: str
    event_data: Any = json_value(optional=True)
    actor: str | None
    created_at: datetime = created_now()


class TrainingJobMetricsRow(Row, table=True):
    """The latest values of a job; a non-finite one is absent."""

    __tablename__ = "training_job_metrics"
    __table_args__ = tuple(
        finite(column)
        for column in (
            "train_loss",
            "val_loss",
            "train_accuracy",
            "val_accuracy",
            "learning_rate",
            "training_duration_seconds",
            "cost_dbu",
        )
    )

    job_id: str = Field(primary_key=True, foreign_key="training_jobs.id")
    train_loss: float | None
    val_loss: float | None
    train_accuracy: float | None
    val_accuracy: float | None
    learning_rate: float | None
    epochs_completed: int | None
    training_duration_seconds: float | None
    tokens_processed: int | None = Field(default=None, sa_type=BigInteger)
    cost_dbu: float | None
    custom_metrics: Any = json_value(optional=True)
    recorded_at: datetime = created_now()


class TrainingJobMetricPointRow(Row, table=True):
    """One value of one series; null where the trainer measured something that is not finite."""

    __tablename__ = "training_job_metric_points"
    __table_args__ = (finite("value"),)

    job_id: str = Field(primary_key=True, foreign_key="training_jobs.id")
    key: str = Field(primary_key=True)
    step: int = Field(primary_key=True, sa_type=BigInteger)
    value: float | None
    recorded_at: datetime = Field(sa_type=DateTime(timezone=True))


training_jobs: Final = table(TrainingJobRow)
training_job_events: Final = table(TrainingJobEventRow)
training_job_metrics: Final = table(TrainingJobMetricsRow)
training_job_metric_points: Final = table(TrainingJobMetricPointRow)
