"""Jobs by when they changed last, for those who come back to a stream of changes; no longer events by their time."""

from alembic import op


revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index(op.f("ix_training_job_events_created_at"), table_name="training_job_events")
    op.create_index(op.f("ix_training_jobs_updated_at_id"), "training_jobs", ["updated_at", "id"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_training_jobs_updated_at_id"), table_name="training_jobs")
    op.create_index(op.f("ix_training_job_events_created_at"), "training_job_events", ["created_at"], unique=False)
