"""The enums of the API. Names, Python values and stored words are the same."""

from collections.abc import Mapping
from enum import Enum, StrEnum
from typing import TypeVar

import strawberry
from strawberry.types.enum import StrawberryEnumDefinition

from server.domain.defects import Defect
from server.domain.gates import DataUse, PairStatus, Verdict
from server.domain.status import EventType, JobAction, JobStatus, TrainerKind

__all__ = [
    "DataSplit",
    "DataUse",
    "Defect",
    "EventType",
    "JobAction",
    "JobStatus",
    "PairStatus",
    "SheetSource",
    "TrainerKind",
    "TrainingJobOrder",
    "Verdict",
]

E = TypeVar("E", bound=type[Enum])


def _described(enum: E, name: str, description: str, values: Mapping[str, str]) -> E:
    """Show an enum of the domain under a GraphQL name. Each of its values needs a description."""
    described: E = strawberry.enum(enum, name=name, description=description)
    definition: StrawberryEnumDefinition = described.__strawberry_definition__  # type: ignore[attr-defined]  # set above
    for value in definition.values:
        value.description = values[value.name]
    return described


class DataSplit(StrEnum):
    """Which side of the split a pair is on."""

    TRAIN = "TRAIN"
    VALIDATION = "VALIDATION"


class SheetSource(StrEnum):
    """Where a sheet's data comes from."""

    UC_TABLE = "UC_TABLE"
    UC_VOLUME = "UC_VOLUME"
    EXTERNAL = "EXTERNAL"


class TrainingJobOrder(StrEnum):
    """How a list of jobs is ordered."""

    CREATED_AT_DESC = "CREATED_AT_DESC"
    CREATED_AT_ASC = "CREATED_AT_ASC"


_described(
    SheetSource,
    "SheetSource",
    "Where a sheet's data comes from.",
    {
        "UC_TABLE": "A table in Unity Catalog.",
        "UC_VOLUME": "Files in a Unity Catalog volume.",
        "EXTERNAL": "Anything else, such as an imported file.",
    },
)
_described(
    DataUse,
    "DataUse",
    "What governance may allow or prohibit.",
    {
        "TRAINING": "Training a model on it.",
        "VALIDATION": "Measuring a model while it is trained.",
        "EVALUATION": "Measuring a finished model.",
        "FEW_SHOT": "Showing it to a model as an example in a prompt.",
        "TESTING": "Testing software with it.",
    },
)
_described(
    PairStatus,
    "QaPairStatus",
    "What experts said of a pair.",
    {
        "UNLABELED": "No expert has looked at it yet.",
        "LABELED": "An expert approved it.",
        "REJECTED": "An expert refused it.",
        "FLAGGED": "An expert wants another look at it.",
    },
)
_described(
    Verdict,
    "GateVerdict",
    "What the gates say of a pair: ELIGIBLE, or the first rule that refuses it, in the order given here. Uses are those"
    " of the pair narrowed by its canonical label: prohibited in either is prohibited, allowed must be in both.",
    {
        "ELIGIBLE": "Experts approved it and governance allows training on it.",
        "NOT_LABELED": "Its status is not LABELED.",
        "USE_PROHIBITED": "TRAINING is prohibited for the pair or its canonical label; this wins over any allowance.",
        "USE_NOT_ALLOWED": "TRAINING is not among the allowed uses of both the pair and its canonical label.",
        "MALFORMED": "Its messages can't be trained on: no assistant turn, an empty turn, or turns in the wrong order;"
        " QaPair.defect says which.",
    },
)
_described(
    Defect,
    "PairDefectCode",
    "Why messages can't be trained on: the first of these, in the order given here.",
    {
        "NO_ASSISTANT_TURN": "No message is the assistant's.",
        "SYSTEM_NOT_FIRST": "A system message stands elsewhere than at the beginning, or is a second one.",
        "NO_QUESTION": "The assistant speaks before the user does.",
        "SAME_ROLE_TWICE": "Two messages in a row have the same role.",
        "ENDS_WITH_USER": "The last message is the user's: it has no answer.",
        "EMPTY_ANSWER": "A message of the assistant has no visible character.",
        "EMPTY_QUESTION": "A message of the user has no visible character.",
    },
)
_described(
    JobStatus,
    "TrainingJobStatus",
    "The life of a job: PENDING, QUEUED, RUNNING, then SUCCEEDED, FAILED or CANCELLED.",
    {
        "PENDING": "Stored with its frozen pairs; not yet accepted by its trainer.",
        "QUEUED": "Accepted by the trainer; waiting to run.",
        "RUNNING": "Being trained, or its trained model being registered.",
        "SUCCEEDED": "Trained. Terminal.",
        "FAILED": "Ended by an error: see errorCode and errorMessage. Terminal.",
        "CANCELLED": "Ended by request. Terminal.",
    },
)
_described(
    TrainerKind,
    "TrainerKind",
    "Who trains.",
    {
        "LOCAL": "This machine: a small retrieval model, with no account and no GPU.",
        "FMAPI": "Databricks Foundation Model Fine-tuning.",
        "AI_RUNTIME": "Databricks AI Runtime: serverless GPUs through the Jobs API.",
    },
)
_described(
    JobAction,
    "TrainingJobAction",
    "What may be done with a job now. Each value is a mutation.",
    {"CANCEL": "Stop it: cancelTrainingJob."},
)
_described(
    DataSplit,
    "DataSplit",
    "Which side of the split a pair is on.",
    {"TRAIN": "The model is fitted to it.", "VALIDATION": "The model is measured with it and never fitted to it."},
)
_described(
    EventType,
    "TrainingJobEventType",
    "What an entry of a job's history is about.",
    {
        "CREATED": "The job and its frozen pairs were stored.",
        "SUBMITTED": "The trainer accepted the job.",
        "STATUS_CHANGE": "The job moved to another status.",
        "PROGRESS_UPDATE": "The training got further.",
        "METRIC_UPDATE": "New metrics were recorded.",
        "CANCEL_REQUESTED": "A person asked to stop the job.",
        "MODEL_REGISTERED": "The trained model has a version in the registry.",
        "ERROR": "Something went wrong; the message says whether the job goes on.",
    },
)
_described(
    TrainingJobOrder,
    "TrainingJobOrder",
    "How a list of jobs is ordered.",
    {"CREATED_AT_DESC": "The newest first.", "CREATED_AT_ASC": "The oldest first."},
)
