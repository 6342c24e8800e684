"""What a trainer tells of a run beside its metrics: its own events, and when it expects to be done."""

import sqlalchemy as sa
from alembic import op


revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("training_jobs", sa.Column("trainer_events", sa.Integer(), server_default="0", nullable=False))
    op.add_column("training_jobs", sa.Column("estimated_end_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("training_jobs", "estimated_end_at")
    op.drop_column("training_jobs", "trainer_events")
