"""What can be done. A resolver reads its input, calls one service and says what to read."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Annotated, Any, ParamSpec, TypeAlias

import strawberry

from schema.reads.context import Info
from schema.reads.resolve import Ref
from schema.types import inputs
from schema.types.curation import CanonicalLabel, QaPairsPayload, Sheet, Template, TrainingSheet
from schema.types.inputs import given
from schema.types.jobs import TrainingJob
from schema.types.problems import (
    Conflict,
    Forbidden,
    InvalidInput,
    InvalidTransition,
    NoEligiblePairs,
    NotFound,
    Problem,
    problem,
)
from server.domain.errors import Refused
from server.domain.examples import Message
from server.domain.gates import PairStatus
from server.services.curation import ALL_USES, NewPair
from server.services.jobs import CreateJob

P = ParamSpec("P")

TrainingJobResult: TypeAlias = Annotated[
    TrainingJob | NotFound | InvalidInput | Forbidden | Conflict | InvalidTransition | NoEligiblePairs,
    strawberry.union("TrainingJobResult", description="The job, or why nothing changed."),
]
SheetResult: TypeAlias = Annotated[
    Sheet | InvalidInput | Forbidden | Conflict,
    strawberry.union("SheetResult", description="The sheet, or why nothing changed."),
]
TemplateResult: TypeAlias = Annotated[
    Template | InvalidInput | Forbidden | Conflict,
    strawberry.union("TemplateResult", description="The version of the template, or why nothing changed."),
]
TrainingSheetResult: TypeAlias = Annotated[
    TrainingSheet | NotFound | InvalidInput | Forbidden | Conflict,
    strawberry.union("TrainingSheetResult", description="The training sheet, or why nothing changed."),
]
CanonicalLabelResult: TypeAlias = Annotated[
    CanonicalLabel | NotFound | InvalidInput | Forbidden | Conflict,
    strawberry.union("CanonicalLabelResult", description="The version of the label, or why nothing changed."),
]
QaPairsResult: TypeAlias = Annotated[
    QaPairsPayload | NotFound | InvalidInput | Forbidden | Conflict,
    strawberry.union("QaPairsResult", description="The pairs, or why nothing changed."),
]


def _reading(
    type_: str,
) -> Callable[[Callable[P, Awaitable[str | list[str]]]], Callable[P, Awaitable[Ref | Problem]]]:
    """Turn a resolver that answers a key into one that says what to read, and its refusals into problems."""

    def decorate(resolver: Callable[P, Awaitable[str | list[str]]]) -> Callable[P, Awaitable[Ref | Problem]]:
        @wraps(resolver)
        async def resolve(*args: P.args, **kwargs: P.kwargs) -> Ref | Problem:
            try:
                return Ref(type_, await resolver(*args, **kwargs))
            except Refused as refused:
                return problem(refused)

        return resolve

    return decorate


def _mutation(resolver: Callable[..., Any], description: str) -> Any:  # noqa: ANN401  (the annotation gives the type)
    return strawberry.mutation(resolver=resolver, description=description)


@_reading("TrainingJob")
async def create_training_job(
    info: Info,
    input: Annotated[inputs.CreateTrainingJobInput, strawberry.argument(description="The training.")],  # noqa: A002
) -> str:
    """Store a job with its frozen pairs and wait briefly for its submission."""
    config = given(input.training_config)
    request = CreateJob(
        training_sheet_id=input.training_sheet_id,
        model_name=input.model_name,
        base_model=input.base_model,
        trainer=given(input.trainer),
        training_config={} if config is None else config,
        train_val_split=0.8 if input.train_val_split is None else input.train_val_split,
        split_seed=input.split_seed or 0,
        register_to_uc=bool(input.register_to_uc),
        uc_catalog=given(input.uc_catalog),
        uc_schema=given(input.uc_schema),
        client_mutation_id=given(input.client_mutation_id),
    )
    return await info.context.services.jobs.create(info.context.caller, request)


@_reading("TrainingJob")
async def cancel_training_job(
    info: Info,
    input: Annotated[inputs.CancelTrainingJobInput, strawberry.argument(description="The job.")],  # noqa: A002
) -> str:
    """Record the request, pass it to the trainer, and wait briefly for it to confirm."""
    return await info.context.services.jobs.cancel(info.context.caller, input.job_id, given(input.reason))


@_reading("TrainingJob")
async def poll_training_job(
    info: Info,
    job_id: Annotated[strawberry.ID, strawberry.argument(description="The job.")],
) -> str:
    """Observe the job's run at its trainer now."""
    return await info.context.services.jobs.poll(info.context.caller, job_id)


@_reading("Sheet")
async def create_sheet(
    info: Info,
    input: Annotated[inputs.CreateSheetInput, strawberry.argument(description="The sheet.")],  # noqa: A002
) -> str:
    """Store a sheet."""
    return await info.context.services.curation.create_sheet(
        info.context.caller, input.name, input.source, given(input.source_location)
    )


@_reading("Template")
async def create_template(
    info: Info,
    input: Annotated[inputs.CreateTemplateInput, strawberry.argument(description="The template.")],  # noqa: A002
) -> str:
    """Store a template or its next version."""
    return await info.context.services.curation.create_template(
        info.context.caller, input.name, given(input.system_prompt), input.user_prompt
    )


@_reading("TrainingSheet")
async def create_training_sheet(
    info: Info,
    input: Annotated[inputs.CreateTrainingSheetInput, strawberry.argument(description="The training sheet.")],  # noqa: A002
) -> str:
    """Join a sheet with a template."""
    return await info.context.services.curation.create_training_sheet(
        info.context.caller, input.name, input.sheet_id, input.template_id
    )


@_reading("CanonicalLabel")
async def create_canonical_label(
    info: Info,
    input: Annotated[inputs.CreateCanonicalLabelInput, strawberry.argument(description="The label.")],  # noqa: A002
) -> str:
    """Store a label or its next version."""
    return await info.context.services.curation.create_canonical_label(
        info.context.caller,
        sheet_id=input.sheet_id,
        item_ref=input.item_ref,
        label_type=input.label_type,
        label_data=input.label_data,
        allowed_uses=ALL_USES if input.allowed_uses is None else input.allowed_uses,
        prohibited_uses=input.prohibited_uses or (),
    )


@_reading("QaPairsPayload")
async def add_qa_pairs(
    info: Info,
    input: Annotated[inputs.AddQaPairsInput, strawberry.argument(description="The pairs.")],  # noqa: A002
) -> list[str]:
    """Store pairs, all or none."""
    pairs = [
        NewPair(
            messages=[Message(message.role, message.content) for message in pair.messages],
            item_ref=given(pair.item_ref),
            canonical_label_id=given(pair.canonical_label_id),
            status=pair.status or PairStatus.UNLABELED,
            allowed_uses=ALL_USES if pair.allowed_uses is None else pair.allowed_uses,
            prohibited_uses=pair.prohibited_uses or (),
        )
        for pair in input.pairs
    ]
    return await info.context.services.curation.add_qa_pairs(info.context.caller, input.training_sheet_id, pairs)


@_reading("QaPairsPayload")
async def review_qa_pairs(
    info: Info,
    input: Annotated[inputs.ReviewQaPairsInput, strawberry.argument(description="The review.")],  # noqa: A002
) -> list[str]:
    """Store the caller's review of pairs."""
    return await info.context.services.curation.review_qa_pairs(
        info.context.caller,
        input.qa_pair_ids,
        status=given(input.status),
        allowed_uses=given(input.allowed_uses),
        prohibited_uses=given(input.prohibited_uses),
    )


@strawberry.type(
    description="What can be done. Expected failures are data: each result is a union whose other members are problems."
)
class Mutation:
    """The writes."""

    create_training_job: TrainingJobResult = _mutation(
        create_training_job,
        "Freeze the eligible pairs of a training sheet and train on them. Waits up to 10 s for the trainer to accept"
        " the job, then answers with what is true; the job goes on by itself.",
    )
    cancel_training_job: TrainingJobResult = _mutation(
        cancel_training_job,
        "Stop a job. Waits up to 10 s for the trainer to confirm, then answers with what is true. Cancelling twice"
        " answers with the same job.",
    )
    poll_training_job: TrainingJobResult = _mutation(
        poll_training_job, "Look at the trainer now instead of at the next interval, then answer."
    )
    create_sheet: SheetResult = _mutation(create_sheet, "Store a sheet.")
    create_template: TemplateResult = _mutation(
        create_template, "Store a template; a name that is there already gets its next version."
    )
    create_training_sheet: TrainingSheetResult = _mutation(
        create_training_sheet, "Join a sheet with a version of a template."
    )
    create_canonical_label: CanonicalLabelResult = _mutation(
        create_canonical_label,
        "Store an expert's label for an item; an item and type labelled before get their next version, and the pairs"
        " under the label move on to it.",
    )
    add_qa_pairs: QaPairsResult = _mutation(add_qa_pairs, "Add up to 1000 pairs to a training sheet, all or none.")
    review_qa_pairs: QaPairsResult = _mutation(
        review_qa_pairs, "Record an expert's word on up to 1000 pairs: who, when, and what is given."
    )
