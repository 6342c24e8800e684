"""FMAPI's operations, word for word as its own client (databricks_genai 1.1.8) sends them; its schema is not published.

The client sends no operation name, and leaves a variable out instead of sending null.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

ENDPOINT: Final = "/api/2.0/genai-mapi/graphql"
RUNS_PER_PAGE: Final = 100  # the client's own limit, and the service's maximum is not known
STOPPED_BY: Final = "Canceled by user."

CREATE: Final = """
mutation CreateFinetune($createFinetuneData: CreateFinetuneInput!) {
  createFinetune(createFinetuneData: $createFinetuneData) {
    id
    name
    status
    createdById
    createdByEmail
    createdAt
    updatedAt
    startedAt
    completedAt
    reason
    isDeleted
    details {
        model
        taskType
        trainDataPath
        saveFolder
        evalDataPath
        evalPrompts
        trainingDuration
        learningRate
        contextLength
        dataPrepConfig
        experimentTracker
        customWeightsPath
    }
  }
}"""

LIST: Final = """
query GetFinetunesPaginated($getFinetunesPaginatedData: GetFinetunesPaginatedInput!) {
  getFinetunesPaginated(getFinetunesPaginatedData: $getFinetunesPaginatedData) {
    cursor
    hasNextPage
    finetunes {
        id
        name
        status
        createdById
        createdByEmail
        createdAt
        updatedAt
        startedAt
        completedAt
        reason
        estimatedEndTime
        isDeleted
    }
  }
}"""

LIST_IN_DETAIL: Final = """
query GetFinetunesPaginated($getFinetunesPaginatedData: GetFinetunesPaginatedInput!) {
  getFinetunesPaginated(getFinetunesPaginatedData: $getFinetunesPaginatedData) {
    cursor
    hasNextPage
    finetunes {
        id
        name
        status
        createdById
        createdByEmail
        createdAt
        updatedAt
        startedAt
        completedAt
        reason
        estimatedEndTime
        isDeleted
        details {
            model
            taskType
            trainDataPath
            saveFolder
            evalDataPath
            evalPrompts
            trainingDuration
            learningRate
            contextLength
            experimentTracker
            customWeightsPath
            dataPrepConfig
            formattedFinetuningEvents {
                eventType
                eventTime
                eventMessage
            }
        }
    }
  }
}"""

EVENTS: Final = """
query GetFinetuneEvents($getFinetuneEventsData: GetFinetuneEventsInput!) {
  getFinetuneEvents(getFinetuneEventsData: $getFinetuneEventsData) {
    eventType
    eventTime
    eventMessage
  }
}"""

STOP: Final = """
mutation StopFinetunes($getFinetunesData: GetFinetunesInput!, $stopFinetunesData: StopFinetunesInput) {
  stopFinetunes(getFinetunesData: $getFinetunesData, stopFinetunesData: $stopFinetunesData) {
    id
    name
    status
    createdById
    createdByEmail
    createdAt
    updatedAt
    startedAt
    completedAt
    reason
    isDeleted
  }
}"""

MODELS: Final = """
query Models {
  getFinetuneConstants {
    models {
      name
      displayName
      maxContextLength
    }
  }
}"""


@dataclass(frozen=True, slots=True)
class Operation:
    """One request. `field` is the one field of the response's `data`."""

    query: str
    variables: Mapping[str, Any]
    field: str


def create(config: Mapping[str, Any]) -> Operation:
    """Start a run. There is no name to give it and nothing that would keep a second one from being another run."""
    return Operation(CREATE, {"createFinetuneData": {"config": dict(config)}}, "createFinetune")


def runs_named(names: Sequence[str], cursor: str | None = None) -> Operation:
    """A page of these runs, with their details and events."""
    return _page(LIST_IN_DETAIL, {"name": {"in": list(names)}}, cursor, deleted=False)


def runs_of(experiment_id: str, cursor: str | None = None) -> Operation:
    """A page of the runs of an MLflow experiment, deleted ones too."""
    return _page(LIST, {"mlflowExperimentId": {"equals": experiment_id}}, cursor, deleted=True)


def events(name: str) -> Operation:
    """All events of a run."""
    return Operation(EVENTS, {"getFinetuneEventsData": {"name": name}}, "getFinetuneEvents")


def stop(name: str) -> Operation:
    """Ask a run to stop."""
    selection = {"filters": {"name": {"in": [name]}}}
    variables = {"getFinetunesData": selection, "stopFinetunesData": {"reason": STOPPED_BY}}
    return Operation(STOP, variables, "stopFinetunes")


def models() -> Operation:
    """What can be trained."""
    return Operation(MODELS, {}, "getFinetuneConstants")


def _page(query: str, filters: Mapping[str, Any], cursor: str | None, *, deleted: bool) -> Operation:
    page = {"filters": filters, "includeDeleted": deleted, "limit": RUNS_PER_PAGE}
    if cursor is not None:
        page["cursor"] = cursor
    return Operation(query, {"getFinetunesPaginatedData": page}, "getFinetunesPaginated")
