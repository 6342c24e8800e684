"""How far retention is."""

from datetime import datetime
from typing import Final

from sqlalchemy import DateTime
from sqlmodel import Field

from server.storage.tables.definitions import Row, table


class RetentionProgressRow(Row, table=True):
    """The last ended job whose points or events were thinned; all that ended before it were, too."""

    __tablename__ = "retention_progress"

    kind: str = Field(primary_key=True)
    completed_at: datetime = Field(sa_type=DateTime(timezone=True))
    job_id: str


retention_progress: Final = table(RetentionProgressRow)
