"""How a job is described in MLflow: tags, parameters and metrics within its limits."""

import hashlib
import json
import math
import posixpath
import re
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from server.domain.metrics import MetricPoint
from server.domain.status import JobStatus
from server.registry.registry import RunFacts

JOB_TAG = "tunegraph.job_id"
MODEL_DIGEST_TAG = "tunegraph.model_digest"
OUR_TAGS = "tunegraph."

RUN_STATUS = MappingProxyType(
    {JobStatus.SUCCEEDED: "FINISHED", JobStatus.FAILED: "FAILED", JobStatus.CANCELLED: "KILLED"}
)

# https://mlflow.org/docs/latest/rest-api.html: what one request or one value may hold
METRICS_PER_BATCH = 1000
PARAMETERS_PER_BATCH = 100
KEY_CHARACTERS = 250
PARAMETER_CHARACTERS = 6000
TAG_CHARACTERS = 8000


class MetricValue(NamedTuple):
    """One value as MLflow takes it; `timestamp` is in milliseconds since 1970."""

    key: str
    value: float
    timestamp: int
    step: int


def milliseconds(at: datetime) -> int:
    """A time as MLflow counts it."""
    return int(at.timestamp() * 1000)


def tags(run: RunFacts) -> dict[str, str]:
    """What a run is found by and shown with."""
    described = {
        JOB_TAG: run.job_id,
        "tunegraph.model_name": run.model_name,
        "tunegraph.base_model": run.base_model,
        "tunegraph.trainer": run.trainer,
        "tunegraph.training_sheet_id": run.training_sheet_id,
        "tunegraph.training_sheet_name": run.training_sheet_name,
        "tunegraph.dataset_digest": run.dataset_digest,
        "mlflow.user": run.created_by,
        "mlflow.source.name": "tunegraph",
        "mlflow.source.type": "JOB",
    }
    return {key: value[:TAG_CHARACTERS] for key, value in described.items() if value is not None}


def run_filter(job_id: str) -> str:
    """What finds a job's run, in MLflow's language for searches."""
    return f"tags.`{JOB_TAG}` = '{job_id}'"


def parameters(run: RunFacts) -> dict[str, str]:
    """The configuration, and the facts that runs are compared by; a fact wins over a key of the same name.

    MLflow never lets a parameter change, so the same run always gives the same text.
    """
    facts = {
        "base_model": run.base_model,
        "trainer": run.trainer,
        "train_pairs": run.train_pairs,
        "val_pairs": run.val_pairs,
    }
    given = {_key(key): _text(value)[:PARAMETER_CHARACTERS] for key, value in sorted(run.parameters.items())}
    return given | {key: _text(value)[:PARAMETER_CHARACTERS] for key, value in facts.items()}


def metrics(points: Sequence[MetricPoint]) -> Iterator[MetricValue]:
    """The finite values of all points, in order."""
    for point in points:
        at = milliseconds(point.at)
        for key, value in point.values.items():
            if math.isfinite(value):
                yield MetricValue(_key(key), float(value), at, point.step)


def folder_digest(folder: Path) -> str:
    """sha256 (hex) over the names and bytes of all files below a folder."""
    whole = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        whole.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return whole.hexdigest()


def reason(error: BaseException, hidden: AbstractSet[str] = frozenset()) -> str:
    """The first telling line of what went wrong, short, and without the credentials that an address may hold.

    What is `hidden` is taken out as well.
    """
    lines = (str(error).strip() or type(error).__name__).splitlines()
    first = next((line for line in lines if not line.startswith("(raised as a result of")), lines[0])
    for secret in hidden:
        first = first.replace(secret, "***")
    return re.sub(r"(?<=://)[^/\s@]*@", "", first)[:300]


def _key(name: str) -> str:
    """A name that MLflow takes: word characters, dash, dot, space, colon and slash, and the same read as a path."""
    key = re.sub(r"[^/\w.\- :]", "_", name)[:KEY_CHARACTERS]
    if key != "." and posixpath.normpath(key) == key and not key.startswith(("/", "..")):
        return key
    return ("_" + key.replace("/", "_"))[:KEY_CHARACTERS]


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
