"""The MLflow run of a job: what it is described by, and who may open it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain import channels
from server.domain.status import JobStatus
from server.storage.claims import NOW, seconds
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


async def lock_opening(connection: AsyncConnection, job_id: str, lease: float) -> bool:
    """Be the only one to open the job's run, for `lease` seconds; False while another is, or when there is one."""
    statement = (
        update(jobs)
        .where(
            jobs.c.id == job_id,
            jobs.c.mlflow_run_id.is_(None),
            or_(jobs.c.mirror_lease_until.is_(None), jobs.c.mirror_lease_until <= NOW),
        )
        .values(mirror_lease_until=NOW + seconds(lease))
    )
    return (await connection.execute(statement)).rowcount == 1


async def unlock_opening(connection: AsyncConnection, job_id: str) -> None:
    """Let another open the run."""
    await connection.execute(update(jobs).where(jobs.c.id == job_id).values(mirror_lease_until=None))


async def record_opened(connection: AsyncConnection, job_id: str, run_id: str) -> str:
    """Note a job's run and tell who listens; answers the run that was noted first."""
    opened = (
        update(jobs)
        .where(jobs.c.id == job_id, jobs.c.mlflow_run_id.is_(None))
        .values(mlflow_run_id=run_id, mirror_lease_until=None, updated_at=NOW)
        .returning(jobs.c.id)
        .cte("opened")
    )
    await connection.execute(select(func.pg_notify(channels.CHANGED, opened.c.id)))
    noted: str = (await connection.execute(select(jobs.c.mlflow_run_id).where(jobs.c.id == job_id))).scalar_one()
    return noted
