"""What MLflow still lacks of each job is stored; a trainer's own events are known by what they are, not by their number."""

import sqlalchemy as sa
from alembic import op


revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _store_mirrors()
    _know_trainer_events()
    op.create_table(
        "retention_progress",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("job_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("kind", name=op.f("pk_retention_progress")),
    )
    # what tells of progress may go some day; the rest of the history is the audit trail
    _keep_events("UPDATE")
    op.execute(
        "CREATE TRIGGER training_job_events_kept BEFORE DELETE ON training_job_events FOR EACH ROW"
        " WHEN (OLD.event_type NOT IN ('METRIC_UPDATE', 'PROGRESS_UPDATE')) EXECUTE FUNCTION refuse_change()"
    )


def _keep_events(change: str) -> None:
    op.execute("DROP TRIGGER training_job_events_never_change ON training_job_events")
    op.execute(
        f"CREATE TRIGGER training_job_events_never_change BEFORE {change} ON training_job_events"
        " FOR EACH ROW EXECUTE FUNCTION refuse_change()"
    )


def _store_mirrors() -> None:
    op.create_table(
        "mlflow_mirrors",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("logged_step", sa.BigInteger(), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("outage_told", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fence", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["training_jobs.id"], name=op.f("fk_mlflow_mirrors_job_id")),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_mlflow_mirrors")),
    )
    op.create_index(
        "ix_mlflow_mirrors_ready", "mlflow_mirrors", [sa.literal_column("coalesce(lease_until, due_at)")], unique=False
    )
    op.drop_column("training_jobs", "mirror_lease_until")
    # Jobs of the trainers at Databricks have a run that is not ours. Of those that have ended, a succeeded one was
    # finished before its end, unless an event says that its model was not logged or registered.
    op.execute(
        """
        INSERT INTO mlflow_mirrors (job_id, due_at)
        SELECT id, now() FROM training_jobs AS job
        WHERE trainer = 'LOCAL' AND (
            status IN ('QUEUED', 'RUNNING')
            OR mlflow_run_id IS NOT NULL AND status IN ('FAILED', 'CANCELLED')
            OR mlflow_run_id IS NOT NULL AND status = 'SUCCEEDED' AND EXISTS (
                SELECT FROM training_job_events AS event
                WHERE event.job_id = job.id AND event.event_type = 'ERROR'
                    AND event.event_data ->> 'code' IN ('REGISTRATION_GIVEN_UP', 'MODEL_NOT_LOGGED')
            )
        )
        """
    )
    op.execute(
        """
        CREATE FUNCTION mirror_points() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            UPDATE mlflow_mirrors AS mirror SET due_at = coalesce(mirror.due_at, clock_timestamp())
            FROM (SELECT DISTINCT job_id FROM written) AS changed WHERE mirror.job_id = changed.job_id;
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER training_job_metric_points_mirror AFTER INSERT ON training_job_metric_points"
        " REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION mirror_points()"
    )
    op.execute(
        """
        CREATE FUNCTION mirror_end() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            UPDATE mlflow_mirrors SET due_at = coalesce(due_at, clock_timestamp()) WHERE job_id = NEW.id;
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER training_jobs_mirror_end AFTER UPDATE OF status ON training_jobs FOR EACH ROW"
        " WHEN (OLD.completed_at IS NULL AND NEW.completed_at IS NOT NULL) EXECUTE FUNCTION mirror_end()"
    )


def _know_trainer_events() -> None:
    op.drop_column("training_jobs", "trainer_events")
    op.add_column(
        "training_jobs",
        sa.Column("trainer_events", sa.ARRAY(sa.BigInteger()), server_default=sa.text("'{}'"), nullable=False),
    )
    # as server/reconciler/findings.py makes them: AI Runtime's are known by their kind
    op.execute(
        """
        UPDATE training_jobs AS job SET trainer_events = told.digests
        FROM (
            SELECT event.job_id, array_agg(
                ('x' || left(encode(sha256(convert_to(CASE WHEN owner.trainer = 'AI_RUNTIME'
                    THEN event.event_data ->> 'trainer_event'
                    ELSE concat_ws(' ', event.event_data ->> 'at', event.event_data ->> 'trainer_event',
                        substr(event.message, length('The trainer: ') + 1))
                    END, 'UTF8')), 'hex'), 16))::bit(64)::bigint ORDER BY event.sequence
            ) AS digests
            FROM training_job_events AS event JOIN training_jobs AS owner ON owner.id = event.job_id
            WHERE owner.completed_at IS NULL AND event.event_data ->> 'trainer_event' IS NOT NULL
            GROUP BY event.job_id
        ) AS told
        WHERE told.job_id = job.id
        """
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER training_job_events_kept ON training_job_events")
    _keep_events("UPDATE OR DELETE")
    op.drop_table("retention_progress")
    op.alter_column("training_jobs", "trainer_events", server_default=None)
    op.execute(
        "ALTER TABLE training_jobs ALTER COLUMN trainer_events TYPE integer USING cardinality(trainer_events)"
    )
    op.alter_column("training_jobs", "trainer_events", server_default="0")

    op.execute("DROP TRIGGER training_jobs_mirror_end ON training_jobs")
    op.execute("DROP FUNCTION mirror_end()")
    op.execute("DROP TRIGGER training_job_metric_points_mirror ON training_job_metric_points")
    op.execute("DROP FUNCTION mirror_points()")
    op.add_column("training_jobs", sa.Column("mirror_lease_until", sa.DateTime(timezone=True), nullable=True))
    op.drop_table("mlflow_mirrors")
