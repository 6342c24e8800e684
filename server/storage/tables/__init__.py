"""The tables, with the constraints that hold whatever the code does."""

from server.storage.tables.claims import observation_lanes, training_job_claims
from server.storage.tables.curation import (
    SHEET_SOURCES,
    canonical_labels,
    qa_pairs,
    sheets,
    templates,
    training_sheets,
)
from server.storage.tables.definitions import Row
from server.storage.tables.jobs import (
    training_job_events,
    training_job_metric_points,
    training_job_metrics,
    training_jobs,
)
from server.storage.tables.lineage import training_job_labels, training_job_lineage, training_job_pairs
from server.storage.tables.mirrors import mlflow_mirrors
from server.storage.tables.retention import retention_progress

__all__ = [
    "SHEET_SOURCES",
    "Row",
    "canonical_labels",
    "mlflow_mirrors",
    "observation_lanes",
    "qa_pairs",
    "retention_progress",
    "sheets",
    "templates",
    "training_job_claims",
    "training_job_events",
    "training_job_labels",
    "training_job_lineage",
    "training_job_metric_points",
    "training_job_metrics",
    "training_job_pairs",
    "training_jobs",
    "training_sheets",
]
