"""Training jobs and what they were made from."""

from collections.abc import Callable
from datetime import datetime

import strawberry
from sqlalchemy import (
    Boolean,
    ColumnElement,
    DateTime,
    Double,
    FromClause,
    and_,
    case,
    extract,
    func,
    literal_column,
    null,
    select,
    values,
)
from sqlalchemy import column as sql_column

from schema.reads.declare import Argument, Order, Row, Scope, column, connection, expression, many, one, read_from
from schema.reads.render import among, word
from schema.reads.streams import STILL_MATCHES
from schema.types.curation import CREATED_AT, ID, QaPair, TrainingSheet
from schema.types.enums import DataSplit, JobAction, JobStatus, TrainerKind, Verdict
from schema.types.events import EVENTS, TYPES, TrainingJobEvent, of_types
from schema.types.exclusions import ExclusionCount
from schema.types.metrics import SERIES_ARGUMENTS, MetricSeries, TrainingJobMetrics, by_key, series, usual_series
from schema.types.pages import BOTH_WAYS, FORWARD, Connection, Node
from schema.types.scalars import JSON
from server.domain.status import CANCELLABLE, TERMINAL
from server.storage import tables

JOB = tables.training_jobs.c
LINEAGE = tables.training_job_lineage.c
FROZEN = tables.training_job_pairs.c
USUAL_IDS = 50  # of a job; it may have 100,000
LINEAGE_PAIRS = Order("lineage_pairs", ("position",))


def _available_actions(job: Row) -> ColumnElement[object]:
    may_cancel = and_(among(job.c.status, CANCELLABLE), job.c.cancel_requested_at.is_(None))
    offered: ColumnElement[object] = literal_column(f"ARRAY['{JobAction.CANCEL}']")
    return case((may_cancel, offered), else_=literal_column("ARRAY[]::text[]"))


def _duration(job: Row) -> ColumnElement[float]:
    until = func.coalesce(job.c.completed_at, job.c.updated_at)
    return extract("epoch", until - job.c.started_at).cast(Double)


def _estimated_end(job: Row) -> ColumnElement[datetime]:
    running = job.c.status == word(JobStatus.RUNNING)
    return case((running, job.c.estimated_end_at), else_=null()).cast(DateTime(timezone=True))


def _still_matches(job: Row) -> ColumnElement[bool]:
    """A column of the rows that a subscription with a filter reads; elsewhere nothing can have left a filter."""
    return job.c.get(STILL_MATCHES, literal_column("true", Boolean))


def _refused_pairs(scope: Scope) -> FromClause:
    """A row for each rule, with the job's count of what it refused."""
    rules = [verdict for verdict in Verdict if verdict is not Verdict.ELIGIBLE]
    counts = values(sql_column("verdict"), sql_column("count"), sql_column("place"), name=scope.name())
    parent = scope.parent
    if parent is None:
        raise TypeError("only a job has counts of refused pairs")
    return counts.data(
        [
            (word(verdict), parent.c[f"excluded_{verdict.lower()}"], literal_column(str(place)))
            for place, verdict in enumerate(rules)
        ]
    )


@strawberry.type(description="A pair that a job used, as it was frozen when the job was created.")
class LineagePair:
    """A frozen pair."""

    qa_pair_id: strawberry.ID = column(FROZEN.qa_pair_id, "The pair.")
    split: DataSplit = column(FROZEN.split, "Which side of the split it is on.")
    position: int = column(FROZEN.position, "Its place in file order, from 0: the train side first.")
    digest: str = column(FROZEN.digest, "sha256 of the exported line without its newline, in hex.")
    qa_pair: QaPair | None = one(
        tables.qa_pairs, "The pair as it is now.", on=lambda frozen, pair: pair.c.id == frozen.c.qa_pair_id
    )
    canonical_label_id: strawberry.ID | None = column(
        FROZEN.canonical_label_id, "The version of the canonical label that backed it then."
    )
    canonical_label_version: int | None = column(FROZEN.canonical_label_version, "The number of that version.")


def _frozen_ids(name: str, *, distinct: bool = False) -> Callable[[Row], ColumnElement[object]]:
    def ids(lineage: Row) -> ColumnElement[object]:
        frozen = tables.training_job_pairs.alias("frozen$")
        of_job = frozen.c.job_id == lineage.c.job_id
        listed = select(frozen.c[name]).where(of_job, frozen.c[name].is_not(None))
        ordered = listed.group_by(frozen.c[name]).order_by(func.min(frozen.c.position))
        chosen = ordered if distinct else listed.order_by(frozen.c.position)
        return func.array(chosen.correlate(lineage).scalar_subquery())

    return ids


@strawberry.type(
    description="Where a model's data came from, frozen when its job was created: later edits do not change it."
)
class TrainingJobLineage:
    """Lineage."""

    job_id: strawberry.ID = column(LINEAGE.job_id, "The job.")
    job: "TrainingJob" = one(
        tables.training_jobs, "The job itself.", on=lambda lineage, job: job.c.id == lineage.c.job_id
    )
    training_sheet_id: strawberry.ID = column(LINEAGE.training_sheet_id, "The training sheet.")
    training_sheet_name: str = column(LINEAGE.training_sheet_name, "Its name then.")
    sheet_id: strawberry.ID = column(LINEAGE.sheet_id, "The sheet of source data.")
    sheet_name: str = column(LINEAGE.sheet_name, "Its name then.")
    template_id: strawberry.ID = column(LINEAGE.template_id, "The version of the prompt template.")
    template_name: str = column(LINEAGE.template_name, "The template's name.")
    template_version: int = column(LINEAGE.template_version, "The number of that version.")
    model_name: str = column(LINEAGE.model_name, "The model.")
    model_version: str | None = column(LINEAGE.model_version, "Its version in the registry, once registered.")
    qa_pair_ids: list[strawberry.ID] = expression(
        _frozen_ids("qa_pair_id"),
        "Exactly the pairs that were exported, in file order: train, then validation.",
        weight=USUAL_IDS,
    )
    canonical_label_ids: list[strawberry.ID] = expression(
        _frozen_ids("canonical_label_id", distinct=True),
        "The labels behind those pairs, in order of first use.",
        weight=USUAL_IDS,
    )
    pairs: Connection[LineagePair] = connection(
        tables.training_job_pairs,
        "Those pairs, in file order.",
        on=lambda lineage, frozen: frozen.c.job_id == lineage.c.job_id,
        where=lambda frozen, arguments: (
            [frozen.c.split == word(arguments.literal("split"))] if arguments.given("split") else []
        ),
        order=LINEAGE_PAIRS,
        arguments=(*FORWARD, Argument("split", DataSplit | None, "Only this side of the split.")),
    )


@read_from(tables.training_jobs)
@strawberry.type(description="The making of one model from the eligible pairs of one training sheet.")
class TrainingJob(Node):
    """A job."""

    id: strawberry.ID = column(JOB.id, ID)
    training_sheet: TrainingSheet = one(
        tables.training_sheets,
        "What it trains on.",
        on=lambda job, sheet: sheet.c.id == job.c.training_sheet_id,
    )
    training_sheet_id: strawberry.ID = column(JOB.training_sheet_id, "The id of what it trains on.")
    model_name: str = column(JOB.model_name, "What the model is called.")
    base_model: str = column(JOB.base_model, "The model that the training starts from.")
    trainer: TrainerKind = column(JOB.trainer, "Who trains.")
    status: JobStatus = column(JOB.status, "Where the job is in its life.")
    is_terminal: bool = expression(lambda job: among(job.c.status, TERMINAL), "True once nothing more will happen.")
    available_actions: list[JobAction] = expression(_available_actions, "What may be done with the job now.")
    training_config: JSON = column(JOB.training_config, "The hyper-parameters, as they were given.")
    train_val_split: float = column(JOB.train_val_split, "The share of pairs that was wanted on the train side.")
    split_seed: int = column(JOB.split_seed, "The seed of the split; the same seed splits the same pairs the same way.")
    progress_percent: int = column(JOB.progress_percent, "0 to 100; never goes back, and is 100 once SUCCEEDED.")
    current_epoch: int | None = column(JOB.current_epoch, "The epoch that the trainer is in or has finished last.")
    total_epochs: int | None = column(JOB.total_epochs, "How many epochs there will be.")
    total_pairs: int = column(JOB.total_pairs, "Eligible pairs: train and validation together.")
    train_pairs: int = column(JOB.train_pairs, "Pairs on the train side.")
    val_pairs: int = column(JOB.val_pairs, "Pairs on the validation side.")
    excluded: list[ExclusionCount] = many(
        _refused_pairs,
        "What the gates refused when the job was created; only rules that refused something.",
        where=lambda row, _: [row.c["count"] > literal_column("0")],
        order=lambda row: (row.c.place,),
    )
    trainer_job_id: str | None = column(JOB.trainer_job_id, "The run's id in the trainer.")
    mlflow_run_id: str | None = column(JOB.mlflow_run_id, "The run in MLflow.")
    register_to_uc: bool = column(JOB.register_to_uc, "Whether the trained model is to be registered.")
    uc_catalog: str | None = column(JOB.uc_catalog, "The catalog to register in.")
    uc_schema: str | None = column(JOB.uc_schema, "The schema to register in.")
    uc_model_name: str | None = column(JOB.uc_model_name, "The full name: catalog.schema.model.")
    uc_model_version: str | None = column(JOB.uc_model_version, "The registered version.")
    dataset_digest: str | None = column(
        JOB.dataset_digest, "sha256 of the training file followed by the validation file, in hex; once exported."
    )
    error_code: str | None = column(JOB.error_code, "Why it FAILED, for programs.")
    error_message: str | None = column(JOB.error_message, "Why it FAILED, for people.")
    unreachable_since: datetime | None = column(
        JOB.unreachable_since, "Since when the trainer can't be reached; null while it can. The job waits and goes on."
    )
    cancel_requested_at: datetime | None = column(JOB.cancel_requested_at, "When somebody asked to stop it.")
    cancel_reason: str | None = column(JOB.cancel_reason, "Why they did.")
    created_by: str = column(JOB.created_by, "Who created it.")
    created_at: datetime = column(JOB.created_at, CREATED_AT)
    started_at: datetime | None = column(JOB.started_at, "When it became RUNNING.")
    completed_at: datetime | None = column(JOB.completed_at, "When it became terminal.")
    updated_at: datetime = column(JOB.updated_at, "When it last changed.")
    estimated_end_at: datetime | None = expression(
        _estimated_end, "When the trainer expects to be done, if it says so; null unless the job is RUNNING."
    )
    still_matches: bool = expression(
        _still_matches,
        "False only in trainingJobsUpdated, for a job that its status has taken out of the subscription's filter: it is"
        " told this once more, so that a list on a screen can drop it. True everywhere else.",
    )
    duration_seconds: float | None = expression(
        _duration, "From startedAt to completedAt; while it is RUNNING, to its last change."
    )
    lineage: TrainingJobLineage | None = one(
        tables.training_job_lineage,
        "Where its data came from.",
        on=lambda job, lineage: lineage.c.job_id == job.c.id,
    )
    metrics: TrainingJobMetrics | None = one(
        tables.training_job_metrics,
        "The latest values, final once the job is terminal; null until there are any.",
        on=lambda job, latest: latest.c.job_id == job.c.id,
    )
    metric_history: list[MetricSeries] = many(
        series,
        "The series by step, in alphabetical order of their keys.",
        order=by_key,
        usual=usual_series,
        arguments=SERIES_ARGUMENTS,
    )
    events: Connection[TrainingJobEvent] = connection(
        tables.training_job_events,
        "Its history, oldest first.",
        on=lambda job, event: event.c.job_id == job.c.id,
        where=of_types,
        order=EVENTS,
        arguments=(*BOTH_WAYS, TYPES),
    )


@strawberry.type(description="One page of a list.")
class TrainingJobConnection(Connection[TrainingJob]):
    """A type of its own, because the types that jobs are made from name it before it is made."""
