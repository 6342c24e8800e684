"""What MLflow lacks of jobs."""

from datetime import datetime
from typing import Final

from sqlalchemy import BigInteger, Index, false, func, text
from sqlmodel import Field

from server.storage.tables.definitions import Row, moment, number, table


class MlflowMirrorRow(Row, table=True):
    """What is still to be done in MLflow for one job; the row goes when the job's run is finished there.

    `due_at` is when there is something to do (null: nothing now). Triggers set it when points are written and when the
    job ends. `logged_step` is the last step that MLflow has. `lease_until` and `fence` are those of the replica that is
    at it. `outage_told`: an event of the job tells that MLflow could not be reached.
    """

    __tablename__ = "mlflow_mirrors"
    __table_args__ = (Index("ix_mlflow_mirrors_ready", func.coalesce(text("lease_until"), text("due_at"))),)

    job_id: str = Field(primary_key=True, foreign_key="training_jobs.id")
    logged_step: int | None = Field(default=None, sa_type=BigInteger)
    due_at: datetime | None = moment()
    failures: int = number("0")
    outage_told: bool = Field(sa_column_kwargs={"server_default": false()})
    lease_until: datetime | None = moment()
    fence: int = Field(sa_type=BigInteger, sa_column_kwargs={"server_default": text("0")})


mlflow_mirrors: Final = table(MlflowMirrorRow)
