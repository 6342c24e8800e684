"""The MLflow run of a job: what it is described by, and which one it is."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain import channels
from server.domain.status import JobStatus
from server.storage import mirrors
from server.storage.claims import NOW
from server.storage.mirrors import MirrorClaim
from server.storage.tables import training_job_lineage as lineage
from server.storage.tables import training_jobs as jobs


@dataclass(frozen=True, slots=True)
class Run:
    """A job as its run shows it; all but `status`, `trained` and `mlflow_run_id` never change."""

    job_id: str
    status: JobStatus
    trained: bool
    mlflow_run_id: str | None
    model_name: str
    base_model: str
    trainer: str
    training_sheet_id: str
    training_sheet_name: str
    dataset_digest: str | None
    training_config: dict[str, Any]
    train_pairs: int
    val_pairs: int
    created_by: str
    created_at: datetime


async def find(connection: AsyncConnection, job_id: str) -> Run:
    """The run of a job as it stands now."""
    statement = (
        select(
            jobs.c.id,
            jobs.c.status,
            jobs.c.trained_at.is_not(None),
            jobs.c.mlflow_run_id,
            jobs.c.model_name,
            jobs.c.base_model,
            jobs.c.trainer,
            jobs.c.training_sheet_id,
            lineage.c.training_sheet_name,
            jobs.c.dataset_digest,
            jobs.c.training_config,
            jobs.c.train_pairs,
            jobs.c.val_pairs,
            jobs.c.created_by,
            jobs.c.created_at,
        )
        .join(lineage, lineage.c.job_id == jobs.c.id)
        .where(jobs.c.id == job_id)
    )
    own_id, status, *rest = (await connection.execute(statement)).one()
    return Run(own_id, JobStatus(status), *rest)


async def record_opened(connection: AsyncConnection, claim: MirrorClaim, run_id: str) -> str | None:
    """Note a job's run under the claim of its mirror, and tell who listens; the run that is noted now.

    None when the claim is lost and no run is noted.
    """
    opened = (
        update(jobs)
        .where(jobs.c.id == claim.job_id, jobs.c.mlflow_run_id.is_(None), mirrors.still_held(claim))
        .values(mlflow_run_id=run_id, updated_at=NOW)
        .returning(jobs.c.id)
        .cte("opened")
    )
    await connection.execute(select(func.pg_notify(channels.CHANGED, opened.c.id)))
    mlflow_run_id: str | None = (
        await connection.execute(select(jobs.c.mlflow_run_id).where(jobs.c.id == claim.job_id))
    ).scalar_one()
    return mlflow_run_id
