"""What can be asked."""

from dataclasses import replace

import strawberry
from sqlalchemy import ColumnElement, DateTime, Text

from schema.reads.arguments import Arguments
from schema.reads.connections import LARGEST_PAGE
from schema.reads.declare import Argument, Row, connection, lookup, many, one
from schema.reads.render import among, word
from schema.types.base_models import BaseModel, base_models
from schema.types.curation import (
    JOBS,
    LABELS,
    SHEETS,
    TEMPLATES,
    TRAINING_SHEETS,
    CanonicalLabel,
    QaPair,
    Sheet,
    Template,
    TrainingSheet,
)
from schema.types.enums import TrainingJobOrder
from schema.types.inputs import TrainingJobFilter
from schema.types.jobs import TrainingJob, TrainingJobConnection, TrainingJobLineage
from schema.types.pages import AFTER, BOTH_WAYS, FORWARD, Connection, Node
from server.domain.ids import Kind
from server.domain.status import ACTIVE
from server.storage import tables

TYPES = {
    Kind.SHEET: "Sheet",
    Kind.TEMPLATE: "Template",
    Kind.CANONICAL_LABEL: "CanonicalLabel",
    Kind.TRAINING_SHEET: "TrainingSheet",
    Kind.QA_PAIR: "QaPair",
    Kind.JOB: "TrainingJob",
    Kind.EVENT: "TrainingJobEvent",
}
ID = (Argument("id", strawberry.ID, "What to look up."),)


def _by_id(row: Row, arguments: Arguments) -> list[ColumnElement[bool]]:
    return [row.c.id == arguments.bind(Text(), "id", convert=plain_id)]


def plain_id(value: str) -> str:
    """An id as it can be looked up: a malformed one names nothing, and is no error."""
    return value if value.isascii() and value.isprintable() else ""


def matching(job: Row, arguments: Arguments) -> list[ColumnElement[bool]]:
    """The conditions of a `TrainingJobFilter` in the argument `filter`.

    Closed sets are written as literals, so that partial indexes serve them and a rare status stays quick.
    """
    return [*unchanging(job, arguments), *in_status(job.c.status, arguments)]


def in_status(status: ColumnElement[str], arguments: Arguments) -> list[ColumnElement[bool]]:
    """The condition of a `TrainingJobFilter` on the status of a job."""
    return [among(status, arguments.words("filter", "status"))] if arguments.given("filter", "status") else []


def unchanging(job: Row, arguments: Arguments) -> list[ColumnElement[bool]]:
    """The conditions of a `TrainingJobFilter` on what never changes of a job."""
    conditions: list[ColumnElement[bool]] = []
    if arguments.given("filter", "trainingSheetId"):
        sheet_id = arguments.bind(Text(), "filter", "trainingSheetId", convert=plain_id)
        conditions.append(job.c.training_sheet_id == sheet_id)
    for member, name in (("createdBy", "created_by"), ("modelName", "model_name")):
        if arguments.given("filter", member):
            conditions.append(job.c[name] == arguments.bind(Text(), "filter", member))
    if arguments.given("filter", "trainer"):
        conditions.append(job.c.trainer == word(arguments.literal("filter", "trainer")))
    if arguments.given("filter", "createdAfter"):
        conditions.append(job.c.created_at > arguments.bind(DateTime(timezone=True), "filter", "createdAfter"))
    if arguments.given("filter", "createdBefore"):
        conditions.append(job.c.created_at < arguments.bind(DateTime(timezone=True), "filter", "createdBefore"))
    return conditions


def _of_sheet(label: Row, arguments: Arguments) -> list[ColumnElement[bool]]:
    return (
        [label.c.sheet_id == arguments.bind(Text(), "sheetId", convert=plain_id)] if arguments.given("sheetId") else []
    )


def _of_model(lineage: Row, arguments: Arguments) -> list[ColumnElement[bool]]:
    conditions = [lineage.c.model_name == arguments.bind(Text(), "modelName")]
    if arguments.given("modelVersion"):
        conditions.append(lineage.c.model_version == arguments.bind(Text(), "modelVersion"))
    return conditions


def _ordered(arguments: Arguments) -> bool:
    return bool(arguments.literal("orderBy") != TrainingJobOrder.CREATED_AT_ASC)


def _type_name(arguments: Arguments) -> str | None:
    """Which type an id is of: that is in its prefix."""

    def named(id_: str) -> str | None:
        kind, _, rest = plain_id(id_).partition("_")
        return TYPES[Kind(kind)] if rest and kind in set(Kind) else None

    name: str | None = arguments.shape(named, "id")
    return name


@strawberry.type(description="What can be asked. Each field reads all that is selected below it with one statement.")
class Query:
    """The reads."""

    node: Node | None = lookup(_type_name, "Anything that has an id.", where=_by_id, arguments=ID)
    training_job: TrainingJob | None = one(tables.training_jobs, "A job.", where=_by_id, arguments=ID)
    training_jobs: TrainingJobConnection = connection(
        tables.training_jobs,
        "Jobs, newest first unless asked otherwise.",
        where=matching,
        order=replace(JOBS, descending=_ordered),
        arguments=(
            Argument("filter", TrainingJobFilter | None, "Which jobs; all when it is left out."),
            Argument("order_by", TrainingJobOrder | None, "How they are ordered.", TrainingJobOrder.CREATED_AT_DESC),
            *BOTH_WAYS,
        ),
    )
    active_training_jobs: TrainingJobConnection = connection(
        tables.training_jobs,
        "Jobs that are PENDING, QUEUED or RUNNING, newest first.",
        where=lambda job, _: [among(job.c.status, ACTIVE)],
        order=JOBS,
        arguments=(Argument("first", int | None, "How many, at most 100; 20 when it is left out."), AFTER),
    )
    training_sheet: TrainingSheet | None = one(tables.training_sheets, "A training sheet.", where=_by_id, arguments=ID)
    training_sheets: Connection[TrainingSheet] = connection(
        tables.training_sheets, "All training sheets, newest first.", order=TRAINING_SHEETS, arguments=FORWARD
    )
    sheets: Connection[Sheet] = connection(tables.sheets, "All sheets, newest first.", order=SHEETS, arguments=FORWARD)
    templates: Connection[Template] = connection(
        tables.templates, "All versions of all templates, newest first.", order=TEMPLATES, arguments=FORWARD
    )
    canonical_labels: Connection[CanonicalLabel] = connection(
        tables.canonical_labels,
        "Canonical labels in all their versions, newest first.",
        where=_of_sheet,
        order=LABELS,
        arguments=(Argument("sheet_id", strawberry.ID | None, "Only those of this sheet."), *FORWARD),
    )
    qa_pair: QaPair | None = one(tables.qa_pairs, "A pair.", where=_by_id, arguments=ID)
    model_lineage: list[TrainingJobLineage] = many(
        tables.training_job_lineage,
        "Which data made a model: the lineage of each job that trained one of this name, newest first, at most 100.",
        where=_of_model,
        order=lambda lineage: (lineage.c.created_at.desc(), lineage.c.job_id.desc()),
        limit=lambda _: LARGEST_PAGE,
        arguments=(
            Argument("model_name", str, "The name that the job was given."),
            Argument("model_version", str | None, "Only the job that made this registered version."),
        ),
    )
    base_models: list[BaseModel] = strawberry.field(
        resolver=base_models,
        description="The models that can be trained. A trainer that can't be reached never fails the list.",
    )
