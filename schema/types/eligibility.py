"""What the gates and the split would make of a training sheet: a field that Python answers."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from schema.execution.errors import refusal_as_error
from schema.reads.context import Info
from schema.types.defects import DefectCount, defect_counts
from schema.types.exclusions import ExclusionCount, exclusion_counts

DEFAULT_SPLIT = 0.8


@strawberry.type(description="What a job would train on, if it were created now.")
class EligibilityReport:
    """Eligibility."""

    total_pairs: int = strawberry.field(description="All pairs of the training sheet.")
    eligible_pairs: int = strawberry.field(description="Pairs that pass both gates.")
    train_pairs: int = strawberry.field(description="Pairs that would be on the train side.")
    val_pairs: int = strawberry.field(
        description="Pairs that would be on the validation side; 0 when the eligible pairs can't be split."
    )
    excluded: list[ExclusionCount] = strawberry.field(
        description="What the gates refuse; only rules that refuse something. They add up to total minus eligible."
    )
    defects: list[DefectCount] = strawberry.field(
        description="What is wrong with the MALFORMED pairs among them; only defects that occur."
    )
    pairs_with_control_tokens: int = strawberry.field(
        description="Eligible pairs that quote a control token of a chat template: see QaPair.controlToken."
    )


async def eligibility(
    parent: strawberry.Parent[Mapping[str, Any]],
    info: Info,
    train_val_split: Annotated[
        float | None, strawberry.argument(description="The share of pairs wanted on the train side, 0.1 to 0.95.")
    ] = DEFAULT_SPLIT,
    split_seed: Annotated[int | None, strawberry.argument(description="The seed of the split.")] = 0,
) -> EligibilityReport:
    """Count and split without writing anything."""
    ratio = DEFAULT_SPLIT if train_val_split is None else train_val_split
    with refusal_as_error():
        report = await info.context.services.eligibility.report(parent["$id"], ratio, split_seed or 0)
    return EligibilityReport(
        total_pairs=report.total,
        eligible_pairs=report.eligible,
        train_pairs=report.train,
        val_pairs=report.validation,
        excluded=exclusion_counts(report.excluded),
        defects=defect_counts(report.defects),
        pairs_with_control_tokens=report.with_control_token,
    )
