"""What clients send. A member that was left out is UNSET; `given` makes it None."""

from datetime import datetime
from typing import Any, TypeVar

import strawberry
from strawberry import UNSET

from schema.types.enums import DataUse, JobStatus, PairStatus, SheetSource, TrainerKind
from schema.types.scalars import JSON

T = TypeVar("T")


def given(value: T | None) -> T | None:
    """A member's value, None when it was left out."""
    return None if value is UNSET else value


def _member(description: str, default: object = UNSET) -> Any:  # noqa: ANN401  (the annotation gives the type)
    return strawberry.field(description=description, default=default)


def _required(description: str) -> Any:  # noqa: ANN401
    return strawberry.field(description=description)


def _uses(description: str, uses: list[DataUse]) -> Any:  # noqa: ANN401
    return strawberry.field(description=description, default_factory=lambda: list(uses))


ALLOWED = "What governance allows; everything, when it is left out."
PROHIBITED = "What governance prohibits; this wins over any allowance."


@strawberry.input(description="Which jobs. All given conditions hold together; one that is null lets every job pass.")
class TrainingJobFilter:
    """A filter."""

    training_sheet_id: strawberry.ID | None = _member("Only jobs on this training sheet.")
    status: list[JobStatus] | None = _member("Only jobs in one of these statuses; none at all for an empty list.")
    created_by: str | None = _member("Only jobs that this person created.")
    model_name: str | None = _member("Only jobs for the model of exactly this name.")
    trainer: TrainerKind | None = _member("Only jobs of this trainer.")
    created_after: datetime | None = _member("Only jobs created after this moment.")
    created_before: datetime | None = _member("Only jobs created before this moment.")


@strawberry.input(description="A training to start.")
class CreateTrainingJobInput:
    """See `server.services.jobs.Jobs.create`."""

    training_sheet_id: strawberry.ID = _required("The training sheet whose eligible pairs are used.")
    model_name: str = _required("What the model is to be called.")
    base_model: str = _required("The model to start from: see baseModels.")
    trainer: TrainerKind | None = _member("Who trains; by default the trainer that the server is configured with.")
    training_config: JSON | None = _member(
        "Hyper-parameters as an object: epochs, learning_rate, batch_size, warmup_steps, weight_decay, max_seq_length …"
        " Known ones are checked by the trainer; others are kept on record."
    )
    train_val_split: float | None = _member("The share of pairs wanted on the train side, 0.1 to 0.95.", 0.8)
    split_seed: int | None = _member("The seed of the split.", 0)
    register_to_uc: bool | None = _member("Whether to register the trained model as catalog.schema.model.", False)
    uc_catalog: str | None = _member("The catalog to register in; needed with registerToUc.")
    uc_schema: str | None = _member("The schema to register in; needed with registerToUc.")
    client_mutation_id: str | None = _member(
        "Makes the request repeatable: the same id with the same input answers with the same job, with another input it"
        " is a Conflict."
    )


@strawberry.input(description="A job to stop.")
class CancelTrainingJobInput:
    """See `server.services.jobs.Jobs.cancel`."""

    job_id: strawberry.ID = _required("The job.")
    reason: str | None = _member("Why; kept with the job.")


@strawberry.input(description="A set of source data.")
class CreateSheetInput:
    """See `server.services.curation`."""

    name: str = _required("A name that no other sheet has.")
    source: SheetSource = _required("What kind of place the data comes from.")
    source_location: str | None = _member("Where that is: a table, a path, a file.")


@strawberry.input(description="A prompt template, or the next version of one.")
class CreateTemplateInput:
    """See `server.services.curation`."""

    name: str = _required("What it is called; a name that is there already gets its next version.")
    system_prompt: str | None = _member("Stands first in each exported line, unless the pair brings its own.")
    user_prompt: str = _required("How a question is put to the model.")


@strawberry.input(description="A sheet joined with a version of a template.")
class CreateTrainingSheetInput:
    """See `server.services.curation`."""

    name: str = _required("A name that no other training sheet has.")
    sheet_id: strawberry.ID = _required("The source data.")
    template_id: strawberry.ID = _required("The version of the template.")


@strawberry.input(description="An expert's label for an item, or the next version of one.")
class CreateCanonicalLabelInput:
    """See `server.services.curation`."""

    sheet_id: strawberry.ID = _required("The sheet that the item belongs to.")
    item_ref: str = _required("The item.")
    label_type: str = _required("What kind of label it is.")
    label_data: JSON = _required("The label itself, any JSON value.")
    allowed_uses: list[DataUse] | None = _uses(ALLOWED, list(DataUse))
    prohibited_uses: list[DataUse] | None = _uses(PROHIBITED, [])


@strawberry.input(description="One turn of a conversation.")
class ChatMessageInput:
    """A message."""

    role: str = _required("Who speaks: system, user or assistant.")
    content: str = _required("What is said.")


@strawberry.input(description="A pair to add.")
class QaPairInput:
    """See `server.services.curation.NewPair`."""

    messages: list[ChatMessageInput] = _required("The conversation; the last assistant turn is the answer.")
    item_ref: str | None = _member("The item of the sheet that it was made from.")
    canonical_label_id: strawberry.ID | None = _member("The label behind the answer.")
    status: PairStatus | None = _member("What experts said of it.", PairStatus.UNLABELED)
    allowed_uses: list[DataUse] | None = _uses(ALLOWED, list(DataUse))
    prohibited_uses: list[DataUse] | None = _uses(PROHIBITED, [])


@strawberry.input(description="Pairs to add: all of them or none, up to 1000.")
class AddQaPairsInput:
    """See `server.services.curation`."""

    training_sheet_id: strawberry.ID = _required("The training sheet that they are added to.")
    pairs: list[QaPairInput] = _required("The pairs, in order.")


@strawberry.input(description="An expert's word on pairs. Only what is given changes.")
class ReviewQaPairsInput:
    """See `server.services.curation`."""

    qa_pair_ids: list[strawberry.ID] = _required("The pairs, up to 1000.")
    status: PairStatus | None = _member("Their new status.")
    allowed_uses: list[DataUse] | None = _member("What governance allows from now on.")
    prohibited_uses: list[DataUse] | None = _member("What governance prohibits from now on.")
