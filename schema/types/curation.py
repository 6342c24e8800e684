"""Where training data comes from: sheets, templates, canonical labels, pairs and training sheets."""

from collections.abc import Callable
from datetime import datetime

import strawberry
from sqlalchemy import ARRAY, ColumnElement, FromClause, Table, Text, func, literal_column, select
from sqlalchemy import column as sql_column
from sqlalchemy import types as sql_types

from schema.reads.connections import limit
from schema.reads.declare import (
    Argument,
    On,
    Order,
    Row,
    Scope,
    Source,
    column,
    computed,
    connection,
    expression,
    many,
    one,
    read_from,
)
from schema.reads.render import word
from schema.types.defects import PairDefect, defect_of
from schema.types.eligibility import EligibilityReport, eligibility
from schema.types.enums import DataUse, PairStatus, SheetSource, Verdict
from schema.types.pages import FORWARD, Connection, Node, elsewhere
from schema.types.scalars import JSON
from server.storage import gates, tables

CREATED = ("created_at", "id")
SHEETS = Order("sheets", CREATED, descending=True)
TEMPLATES = Order("templates", CREATED, descending=True)
LABELS = Order("labels", CREATED, descending=True)
TRAINING_SHEETS = Order("training_sheets", CREATED, descending=True)
PAIRS = Order("pairs", CREATED)
JOBS = Order("jobs", CREATED, descending=True)
USUAL_TURNS = 4
ID = "Opaque and globally unique."
CREATED_AT = "When it was stored."


def jobs_of(source: Source, description: str, *, on: On | None = None) -> object:
    """The jobs that used something, newest first."""
    return connection(
        source,
        description,
        on=on,
        order=JOBS,
        arguments=FORWARD,
        graphql_type=elsewhere("TrainingJobConnection", "schema.types.jobs"),
    )


def _by(link: Table, name: str) -> Source:
    """Jobs by way of a table that has a row for each use, with the job's time: one range of its index, in order.

    So a page costs the same whether one job used the thing or all did.
    """

    def source(scope: Scope) -> FromClause:
        parent = scope.parent
        if parent is None:
            raise TypeError(f"{link.name} is read below what jobs used")
        use, job = scope.rows(link), scope.rows(tables.training_jobs)
        others = [column for column in job.c if column.name not in CREATED]
        used = select(use.c.created_at, use.c.job_id.label("id"), *others).join_from(use, job, job.c.id == use.c.job_id)
        return used.where(use.c[name] == parent.c.id).correlate(parent).subquery(scope.name())

    return source


@read_from(tables.sheets)
@strawberry.type(description="A set of source data.")
class Sheet(Node):
    """A sheet."""

    id: strawberry.ID = column(tables.sheets.c.id, ID)
    name: str = column(tables.sheets.c.name, "Its unique name.")
    source: SheetSource = column(tables.sheets.c.source, "What kind of place its data comes from.")
    source_location: str | None = column(tables.sheets.c.source_location, "Where that is: a table, a path, a file.")
    created_at: datetime = column(tables.sheets.c.created_at, CREATED_AT)
    training_jobs: object = jobs_of(
        _by(tables.training_job_lineage, "sheet_id"), "The jobs that trained on its data, newest first."
    )


@read_from(tables.templates)
@strawberry.type(
    description="A version of a prompt template. It never changes: creating the same name again makes the next version."
)
class Template(Node):
    """A template."""

    id: strawberry.ID = column(tables.templates.c.id, ID)
    name: str = column(tables.templates.c.name, "What the template is called; its versions share the name.")
    version: int = column(tables.templates.c.version, "1, 2, 3 … for one name.")
    system_prompt: str | None = column(
        tables.templates.c.system_prompt, "Stands first in each exported line, unless the pair brings its own."
    )
    user_prompt: str = column(tables.templates.c.user_prompt, "How a question is put to the model.")
    created_at: datetime = column(tables.templates.c.created_at, CREATED_AT)
    training_jobs: object = jobs_of(
        _by(tables.training_job_lineage, "template_id"), "The jobs that used this version, newest first."
    )


@read_from(tables.canonical_labels)
@strawberry.type(
    description="A version of an expert's label for an item of a sheet. It never changes: labelling the item again"
    " makes the next version, and the pairs under the label move on to it."
)
class CanonicalLabel(Node):
    """A canonical label."""

    id: strawberry.ID = column(tables.canonical_labels.c.id, ID)
    sheet: Sheet = one(
        tables.sheets, "The sheet that the item belongs to.", on=lambda label, sheet: sheet.c.id == label.c.sheet_id
    )
    item_ref: str = column(tables.canonical_labels.c.item_ref, "The item of the sheet that is labelled.")
    label_type: str = column(tables.canonical_labels.c.label_type, "What kind of label it is.")
    label_data: JSON = column(tables.canonical_labels.c.label_data, "The label itself.", weight=4)
    version: int = column(tables.canonical_labels.c.version, "1, 2, 3 … for one item and type.")
    allowed_uses: list[DataUse] = column(
        tables.canonical_labels.c.allowed_uses, "What governance allows; a pair with this label can't be allowed more."
    )
    prohibited_uses: list[DataUse] = column(
        tables.canonical_labels.c.prohibited_uses, "What governance prohibits, for each pair with this label as well."
    )
    created_at: datetime = column(tables.canonical_labels.c.created_at, CREATED_AT)
    training_jobs: object = jobs_of(
        _by(tables.training_job_labels, "canonical_label_id"),
        "The jobs that trained on a pair with this version of the label, newest first.",
    )


def _messages(scope: Scope) -> FromClause:
    pair = scope.parent
    if pair is None:
        raise TypeError("only a pair has messages")
    elements = func.json_array_elements(pair.c.messages).table_valued(
        sql_column("value", sql_types.JSON), with_ordinality="place"
    )
    return elements.render_derived(name=scope.name())


def _in_place(message: Row) -> list[ColumnElement[int]]:
    return [message.c.place]


def _spoken(name: str) -> Callable[[Row], ColumnElement[str]]:
    return lambda message: message.c.value.op("->>")(literal_column(f"'{name}'", Text))


@strawberry.type(description="One turn of a conversation.")
class ChatMessage:
    """A message."""

    role: str = expression(_spoken("role"), "Who speaks: system, user or assistant.")
    content: str = expression(_spoken("content"), "What is said.", weight=4)


def _verdict(pair: Row) -> ColumnElement[str]:
    label = tables.canonical_labels.alias("label$")
    one_row = select(literal_column("1").label("one")).subquery("one$")
    with_label = one_row.outerjoin(label, label.c.id == pair.c.canonical_label_id)
    return select(gates.verdict(pair, label)).select_from(with_label).correlate(pair).scalar_subquery()


@read_from(tables.qa_pairs)
@strawberry.type(description="A question and its answer, as chat messages.")
class QaPair(Node):
    """A pair."""

    id: strawberry.ID = column(tables.qa_pairs.c.id, ID)
    training_sheet: "TrainingSheet" = one(
        tables.training_sheets,
        "The training sheet that the pair belongs to.",
        on=lambda pair, sheet: sheet.c.id == pair.c.training_sheet_id,
    )
    item_ref: str | None = column(tables.qa_pairs.c.item_ref, "The item of the sheet that the pair was made from.")
    messages: list[ChatMessage] = many(
        _messages,
        "The conversation; the last assistant turn is the answer. It never changes.",
        order=_in_place,
        usual=lambda _: USUAL_TURNS,
    )
    status: PairStatus = column(tables.qa_pairs.c.status, "What experts said of it.")
    allowed_uses: list[DataUse] = column(tables.qa_pairs.c.allowed_uses, "What governance allows.")
    prohibited_uses: list[DataUse] = column(
        tables.qa_pairs.c.prohibited_uses, "What governance prohibits; this wins over any allowance."
    )
    reviewed_by: str | None = column(tables.qa_pairs.c.reviewed_by, "The expert behind the status.")
    reviewed_at: datetime | None = column(tables.qa_pairs.c.reviewed_at, "When that expert last spoke.")
    created_at: datetime = column(tables.qa_pairs.c.created_at, CREATED_AT)
    verdict: Verdict = expression(_verdict, "What the gates say of it now.")
    defect: PairDefect | None = one(
        defect_of, "Why its messages can't be trained on, whatever its status and uses; null when they can."
    )
    control_token: str | None = column(
        tables.qa_pairs.c.control_token,
        "The first control token of a chat template, such as <|im_end|>, that its messages quote; null when they quote"
        " none. The pair may be trained on: LOCAL and AI_RUNTIME read it as text, FMAPI may take it for the token.",
    )
    canonical_label: CanonicalLabel | None = one(
        tables.canonical_labels,
        "The label behind the answer, in its current version.",
        on=lambda pair, label: label.c.id == pair.c.canonical_label_id,
    )
    training_jobs: object = jobs_of(
        _by(tables.training_job_pairs, "qa_pair_id"), "Every job that used the pair, newest first."
    )


@read_from(tables.training_sheets)
@strawberry.type(description="A sheet joined with a template, and the pairs that came of it.")
class TrainingSheet(Node):
    """A training sheet."""

    id: strawberry.ID = column(tables.training_sheets.c.id, ID)
    name: str = column(tables.training_sheets.c.name, "Its unique name.")
    sheet: Sheet = one(tables.sheets, "The source data.", on=lambda training, sheet: sheet.c.id == training.c.sheet_id)
    template: Template = one(
        tables.templates,
        "The version of the prompt template.",
        on=lambda training, template: template.c.id == training.c.template_id,
    )
    created_at: datetime = column(tables.training_sheets.c.created_at, CREATED_AT)
    qa_pairs: Connection[QaPair] = connection(
        tables.qa_pairs,
        "Its pairs, in the order in which they were added.",
        on=lambda training, pair: pair.c.training_sheet_id == training.c.id,
        where=lambda pair, arguments: (
            [pair.c.status == word(arguments.literal("status"))] if arguments.given("status") else []
        ),
        order=PAIRS,
        arguments=(*FORWARD, Argument("status", PairStatus | None, "Only pairs of this status.")),
    )
    eligibility: EligibilityReport = computed(
        eligibility,
        "What the gates and the split would make of its pairs, if a job were created now.",
        weight=50,
        id=lambda row: row.c.id,
    )
    training_jobs: object = jobs_of(
        tables.training_jobs,
        "The jobs that trained on it, newest first.",
        on=lambda sheet, job: job.c.training_sheet_id == sheet.c.id,
    )


def _written(scope: Scope) -> FromClause:
    return select(scope.arguments.key(ARRAY(Text)).label("ids")).subquery(scope.name())


def _pairs_written(scope: Scope) -> FromClause:
    written, pair = scope.parent, scope.rows(tables.qa_pairs)
    if written is None:
        raise TypeError("only a mutation's result has written pairs")
    place = func.array_position(written.c.ids, pair.c.id.cast(Text)).label("place")
    return select(pair, place).where(pair.c.id == func.any(written.c.ids)).correlate(written).subquery(scope.name())


@read_from(_written)
@strawberry.type(description="The pairs that a mutation wrote.")
class QaPairsPayload:
    """What addQaPairs and reviewQaPairs answer with."""

    count: int = expression(lambda written: func.cardinality(written.c.ids), "How many pairs were written.")
    qa_pairs: list[QaPair] = many(
        _pairs_written,
        "Those pairs, in the order of the input.",
        order=lambda pair: (pair.c.place,),
        limit=limit,
        arguments=(Argument("first", int | None, "How many of them, at most 100.", 20),),
    )
