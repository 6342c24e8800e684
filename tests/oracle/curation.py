"""Sheets, templates, canonical labels, pairs and training sheets."""

import json
from collections.abc import Callable, Mapping
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
REASONS: Mapping[str, Callable[[int], str]] = {
    "NO_ASSISTANT_TURN": lambda _: "no turn is the assistant's, so there is no answer to learn",
    "SYSTEM_NOT_FIRST": lambda turn: f"turn {turn} is a system message; there may be one, and only as the first turn",
    "NO_QUESTION": lambda turn: f"turn {turn} is an answer of the assistant with no question of the user before it",
    "SAME_ROLE_TWICE": lambda turn: (
        f"turn {turn} has the role of the turn before it; user and assistant have to alternate"
    ),
    "ENDS_WITH_USER": lambda turn: f"turn {turn}, the last, is the user's; the last has to be the assistant's answer",
    "EMPTY_ANSWER": lambda turn: f"turn {turn}, an answer of the assistant, has no visible character",
    "EMPTY_QUESTION": lambda turn: f"turn {turn}, a question of the user, has no visible character",
}
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
            "defect": _defect,
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
    bind(object_type(schema, "PairDefect"), {"message": lambda found, _: REASONS[found["code"]](found["turn"])})
    bind(object_type(schema, "DefectCount"), {})
    bind(object_type(schema, "EligibilityReport"), {})
    bind(object_type(schema, "ExclusionCount"), {})


def _jobs(table: str, column: str) -> Field:
    used = f"EXISTS (SELECT 1 FROM {table} used WHERE used.job_id = t.id AND used.{column} = p.key)"
    return connection(List("training_jobs", JOBS, used))


def _of_status(conditions: Conditions, arguments: Arguments) -> None:
    if arguments.get("status") is not None:
        conditions.among("status", [arguments["status"]])


def _defect(pair: Row, _info: Info) -> Mapping[str, object] | None:
    return None if pair["defect"] is None else {"code": pair["defect"], "turn": pair["defect_turn"]}


def _verdict(pair: Row, info: Info) -> Source:
    label = pair["canonical_label_id"]
    if label is None:
        return judged(pair, None)
    return info.context.row("canonical_labels", label, then=partial(judged, pair))
