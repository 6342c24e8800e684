"""The jobs that used something, as one range of an index; and no index that no query reads."""

import sqlalchemy as sa
from alembic import op


revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

LINEAGE = (
    "UPDATE OF job_id, training_sheet_id, training_sheet_name, sheet_id, sheet_name, template_id, template_name,"
    " template_version, model_name"
)
UNREAD = {  # no query looks by these, and each cost every write a bit
    "training_sheets": (["sheet_id"], ["template_id"]),
    "training_jobs": (["trainer_job_id"],),
    "training_job_events": (["event_type"],),
    "training_job_lineage": (["training_sheet_id"],),
}
REPLACED = {
    "training_job_lineage": (["sheet_id"], ["template_id"], ["model_name", "model_version"]),
    "training_job_pairs": (["qa_pair_id"], ["canonical_label_id"]),
}
RANGES = {
    "sheet_id_created_at_job_id": ["sheet_id", "created_at", "job_id"],
    "template_id_created_at_job_id": ["template_id", "created_at", "job_id"],
    "model_name_created_at_job_id": ["model_name", "created_at", "job_id"],
    "version": ["model_name", "model_version", "created_at", "job_id"],
}
OF_JOB = (["job_id", "created_at"], ["id", "created_at"])


def upgrade() -> None:
    _drop_indexes(UNREAD)
    _drop_indexes(REPLACED)
    op.drop_index("ix_training_jobs_created_at_id", table_name="training_jobs")
    op.create_unique_constraint(op.f("uq_training_jobs_created_at_id"), "training_jobs", ["created_at", "id"])

    for table in ("training_job_lineage", "training_job_pairs"):
        op.add_column(table, sa.Column("created_at", sa.DateTime(timezone=True), nullable=True))
        op.execute(f"ALTER TABLE {table} DISABLE TRIGGER {table}_never_change")
        op.execute(f"UPDATE {table} AS own SET created_at = job.created_at FROM training_jobs AS job WHERE job.id = own.job_id")
        op.execute(f"ALTER TABLE {table} ENABLE TRIGGER {table}_never_change")
        op.alter_column(table, "created_at", nullable=False, server_default=sa.text("now()"))
        op.drop_constraint(f"fk_{table}_job_id", table, type_="foreignkey")
        op.create_foreign_key(op.f(f"fk_{table}_job_id_created_at"), table, "training_jobs", *OF_JOB)
    _freeze_lineage(f"{LINEAGE}, created_at OR DELETE")
    for name, columns in RANGES.items():
        op.create_index(op.f(f"ix_training_job_lineage_{name}"), "training_job_lineage", columns, unique=False)
    op.drop_constraint("uq_training_job_pairs_job_id_qa_pair_id", "training_job_pairs", type_="unique")
    op.create_unique_constraint(
        op.f("uq_training_job_pairs_qa_pair_id_created_at_job_id"),
        "training_job_pairs",
        ["qa_pair_id", "created_at", "job_id"],
    )

    op.create_table(
        "training_job_labels",
        sa.Column("canonical_label_id", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("job_id", sa.String(), nullable=False),
    )
    op.execute(
        """
        INSERT INTO training_job_labels
        SELECT DISTINCT canonical_label_id, created_at, job_id FROM training_job_pairs
        WHERE canonical_label_id IS NOT NULL
        """
    )
    op.create_primary_key(
        op.f("pk_training_job_labels"), "training_job_labels", ["canonical_label_id", "created_at", "job_id"]
    )
    op.create_foreign_key(
        op.f("fk_training_job_labels_job_id_created_at"), "training_job_labels", "training_jobs", *OF_JOB
    )
    op.execute(
        """
        CREATE FUNCTION note_labels() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO training_job_labels (canonical_label_id, created_at, job_id)
            SELECT DISTINCT canonical_label_id, created_at, job_id FROM written
            WHERE canonical_label_id IS NOT NULL
            ON CONFLICT DO NOTHING;
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER training_job_pairs_note_labels AFTER INSERT ON training_job_pairs"
        " REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION note_labels()"
    )
    op.execute(
        "CREATE TRIGGER training_job_labels_never_change BEFORE UPDATE OR DELETE ON training_job_labels"
        " FOR EACH ROW EXECUTE FUNCTION refuse_change()"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER training_job_pairs_note_labels ON training_job_pairs")
    op.execute("DROP FUNCTION note_labels()")
    op.drop_table("training_job_labels")

    op.drop_constraint("uq_training_job_pairs_qa_pair_id_created_at_job_id", "training_job_pairs", type_="unique")
    op.create_unique_constraint(
        op.f("uq_training_job_pairs_job_id_qa_pair_id"), "training_job_pairs", ["job_id", "qa_pair_id"]
    )
    for name in RANGES:
        op.drop_index(op.f(f"ix_training_job_lineage_{name}"), table_name="training_job_lineage")
    _freeze_lineage(f"{LINEAGE} OR DELETE")
    for table in ("training_job_lineage", "training_job_pairs"):
        op.drop_constraint(f"fk_{table}_job_id_created_at", table, type_="foreignkey")
        op.create_foreign_key(op.f(f"fk_{table}_job_id"), table, "training_jobs", ["job_id"], ["id"])
        op.drop_column(table, "created_at")

    op.drop_constraint("uq_training_jobs_created_at_id", "training_jobs", type_="unique")
    op.create_index(op.f("ix_training_jobs_created_at_id"), "training_jobs", ["created_at", "id"], unique=False)
    for dropped in (REPLACED, UNREAD):
        for table, indexes in dropped.items():
            for columns in indexes:
                op.create_index(op.f(_index(table, columns)), table, columns, unique=False)


def _index(table: str, columns: list[str]) -> str:
    return f"ix_{table}_{'_'.join(columns)}"


def _drop_indexes(dropped: dict[str, tuple[list[str], ...]]) -> None:
    for table, indexes in dropped.items():
        for columns in indexes:
            op.drop_index(op.f(_index(table, columns)), table_name=table)


def _freeze_lineage(change: str) -> None:
    op.execute("DROP TRIGGER training_job_lineage_never_change ON training_job_lineage")
    op.execute(
        f"CREATE TRIGGER training_job_lineage_never_change BEFORE {change} ON training_job_lineage"
        " FOR EACH ROW EXECUTE FUNCTION refuse_change()"
    )
