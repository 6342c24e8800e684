"""The pairs of a training sheet as the gates see them, and the pairs that a job freezes."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ARRAY, FromClause, Select, Text, case, column, func, insert, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.defects import Defect
from server.domain.gates import Verdict
from server.domain.split import Candidate
from server.storage import gates
from server.storage.tables import (
    canonical_labels,
    qa_pairs,
    sheets,
    templates,
    training_job_lineage,
    training_job_pairs,
    training_sheets,
)

READ_AT_ONCE = 1_000
WRITTEN_AT_ONCE = 10_000

judged: FromClause = qa_pairs.outerjoin(canonical_labels, canonical_labels.c.id == qa_pairs.c.canonical_label_id)
verdict = gates.verdict(qa_pairs, canonical_labels)


class Count(NamedTuple):
    """Pairs with one verdict and one defect; `with_control_token` of them quote a mark of a chat template."""

    verdict: Verdict
    defect: Defect | None
    pairs: int
    with_control_token: int


async def counts(connection: AsyncConnection, training_sheet_id: str) -> list[Count]:
    """The pairs of a training sheet by verdict and defect; only what occurs."""
    statement = (
        select(verdict.label("verdict"), qa_pairs.c.defect, func.count(), func.count(qa_pairs.c.control_token))
        .select_from(judged)
        .where(qa_pairs.c.training_sheet_id == training_sheet_id)
        .group_by("verdict", qa_pairs.c.defect)
    )
    return [
        Count(Verdict(name), None if defect is None else Defect(defect), number, with_control_token)
        for name, defect, number, with_control_token in await connection.execute(statement)
    ]


def _eligible(*columns: Any) -> Select[Any]:  # noqa: ANN401  (columns and expressions)
    return select(*columns).select_from(judged).where(verdict == Verdict.ELIGIBLE.value)


async def candidates(connection: AsyncConnection, training_sheet_id: str) -> list[Candidate]:
    """The eligible pairs of a training sheet in lineage order: by creation, then id. Needs an open transaction.

    They are read in portions, so that a large sheet doesn't keep the event loop from others.
    """
    statement = (
        _eligible(
            qa_pairs.c.id,
            qa_pairs.c.canonical_label_id,
            qa_pairs.c.item_ref,
            qa_pairs.c.question_digest,
            gates.may_validate(qa_pairs, canonical_labels),
        )
        .where(qa_pairs.c.training_sheet_id == training_sheet_id)
        .order_by(qa_pairs.c.created_at, qa_pairs.c.id)
    )
    eligible: list[Candidate] = []
    async with connection.stream(statement, execution_options={"yield_per": READ_AT_ONCE}) as result:
        async for portion in result.partitions():
            eligible.extend(Candidate(*row) for row in portion)
    return eligible


async def freeze(connection: AsyncConnection, job_id: str, train: Sequence[str], validation: Sequence[str]) -> bool:
    """Write the pairs that a job will export, in file order; False when the gates now refuse one of them.

    Then the transaction has to be rolled back.
    """
    in_order = [*train, *validation]
    written = 0
    for first, portion in _portions(in_order):
        written += (await connection.execute(_frozen(job_id, portion, first, len(train)))).rowcount
    return written == len(in_order)


def _portions(pair_ids: Sequence[str]) -> Iterator[tuple[int, Sequence[str]]]:
    for first in range(0, len(pair_ids), WRITTEN_AT_ONCE):
        yield first, pair_ids[first : first + WRITTEN_AT_ONCE]


def _frozen(job_id: str, pair_ids: Sequence[str], first: int, train: int) -> Any:  # noqa: ANN401  (an insert)
    chosen = (
        func.unnest(literal(list(pair_ids), ARRAY(Text)))
        .table_valued(column("pair_id", Text), with_ordinality="place", name="chosen")
        .render_derived()
    )
    position = chosen.c.place + (first - 1)
    rows = _eligible(
        literal(job_id, Text),
        position,
        case((position < train, "TRAIN"), else_="VALIDATION"),
        qa_pairs.c.id,
        qa_pairs.c.line_digest,
        qa_pairs.c.canonical_label_id,
        canonical_labels.c.version,
    ).join_from(judged, chosen, chosen.c.pair_id == qa_pairs.c.id)
    columns = ["job_id", "position", "split", "qa_pair_id", "digest", "canonical_label_id", "canonical_label_version"]
    return insert(training_job_pairs).from_select(columns, rows)


async def freeze_lineage(connection: AsyncConnection, job_id: str, training_sheet_id: str, model_name: str) -> None:
    """Write where a job's data comes from, as it is called now."""
    rows = (
        select(
            literal(job_id, Text),
            literal(model_name, Text),
            training_sheets.c.id,
            training_sheets.c.name,
            sheets.c.id,
            sheets.c.name,
            templates.c.id,
            templates.c.name,
            templates.c.version,
        )
        .join(sheets, sheets.c.id == training_sheets.c.sheet_id)
        .join(templates, templates.c.id == training_sheets.c.template_id)
        .where(training_sheets.c.id == training_sheet_id)
    )
    columns = [
        "job_id",
        "model_name",
        "training_sheet_id",
        "training_sheet_name",
        "sheet_id",
        "sheet_name",
        "template_id",
        "template_name",
        "template_version",
    ]
    await connection.execute(insert(training_job_lineage).from_select(columns, rows))


async def sheet_exists(connection: AsyncConnection, training_sheet_id: str) -> bool:
    """Whether an id is that of a training sheet."""
    statement = select(training_sheets.c.id).where(training_sheets.c.id == training_sheet_id)
    return (await connection.execute(statement)).first() is not None
