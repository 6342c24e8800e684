"""Who works on which job, and who observes the runs of which trainer."""

from datetime import datetime
from typing import Final

from sqlalchemy import BigInteger, DateTime, Index, text
from sqlmodel import Field

from server.storage.tables.definitions import Row, moment, number, table


class TrainingJobClaimRow(Row, table=True):
    """What is to be done for a job that has not ended; there is one for each.

    `lane` says who can see the job's run. `due_at`: when its next step is due; null while the job is only observed.
    `lease_until`: somebody works on a step until then. `fence` moves whenever a claim is taken or an outcome written.
    `failures` counts those of the present step in a row.
    """

    __tablename__ = "training_job_claims"
    __table_args__ = (
        Index("ix_training_job_claims_due", "lane", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        Index("ix_training_job_claims_observed", "lane", postgresql_where=text("due_at IS NULL")),
    )

    job_id: str = Field(primary_key=True, foreign_key="training_jobs.id")
    lane: str
    fence: int = Field(sa_type=BigInteger, sa_column_kwargs={"server_default": text("0")})
    due_at: datetime | None = moment()
    lease_until: datetime | None = moment()
    failures: int = number("0")


class ObservationLaneRow(Row, table=True):
    """The runs that one replica at a time observes; `fence` moves whenever another one takes the lane."""

    __tablename__ = "observation_lanes"

    name: str = Field(primary_key=True)
    fence: int = Field(sa_type=BigInteger, sa_column_kwargs={"server_default": text("0")})
    lease_until: datetime = Field(sa_type=DateTime(timezone=True))


training_job_claims: Final = table(TrainingJobClaimRow)
observation_lanes: Final = table(ObservationLaneRow)
