"""Sheets, templates, canonical labels, pairs and training sheets."""

import json
from functools import partial
from typing import Any, TypeAlias

from graphql import GraphQLSchema

from tests.oracle.arguments import Arguments, Info
from tests.oracle.connections import Conditions, List, connection
from tests.oracle.cursors import Order
from tests.oracle.eligibility import eligibility, judged
from tests.oracle.fields import Field, bind, object_type, of_row
from tests.oracle.loading import Row

Source: TypeAlias = Any  # a row, and what is made of rows
CREATED = (("created_at", "timestamptz"), ("id", "text"))
JOBS = Order("jobs", CREATED, descending=True)
SHEETS = Order("sheets", CREATED, descending=True)
TEMPLATES = Order("templates", CREATED, descending=True)
LABELS = Order("labels", CREATED, descending=True)
TRAINING_SHEETS = Order("training_sheets", CREATED, descending=True)
PAIRS = Order("pairs", CREATED)


def bind_curation(schema: GraphQLSchema) -> None:
    """Give the types of curation their resolvers."""
    bind(object_type(schema, "Sheet"), {"trainingJobs": _jobs("training_job_lineage", "sheet_id")})
    bind(object_type(schema, "Template"), {"trainingJobs": _jobs("training_job_lineage", "template_id")})
    bind(
        object_type(schema, "CanonicalLabel"),
        {
            "sheet": of_row("sheets", "sheet_id"),
            "trainingJobs": _jobs("training_job_pairs", "canonical_label_id"),
        },
    )
    bind(object_type(schema, "ChatMessage"), {})
    bind(
        object_type(schema, "QaPair"),
        {
            "trainingSheet": of_row("training_sheets", "training_sheet_id"),
            "messages": lambda pair, _: json.loads(pair["messages"]),
            "verdict": _verdict,
            "canonicalLabel": of_row("canonical_labels", "canonical_label_id"),
            "trainingJobs": _jobs("training_job_pairs", "qa_pair_id"),
        },
    )
    bind(
        object_type(schema, "TrainingSheet"),
        {
            "sheet": of_row("sheets", "sheet_id"),
            "template": of_row("templates", "template_id"),
            "qaPairs": connection(List("qa_pairs", PAIRS, "t.training_sheet_id = p.key", narrow=_of_status)),
            "eligibility": eligibility,
            "trainingJobs": connection(List("training_jobs", JOBS, "t.training_sheet_id = p.key")),
        },
    )
    bind(object_type(schema, "EligibilityReport"), {})
    bind(object_type(schema, "ExclusionCount"), {})


def _jobs(table: str, column: str) -> Field:
    used = f"EXISTS (SELECT 1 FROM {table} used WHERE used.job_id = t.id AND used.{column} = p.key)"
    return connection(List("training_jobs", JOBS, used))


def _of_status(conditions: Conditions, arguments: Arguments) -> None:
    if arguments.get("status") is not None:
        conditions.among("status", [arguments["status"]])


def _verdict(pair: Row, info: Info) -> Source:
    label = pair["canonical_label_id"]
    if label is None:
        return judged(pair, None)
    return info.context.row("canonical_labels", label, then=partial(judged, pair))
