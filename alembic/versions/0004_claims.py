"""Claims in narrow rows of their own, and the lanes in which runs are observed."""

import sqlalchemy as sa
from alembic import op


revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ACTIVE = "status IN ('PENDING', 'QUEUED', 'RUNNING')"
WANTS_A_STEP = "(status = 'PENDING' OR cancel_requested_at IS NOT NULL OR trained_at IS NOT NULL)"


def upgrade() -> None:
    op.create_table(
        "training_job_claims",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("lane", sa.String(), nullable=False),
        sa.Column("fence", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["training_jobs.id"], name=op.f("fk_training_job_claims_job_id")),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_training_job_claims")),
    )
    # room in each page for the next versions of its rows, which then need no new entries in the indexes
    op.execute("ALTER TABLE training_job_claims SET (fillfactor = 50)")
    op.create_table(
        "observation_lanes",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("fence", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_observation_lanes")),
    )
    op.execute(
        f"""
        INSERT INTO training_job_claims (job_id, lane, fence, due_at, lease_until, failures)
        SELECT id,
            CASE WHEN trainer = 'LOCAL' AND trainer_job_id ~ '^local-[^-]+-'
                THEN 'LOCAL ' || split_part(trainer_job_id, '-', 2) ELSE trainer END,
            fence,
            CASE WHEN {WANTS_A_STEP} THEN next_poll_at END,
            lease_until,
            CASE WHEN trained_at IS NULL THEN failures ELSE registration_failures END
        FROM training_jobs WHERE {ACTIVE}
        """
    )
    op.create_index(
        "ix_training_job_claims_due",
        "training_job_claims",
        ["lane", "due_at"],
        unique=False,
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index(
        "ix_training_job_claims_observed",
        "training_job_claims",
        ["lane"],
        unique=False,
        postgresql_where=sa.text("due_at IS NULL"),
    )
    op.drop_index("ix_training_jobs_due", table_name="training_jobs")
    for column in ("next_poll_at", "lease_until", "fence", "failures", "registration_failures"):
        op.drop_column("training_jobs", column)


def downgrade() -> None:
    for column in (
        sa.Column("next_poll_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fence", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("registration_failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
    ):
        op.add_column("training_jobs", column)
    op.execute(
        """
        UPDATE training_jobs SET
            next_poll_at = coalesce(due_at, now()),
            lease_until = claim.lease_until,
            fence = claim.fence,
            failures = CASE WHEN trained_at IS NULL THEN claim.failures ELSE 0 END,
            registration_failures = CASE WHEN trained_at IS NULL THEN 0 ELSE claim.failures END
        FROM training_job_claims AS claim WHERE claim.job_id = id
        """
    )
    op.create_index(
        "ix_training_jobs_due",
        "training_jobs",
        ["next_poll_at"],
        unique=False,
        postgresql_where=sa.text(ACTIVE),
    )
    op.drop_table("observation_lanes")
    op.drop_table("training_job_claims")
