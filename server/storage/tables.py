"""The tables, with the constraints that hold whatever the code does."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Final

from sqlalchemy import ARRAY, JSON, BigInteger, CheckConstraint, DateTime, Index, MetaData, Table, Text, func, text
from sqlalchemy import UniqueConstraint as Unique
from sqlmodel import Field, SQLModel

from server.domain.gates import DataUse, PairStatus
from server.domain.status import ACTIVE, TERMINAL, EventType, JobStatus, TrainerKind

SHEET_SOURCES = ("UC_TABLE", "UC_VOLUME", "EXTERNAL")
SPLITS = ("TRAIN", "VALIDATION")


class Row(SQLModel):
    """What all tables share: constraint names that migrations can rely on."""

    metadata: ClassVar[MetaData] = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


def quoted(values: Iterable[str]) -> str:
    """Values of ours as an SQL list, sorted so that constraints and partial indexes always read the same."""
    return ", ".join(f"'{value}'" for value in sorted(values))


def _one_of(column: str, values: Iterable[str]) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({quoted(values)})", name=column)


def _subset_of(column: str, values: type[StrEnum]) -> CheckConstraint:
    return CheckConstraint(
        f"{column} <@ ARRAY[{quoted(values)}]::text[] AND array_position({column}, NULL) IS NULL", name=column
    )


def _finite(column: str) -> CheckConstraint:
    return CheckConstraint(f"{column} > '-Infinity' AND {column} < 'Infinity'", name=f"{column}_finite")


def _now() -> Any:  # noqa: ANN401  (SQLModel's Field takes the whole type away)
    return Field(sa_type=DateTime(timezone=True), sa_column_kwargs={"server_default": func.now()})


def _time(**kwargs: Any) -> Any:  # noqa: ANN401
    return Field(default=None, sa_type=DateTime(timezone=True), **kwargs)


def _uses() -> Any:  # noqa: ANN401
    return Field(sa_type=ARRAY(Text))


def _json(*, optional: bool = False) -> Any:  # noqa: ANN401
    return Field(default=None, sa_type=JSON, nullable=optional)


def _number(default: str) -> Any:  # noqa: ANN401
    return Field(sa_column_kwargs={"server_default": text(default)})


class SheetRow(Row, table=True):
    """A set of source data."""

    __tablename__ = "sheets"
    __table_args__ = (Unique("name"), _one_of("source", SHEET_SOURCES), Index(None, "created_at", "id"))

    id: str = Field(primary_key=True)
    name: str
    source: str
    source_location: str | None
    created_at: datetime = _now()


class TemplateRow(Row, table=True):
    """A version of a prompt template; never changed."""

    __tablename__ = "templates"
    __table_args__ = (
        Unique("name", "version"),
        CheckConstraint("version >= 1", name="version"),
        Index(None, "created_at", "id"),
    )

    id: str = Field(primary_key=True)
    name: str
    version: int
    system_prompt: str | None
    user_prompt: str
    created_at: datetime = _now()


class CanonicalLabelRow(Row, table=True):
    """A version of an expert's answer for an item; never changed."""

    __tablename__ = "canonical_labels"
    __table_args__ = (
        Unique("sheet_id", "item_ref", "label_type", "version"),
        CheckConstraint("version >= 1", name="version"),
        _subset_of("allowed_uses", DataUse),
        _subset_of("prohibited_uses", DataUse),
        Index(None, "created_at", "id"),
        Index(None, "sheet_id", "created_at", "id"),
    )

    id: str = Field(primary_key=True)
    sheet_id: str = Field(foreign_key="sheets.id")
    item_ref: str
    label_type: str
    label_data: Any = _json()
    version: int
    allowed_uses: list[str] = _uses()
    prohibited_uses: list[str] = _uses()
    created_at: datetime = _now()


class TrainingSheetRow(Row, table=True):
    """A sheet joined with a template; its pairs hang below it."""

    __tablename__ = "training_sheets"
    __table_args__ = (
        Unique("name"),
        Index(None, "created_at", "id"),
        Index(None, "sheet_id"),
        Index(None, "template_id"),
    )

    id: str = Field(primary_key=True)
    name: str
    sheet_id: str = Field(foreign_key="sheets.id")
    template_id: str = Field(foreign_key="templates.id")
    created_at: datetime = _now()


class QaPairRow(Row, table=True):
    """A question and its answer. Messages never change, so what follows from them is kept beside them.

    `defect` says why the messages can't be trained on; `question_digest` and `line_digest` are those of
    `server.domain.examples`.
    """

    __tablename__ = "qa_pairs"
    __table_args__ = (
        _one_of("status", PairStatus),
        _subset_of("allowed_uses", DataUse),
        _subset_of("prohibited_uses", DataUse),
        CheckConstraint("(reviewed_by IS NULL) = (reviewed_at IS NULL)", name="reviewed"),
        Index(None, "training_sheet_id", "created_at", "id"),
        Index(None, "training_sheet_id", "status", "created_at", "id"),
        Index(None, "canonical_label_id"),
    )

    id: str = Field(primary_key=True)
    training_sheet_id: str = Field(foreign_key="training_sheets.id")
    canonical_label_id: str | None = Field(default=None, foreign_key="canonical_labels.id")
    item_ref: str | None
    messages: Any = _json()
    status: str
    allowed_uses: list[str] = _uses()
    prohibited_uses: list[str] = _uses()
    defect: str | None
    question_digest: str
    line_digest: str
    reviewed_by: str | None
    reviewed_at: datetime | None = _time()
    created_at: datetime = _now()


class TrainingJobRow(Row, table=True):
    """A job as it stands, and what the poller needs to go on from here after a crash.

    `last_sequence` numbers the events; `fence` grows with every claim, and what a claim found is written only under the
    fence it took; `submit_started_at` says that a run may exist although none was recorded; `trained_at` when the
    trainer was first seen done, from which the bound on registering counts; `last_metric_step` is where the next
    observation goes on; `mirror_lease_until` keeps two replicas from opening two MLflow runs for one job.
    """

    __tablename__ = "training_jobs"
    __table_args__ = (
        _one_of("status", JobStatus),
        _one_of("trainer", TrainerKind),
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
        Index(None, "created_at", "id"),
        Index(None, "status", "created_at", "id"),
        Index(None, "training_sheet_id", "created_at", "id"),
        Index(None, "created_by", "created_at", "id"),
        Index(None, "model_name", "created_at", "id"),
        Index(None, "trainer", "created_at", "id"),
        Index(None, "trainer_job_id"),
        Index("ix_training_jobs_due", "next_poll_at", postgresql_where=text(f"status IN ({quoted(ACTIVE)})")),
        Index("ix_training_jobs_active", "created_at", "id", postgresql_where=text(f"status IN ({quoted(ACTIVE)})")),
    )

    id: str = Field(primary_key=True)
    training_sheet_id: str = Field(foreign_key="training_sheets.id")
    model_name: str
    base_model: str
    trainer: str
    status: str
    training_config: Any = _json()
    train_val_split: float
    split_seed: int
    progress_percent: int = _number("0")
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
    cancel_requested_at: datetime | None = _time()
    cancel_requested_by: str | None
    cancel_reason: str | None
    created_by: str
    created_at: datetime = _now()
    started_at: datetime | None = _time()
    completed_at: datetime | None = _time()
    updated_at: datetime = _now()
    client_mutation_id: str | None
    input_digest: str | None
    last_sequence: int = _number("0")
    next_poll_at: datetime = _now()
    lease_until: datetime | None = _time()
    fence: int = Field(sa_type=BigInteger, sa_column_kwargs={"server_default": text("0")})
    failures: int = _number("0")
    unreachable_since: datetime | None = _time()
    submit_started_at: datetime | None = _time()
    trained_at: datetime | None = _time()
    registration_failures: int = _number("0")
    last_metric_step: int | None = Field(default=None, sa_type=BigInteger)
    mirror_lease_until: datetime | None = _time()


class TrainingJobLineageRow(Row, table=True):
    """Where a job's data came from, as it was called when the job was created. Only the model's version comes later."""

    __tablename__ = "training_job_lineage"
    __table_args__ = (
        Index(None, "training_sheet_id"),
        Index(None, "sheet_id"),
        Index(None, "template_id"),
        Index(None, "model_name", "model_version"),
    )

    job_id: str = Field(primary_key=True, foreign_key="training_jobs.id")
    training_sheet_id: str = Field(foreign_key="training_sheets.id")
    training_sheet_name: str
    sheet_id: str = Field(foreign_key="sheets.id")
    sheet_name: str
    template_id: str = Field(foreign_key="templates.id")
    template_name: str
    template_version: int
    model_name: str
    model_version: str | None


class TrainingJobPairRow(Row, table=True):
    """A pair that a job exports. `position` counts from 0 in file order: the train side, then the validation side."""

    __tablename__ = "training_job_pairs"
    __table_args__ = (
        _one_of("split", SPLITS),
        CheckConstraint("position >= 0", name="position"),
        CheckConstraint("(canonical_label_id IS NULL) = (canonical_label_version IS NULL)", name="canonical_label"),
        Unique("job_id", "qa_pair_id"),
        Index(None, "job_id", "split", "position"),
        Index(None, "qa_pair_id"),
        Index(None, "canonical_label_id"),
    )

    job_id: str = Field(primary_key=True, foreign_key="training_jobs.id")
    position: int = Field(primary_key=True)
    split: str
    qa_pair_id: str = Field(foreign_key="qa_pairs.id")
    digest: str
    canonical_label_id: str | None = Field(default=None, foreign_key="canonical_labels.id")
    canonical_label_version: int | None


class TrainingJobMetricsRow(Row, table=True):
    """The latest values of a job; a non-finite one is absent."""

    __tablename__ = "training_job_metrics"
    __table_args__ = tuple(
        _finite(column)
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
    custom_metrics: Any = _json(optional=True)
    recorded_at: datetime = _now()


class TrainingJobMetricPointRow(Row, table=True):
    """One value of one series; null where the trainer measured something that is not finite."""

    __tablename__ = "training_job_metric_points"
    __table_args__ = (_finite("value"),)

    job_id: str = Field(primary_key=True, foreign_key="training_jobs.id")
    key: str = Field(primary_key=True)
    step: int = Field(primary_key=True, sa_type=BigInteger)
    value: float | None
    recorded_at: datetime = Field(sa_type=DateTime(timezone=True))


class TrainingJobEventRow(Row, table=True):
    """One entry of a job's history; never changed."""

    __tablename__ = "training_job_events"
    __table_args__ = (
        Unique("job_id", "sequence"),
        _one_of("event_type", EventType),
        CheckConstraint(f"old_status IN ({quoted(JobStatus)})", name="old_status"),
        CheckConstraint(f"new_status IN ({quoted(JobStatus)})", name="new_status"),
        CheckConstraint("sequence >= 1", name="sequence"),
        Index(None, "job_id", "event_type", "sequence"),
        Index(None, "event_type"),
        Index(None, "created_at"),
    )

    id: str = Field(primary_key=True)
    job_id: str = Field(foreign_key="training_jobs.id")
    sequence: int
    event_type: str
    old_status: str | None
    new_status: str | None
    message: str
    event_data: Any = _json(optional=True)
    actor: str | None
    created_at: datetime = _now()


def _table(row: type[Row]) -> Table:
    return Row.metadata.tables[str(row.__tablename__)]


sheets: Final = _table(SheetRow)
templates: Final = _table(TemplateRow)
canonical_labels: Final = _table(CanonicalLabelRow)
training_sheets: Final = _table(TrainingSheetRow)
qa_pairs: Final = _table(QaPairRow)
training_jobs: Final = _table(TrainingJobRow)
training_job_lineage: Final = _table(TrainingJobLineageRow)
training_job_pairs: Final = _table(TrainingJobPairRow)
training_job_metrics: Final = _table(TrainingJobMetricsRow)
training_job_metric_points: Final = _table(TrainingJobMetricPointRow)
training_job_events: Final = _table(TrainingJobEventRow)
