"""Training jobs, their lineage and their history."""

from collections.abc import Mapping, Sequence
from typing import Any

from graphql import GraphQLSchema

from server.domain.gates import Verdict
from server.domain.status import TERMINAL, JobStatus
from tests.oracle import cursors
from tests.oracle.arguments import Arguments, Info
from tests.oracle.connections import Conditions, List, connection
from tests.oracle.cursors import Order
from tests.oracle.fields import bind, object_type, of_row
from tests.oracle.gates import available_actions
from tests.oracle.loading import Row
from tests.oracle.metrics import METRIC_HISTORY

EVENTS = Order("events", (("sequence", "int4"),))
LINEAGE_PAIRS = Order("lineage_pairs", (("position", "int4"),))
FROZEN = """
    SELECT job_id, qa_pair_id, canonical_label_id FROM training_job_pairs
    WHERE job_id = ANY($1::text[]) ORDER BY job_id, position
"""


def bind_jobs(schema: GraphQLSchema) -> None:
    """Give jobs, and what hangs below them, their resolvers."""
    bind(
        object_type(schema, "TrainingJob"),
        {
            "trainingSheet": of_row("training_sheets", "training_sheet_id"),
            "isTerminal": lambda job, _: job["status"] in TERMINAL,
            "availableActions": _available_actions,
            "stillMatches": lambda _job, _info: True,
            "excluded": _excluded,
            "durationSeconds": _duration,
            "estimatedEndAt": _estimated_end,
            "lineage": lambda job, info: info.context.row("training_job_lineage", job["id"], "job_id"),
            "metrics": lambda job, info: info.context.row("training_job_metrics", job["id"], "job_id"),
            "metricHistory": METRIC_HISTORY,
            "events": connection(List("training_job_events", EVENTS, "t.job_id = p.key", narrow=_of_types)),
        },
    )
    bind(
        object_type(schema, "TrainingJobLineage"),
        {
            "job": of_row("training_jobs", "job_id"),
            "qaPairIds": lambda lineage, info: _frozen(lineage, info, _pair_ids),
            "canonicalLabelIds": lambda lineage, info: _frozen(lineage, info, _label_ids),
            "pairs": connection(
                List("training_job_pairs", LINEAGE_PAIRS, "t.job_id = p.key", parent="job_id", narrow=_of_split)
            ),
        },
    )
    bind(object_type(schema, "LineagePair"), {"qaPair": of_row("qa_pairs", "qa_pair_id")})
    bind(object_type(schema, "TrainingJobEvent"), {"cursor": lambda event, _: cursors.encode(EVENTS, event)})
    bind(object_type(schema, "TrainingJobMetrics"), {})
    bind(object_type(schema, "MetricSeries"), {})


def _available_actions(job: Row, _info: Info) -> Sequence[str]:
    return available_actions(job["status"], cancel_requested=job["cancel_requested_at"] is not None)


def _excluded(job: Row, _info: Info) -> list[Mapping[str, object]]:
    counts = ((rule, job[f"excluded_{rule.lower()}"]) for rule in Verdict if rule is not Verdict.ELIGIBLE)
    return [{"verdict": rule, "count": count} for rule, count in counts if count]


def _duration(job: Row, _info: Info) -> float | None:
    if job["started_at"] is None:
        return None
    seconds: float = ((job["completed_at"] or job["updated_at"]) - job["started_at"]).total_seconds()
    return seconds


def _estimated_end(job: Row, _info: Info) -> object:
    return job["estimated_end_at"] if job["status"] == JobStatus.RUNNING else None


def _of_types(conditions: Conditions, arguments: Arguments) -> None:
    if arguments.get("types") is not None:
        conditions.among("event_type", arguments["types"])


def _of_split(conditions: Conditions, arguments: Arguments) -> None:
    if arguments.get("split") is not None:
        conditions.among("split", [arguments["split"]])


def _frozen(lineage: Row, info: Info, ids: Any) -> Any:  # noqa: ANN401  (ids or their future)
    return info.context.rows(FROZEN, "job_id").load(lineage["job_id"], ids)


def _pair_ids(frozen: Sequence[Row]) -> list[str]:
    return [row["qa_pair_id"] for row in frozen]


def _label_ids(frozen: Sequence[Row]) -> list[str]:
    """Each once, in order of first use."""
    return list(dict.fromkeys(row["canonical_label_id"] for row in frozen if row["canonical_label_id"] is not None))
