"""The tables of the first version, and the rows that never change."""

import sqlalchemy as sa
from alembic import op


revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

IMMUTABLE = {
    "templates": "UPDATE",
    "canonical_labels": "UPDATE",
    "qa_pairs": "UPDATE OF id, training_sheet_id, item_ref, messages, defect, question_digest, line_digest, created_at",
    "training_sheets": "UPDATE OF id, sheet_id, template_id, created_at",
    "training_job_pairs": "UPDATE OR DELETE",
    "training_job_events": "UPDATE OR DELETE",
    "training_job_lineage": (
        "UPDATE OF job_id, training_sheet_id, training_sheet_name, sheet_id, sheet_name, template_id,"
        " template_name, template_version, model_name OR DELETE"
    ),
}


def upgrade() -> None:
    op.create_table(
        "sheets",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("source_location", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("source IN ('EXTERNAL', 'UC_TABLE', 'UC_VOLUME')", name=op.f("ck_sheets_source")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sheets")),
        sa.UniqueConstraint("name", name=op.f("uq_sheets_name")),
    )
    op.create_index(op.f("ix_sheets_created_at_id"), "sheets", ["created_at", "id"], unique=False)
    op.create_table(
        "templates",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("system_prompt", sa.String(), nullable=True),
        sa.Column("user_prompt", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("version >= 1", name=op.f("ck_templates_version")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_templates")),
        sa.UniqueConstraint("name", "version", name=op.f("uq_templates_name_version")),
    )
    op.create_index(op.f("ix_templates_created_at_id"), "templates", ["created_at", "id"], unique=False)
    op.create_table(
        "canonical_labels",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("sheet_id", sa.String(), nullable=False),
        sa.Column("item_ref", sa.String(), nullable=False),
        sa.Column("label_type", sa.String(), nullable=False),
        sa.Column("label_data", sa.JSON(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("allowed_uses", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("prohibited_uses", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "allowed_uses <@ ARRAY['EVALUATION', 'FEW_SHOT', 'TESTING', 'TRAINING', 'VALIDATION']::text[] AND array_position(allowed_uses, NULL) IS NULL",
            name=op.f("ck_canonical_labels_allowed_uses"),
        ),
        sa.CheckConstraint(
            "prohibited_uses <@ ARRAY['EVALUATION', 'FEW_SHOT', 'TESTING', 'TRAINING', 'VALIDATION']::text[] AND array_position(prohibited_uses, NULL) IS NULL",
            name=op.f("ck_canonical_labels_prohibited_uses"),
        ),
        sa.CheckConstraint("version >= 1", name=op.f("ck_canonical_labels_version")),
        sa.ForeignKeyConstraint(["sheet_id"], ["sheets.id"], name=op.f("fk_canonical_labels_sheet_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_canonical_labels")),
        sa.UniqueConstraint(
            "sheet_id",
            "item_ref",
            "label_type",
            "version",
            name=op.f("uq_canonical_labels_sheet_id_item_ref_label_type_version"),
        ),
    )
    op.create_index(op.f("ix_canonical_labels_created_at_id"), "canonical_labels", ["created_at", "id"], unique=False)
    op.create_index(
        op.f("ix_canonical_labels_sheet_id_created_at_id"),
        "canonical_labels",
        ["sheet_id", "created_at", "id"],
        unique=False,
    )
    op.create_table(
        "training_sheets",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("sheet_id", sa.String(), nullable=False),
        sa.Column("template_id", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["sheet_id"], ["sheets.id"], name=op.f("fk_training_sheets_sheet_id")),
        sa.ForeignKeyConstraint(["template_id"], ["templates.id"], name=op.f("fk_training_sheets_template_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_training_sheets")),
        sa.UniqueConstraint("name", name=op.f("uq_training_sheets_name")),
    )
    op.create_index(op.f("ix_training_sheets_created_at_id"), "training_sheets", ["created_at", "id"], unique=False)
    op.create_index(op.f("ix_training_sheets_sheet_id"), "training_sheets", ["sheet_id"], unique=False)
    op.create_index(op.f("ix_training_sheets_template_id"), "training_sheets", ["template_id"], unique=False)
    op.create_table(
        "qa_pairs",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("training_sheet_id", sa.String(), nullable=False),
        sa.Column("canonical_label_id", sa.String(), nullable=True),
        sa.Column("item_ref", sa.String(), nullable=True),
        sa.Column("messages", sa.JSON(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("allowed_uses", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("prohibited_uses", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("defect", sa.String(), nullable=True),
        sa.Column("question_digest", sa.String(), nullable=False),
        sa.Column("line_digest", sa.String(), nullable=False),
        sa.Column("reviewed_by", sa.String(), nullable=True),
        sa.Column("reviewed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "allowed_uses <@ ARRAY['EVALUATION', 'FEW_SHOT', 'TESTING', 'TRAINING', 'VALIDATION']::text[] AND array_position(allowed_uses, NULL) IS NULL",
            name=op.f("ck_qa_pairs_allowed_uses"),
        ),
        sa.CheckConstraint(
            "prohibited_uses <@ ARRAY['EVALUATION', 'FEW_SHOT', 'TESTING', 'TRAINING', 'VALIDATION']::text[] AND array_position(prohibited_uses, NULL) IS NULL",
            name=op.f("ck_qa_pairs_prohibited_uses"),
        ),
        sa.CheckConstraint(
            "status IN ('FLAGGED', 'LABELED', 'REJECTED', 'UNLABELED')", name=op.f("ck_qa_pairs_status")
        ),
        sa.CheckConstraint("(reviewed_by IS NULL) = (reviewed_at IS NULL)", name=op.f("ck_qa_pairs_reviewed")),
        sa.ForeignKeyConstraint(
            ["canonical_label_id"], ["canonical_labels.id"], name=op.f("fk_qa_pairs_canonical_label_id")
        ),
        sa.ForeignKeyConstraint(
            ["training_sheet_id"], ["training_sheets.id"], name=op.f("fk_qa_pairs_training_sheet_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_qa_pairs")),
    )
    op.create_index(op.f("ix_qa_pairs_canonical_label_id"), "qa_pairs", ["canonical_label_id"], unique=False)
    op.create_index(
        op.f("ix_qa_pairs_training_sheet_id_created_at_id"),
        "qa_pairs",
        ["training_sheet_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_qa_pairs_training_sheet_id_status_created_at_id"),
        "qa_pairs",
        ["training_sheet_id", "status", "created_at", "id"],
        unique=False,
    )
    op.create_table(
        "training_jobs",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("training_sheet_id", sa.String(), nullable=False),
        sa.Column("model_name", sa.String(), nullable=False),
        sa.Column("base_model", sa.String(), nullable=False),
        sa.Column("trainer", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("training_config", sa.JSON(), nullable=False),
        sa.Column("train_val_split", sa.Float(), nullable=False),
        sa.Column("split_seed", sa.Integer(), nullable=False),
        sa.Column("progress_percent", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("current_epoch", sa.Integer(), nullable=True),
        sa.Column("total_epochs", sa.Integer(), nullable=True),
        sa.Column("total_pairs", sa.Integer(), nullable=False),
        sa.Column("train_pairs", sa.Integer(), nullable=False),
        sa.Column("val_pairs", sa.Integer(), nullable=False),
        sa.Column("excluded_not_labeled", sa.Integer(), nullable=False),
        sa.Column("excluded_use_prohibited", sa.Integer(), nullable=False),
        sa.Column("excluded_use_not_allowed", sa.Integer(), nullable=False),
        sa.Column("excluded_malformed", sa.Integer(), nullable=False),
        sa.Column("trainer_job_id", sa.String(), nullable=True),
        sa.Column("mlflow_run_id", sa.String(), nullable=True),
        sa.Column("register_to_uc", sa.Boolean(), nullable=False),
        sa.Column("uc_catalog", sa.String(), nullable=True),
        sa.Column("uc_schema", sa.String(), nullable=True),
        sa.Column("uc_model_name", sa.String(), nullable=True),
        sa.Column("uc_model_version", sa.String(), nullable=True),
        sa.Column("dataset_digest", sa.String(), nullable=True),
        sa.Column("error_code", sa.String(), nullable=True),
        sa.Column("error_message", sa.String(), nullable=True),
        sa.Column("cancel_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancel_requested_by", sa.String(), nullable=True),
        sa.Column("cancel_reason", sa.String(), nullable=True),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("client_mutation_id", sa.String(), nullable=True),
        sa.Column("input_digest", sa.String(), nullable=True),
        sa.Column("last_sequence", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_poll_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fence", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("unreachable_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("submit_started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("trained_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("registration_failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("last_metric_step", sa.BigInteger(), nullable=True),
        sa.Column("mirror_lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(status IN ('CANCELLED', 'FAILED', 'SUCCEEDED')) = (completed_at IS NOT NULL)",
            name=op.f("ck_training_jobs_completed"),
        ),
        sa.CheckConstraint(
            "status <> 'SUCCEEDED' OR progress_percent = 100", name=op.f("ck_training_jobs_succeeded_progress")
        ),
        sa.CheckConstraint(
            "status IN ('CANCELLED', 'FAILED', 'PENDING', 'QUEUED', 'RUNNING', 'SUCCEEDED')",
            name=op.f("ck_training_jobs_status"),
        ),
        sa.CheckConstraint(
            "status NOT IN ('QUEUED', 'RUNNING', 'SUCCEEDED') OR trainer_job_id IS NOT NULL",
            name=op.f("ck_training_jobs_submitted"),
        ),
        sa.CheckConstraint("trainer IN ('AI_RUNTIME', 'FMAPI', 'LOCAL')", name=op.f("ck_training_jobs_trainer")),
        sa.CheckConstraint(
            "(cancel_requested_at IS NULL) = (cancel_requested_by IS NULL) AND (cancel_reason IS NULL OR cancel_requested_at IS NOT NULL)",
            name=op.f("ck_training_jobs_cancel"),
        ),
        sa.CheckConstraint(
            "(client_mutation_id IS NULL) = (input_digest IS NULL)", name=op.f("ck_training_jobs_client_mutation_id")
        ),
        sa.CheckConstraint(
            "excluded_not_labeled >= 0 AND excluded_use_prohibited >= 0 AND excluded_use_not_allowed >= 0 AND excluded_malformed >= 0",
            name=op.f("ck_training_jobs_excluded"),
        ),
        sa.CheckConstraint("progress_percent BETWEEN 0 AND 100", name=op.f("ck_training_jobs_progress")),
        sa.CheckConstraint(
            "train_pairs >= 1 AND val_pairs >= 1 AND total_pairs = train_pairs + val_pairs",
            name=op.f("ck_training_jobs_pairs"),
        ),
        sa.CheckConstraint("train_val_split BETWEEN 0.1 AND 0.95", name=op.f("ck_training_jobs_train_val_split")),
        sa.ForeignKeyConstraint(
            ["training_sheet_id"], ["training_sheets.id"], name=op.f("fk_training_jobs_training_sheet_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_training_jobs")),
        sa.UniqueConstraint(
            "created_by", "client_mutation_id", name=op.f("uq_training_jobs_created_by_client_mutation_id")
        ),
    )
    op.create_index(
        "ix_training_jobs_active",
        "training_jobs",
        ["created_at", "id"],
        unique=False,
        postgresql_where=sa.text("status IN ('PENDING', 'QUEUED', 'RUNNING')"),
    )
    op.create_index(op.f("ix_training_jobs_created_at_id"), "training_jobs", ["created_at", "id"], unique=False)
    op.create_index(
        op.f("ix_training_jobs_created_by_created_at_id"),
        "training_jobs",
        ["created_by", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_training_jobs_due",
        "training_jobs",
        ["next_poll_at"],
        unique=False,
        postgresql_where=sa.text("status IN ('PENDING', 'QUEUED', 'RUNNING')"),
    )
    op.create_index(
        op.f("ix_training_jobs_model_name_created_at_id"),
        "training_jobs",
        ["model_name", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_training_jobs_status_created_at_id"), "training_jobs", ["status", "created_at", "id"], unique=False
    )
    op.create_index(
        op.f("ix_training_jobs_trainer_created_at_id"), "training_jobs", ["trainer", "created_at", "id"], unique=False
    )
    op.create_index(op.f("ix_training_jobs_trainer_job_id"), "training_jobs", ["trainer_job_id"], unique=False)
    op.create_index(
        op.f("ix_training_jobs_training_sheet_id_created_at_id"),
        "training_jobs",
        ["training_sheet_id", "created_at", "id"],
        unique=False,
    )
    op.create_table(
        "training_job_events",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("event_type", sa.String(), nullable=False),
        sa.Column("old_status", sa.String(), nullable=True),
        sa.Column("new_status", sa.String(), nullable=True),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("event_data", sa.JSON(), nullable=True),
        sa.Column("actor", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "event_type IN ('CANCEL_REQUESTED', 'CREATED', 'ERROR', 'METRIC_UPDATE', 'MODEL_REGISTERED', 'PROGRESS_UPDATE', 'STATUS_CHANGE', 'SUBMITTED')",
            name=op.f("ck_training_job_events_event_type"),
        ),
        sa.CheckConstraint(
            "new_status IN ('CANCELLED', 'FAILED', 'PENDING', 'QUEUED', 'RUNNING', 'SUCCEEDED')",
            name=op.f("ck_training_job_events_new_status"),
        ),
        sa.CheckConstraint(
            "old_status IN ('CANCELLED', 'FAILED', 'PENDING', 'QUEUED', 'RUNNING', 'SUCCEEDED')",
            name=op.f("ck_training_job_events_old_status"),
        ),
        sa.CheckConstraint("sequence >= 1", name=op.f("ck_training_job_events_sequence")),
        sa.ForeignKeyConstraint(["job_id"], ["training_jobs.id"], name=op.f("fk_training_job_events_job_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_training_job_events")),
        sa.UniqueConstraint("job_id", "sequence", name=op.f("uq_training_job_events_job_id_sequence")),
    )
    op.create_index(op.f("ix_training_job_events_created_at"), "training_job_events", ["created_at"], unique=False)
    op.create_index(op.f("ix_training_job_events_event_type"), "training_job_events", ["event_type"], unique=False)
    op.create_index(
        op.f("ix_training_job_events_job_id_event_type_sequence"),
        "training_job_events",
        ["job_id", "event_type", "sequence"],
        unique=False,
    )
    op.create_table(
        "training_job_lineage",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("training_sheet_id", sa.String(), nullable=False),
        sa.Column("training_sheet_name", sa.String(), nullable=False),
        sa.Column("sheet_id", sa.String(), nullable=False),
        sa.Column("sheet_name", sa.String(), nullable=False),
        sa.Column("template_id", sa.String(), nullable=False),
        sa.Column("template_name", sa.String(), nullable=False),
        sa.Column("template_version", sa.Integer(), nullable=False),
        sa.Column("model_name", sa.String(), nullable=False),
        sa.Column("model_version", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["training_jobs.id"], name=op.f("fk_training_job_lineage_job_id")),
        sa.ForeignKeyConstraint(["sheet_id"], ["sheets.id"], name=op.f("fk_training_job_lineage_sheet_id")),
        sa.ForeignKeyConstraint(["template_id"], ["templates.id"], name=op.f("fk_training_job_lineage_template_id")),
        sa.ForeignKeyConstraint(
            ["training_sheet_id"], ["training_sheets.id"], name=op.f("fk_training_job_lineage_training_sheet_id")
        ),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_training_job_lineage")),
    )
    op.create_index(
        op.f("ix_training_job_lineage_model_name_model_version"),
        "training_job_lineage",
        ["model_name", "model_version"],
        unique=False,
    )
    op.create_index(op.f("ix_training_job_lineage_sheet_id"), "training_job_lineage", ["sheet_id"], unique=False)
    op.create_index(op.f("ix_training_job_lineage_template_id"), "training_job_lineage", ["template_id"], unique=False)
    op.create_index(
        op.f("ix_training_job_lineage_training_sheet_id"), "training_job_lineage", ["training_sheet_id"], unique=False
    )
    op.create_table(
        "training_job_metric_points",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "value > '-Infinity' AND value < 'Infinity'", name=op.f("ck_training_job_metric_points_value_finite")
        ),
        sa.ForeignKeyConstraint(["job_id"], ["training_jobs.id"], name=op.f("fk_training_job_metric_points_job_id")),
        sa.PrimaryKeyConstraint("job_id", "key", "step", name=op.f("pk_training_job_metric_points")),
    )
    op.create_table(
        "training_job_metrics",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("train_loss", sa.Float(), nullable=True),
        sa.Column("val_loss", sa.Float(), nullable=True),
        sa.Column("train_accuracy", sa.Float(), nullable=True),
        sa.Column("val_accuracy", sa.Float(), nullable=True),
        sa.Column("learning_rate", sa.Float(), nullable=True),
        sa.Column("epochs_completed", sa.Integer(), nullable=True),
        sa.Column("training_duration_seconds", sa.Float(), nullable=True),
        sa.Column("tokens_processed", sa.BigInteger(), nullable=True),
        sa.Column("cost_dbu", sa.Float(), nullable=True),
        sa.Column("custom_metrics", sa.JSON(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "cost_dbu > '-Infinity' AND cost_dbu < 'Infinity'", name=op.f("ck_training_job_metrics_cost_dbu_finite")
        ),
        sa.CheckConstraint(
            "learning_rate > '-Infinity' AND learning_rate < 'Infinity'",
            name=op.f("ck_training_job_metrics_learning_rate_finite"),
        ),
        sa.CheckConstraint(
            "train_accuracy > '-Infinity' AND train_accuracy < 'Infinity'",
            name=op.f("ck_training_job_metrics_train_accuracy_finite"),
        ),
        sa.CheckConstraint(
            "train_loss > '-Infinity' AND train_loss < 'Infinity'",
            name=op.f("ck_training_job_metrics_train_loss_finite"),
        ),
        sa.CheckConstraint(
            "training_duration_seconds > '-Infinity' AND training_duration_seconds < 'Infinity'",
            name=op.f("ck_training_job_metrics_training_duration_seconds_finite"),
        ),
        sa.CheckConstraint(
            "val_accuracy > '-Infinity' AND val_accuracy < 'Infinity'",
            name=op.f("ck_training_job_metrics_val_accuracy_finite"),
        ),
        sa.CheckConstraint(
            "val_loss > '-Infinity' AND val_loss < 'Infinity'", name=op.f("ck_training_job_metrics_val_loss_finite")
        ),
        sa.ForeignKeyConstraint(["job_id"], ["training_jobs.id"], name=op.f("fk_training_job_metrics_job_id")),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_training_job_metrics")),
    )
    op.create_table(
        "training_job_pairs",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("split", sa.String(), nullable=False),
        sa.Column("qa_pair_id", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("canonical_label_id", sa.String(), nullable=True),
        sa.Column("canonical_label_version", sa.Integer(), nullable=True),
        sa.CheckConstraint("split IN ('TRAIN', 'VALIDATION')", name=op.f("ck_training_job_pairs_split")),
        sa.CheckConstraint(
            "(canonical_label_id IS NULL) = (canonical_label_version IS NULL)",
            name=op.f("ck_training_job_pairs_canonical_label"),
        ),
        sa.CheckConstraint("position >= 0", name=op.f("ck_training_job_pairs_position")),
        sa.ForeignKeyConstraint(
            ["canonical_label_id"], ["canonical_labels.id"], name=op.f("fk_training_job_pairs_canonical_label_id")
        ),
        sa.ForeignKeyConstraint(["job_id"], ["training_jobs.id"], name=op.f("fk_training_job_pairs_job_id")),
        sa.ForeignKeyConstraint(["qa_pair_id"], ["qa_pairs.id"], name=op.f("fk_training_job_pairs_qa_pair_id")),
        sa.PrimaryKeyConstraint("job_id", "position", name=op.f("pk_training_job_pairs")),
        sa.UniqueConstraint("job_id", "qa_pair_id", name=op.f("uq_training_job_pairs_job_id_qa_pair_id")),
    )
    op.create_index(
        op.f("ix_training_job_pairs_canonical_label_id"), "training_job_pairs", ["canonical_label_id"], unique=False
    )
    op.create_index(
        op.f("ix_training_job_pairs_job_id_split_position"),
        "training_job_pairs",
        ["job_id", "split", "position"],
        unique=False,
    )
    op.create_index(op.f("ix_training_job_pairs_qa_pair_id"), "training_job_pairs", ["qa_pair_id"], unique=False)
    op.execute(
        """
        CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '% never change once stored', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
        END $$
        """
    )
    for table, change in IMMUTABLE.items():
        op.execute(
            f"CREATE TRIGGER {table}_never_change BEFORE {change} ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )


def downgrade() -> None:
    for table in IMMUTABLE:
        op.execute(f"DROP TRIGGER {table}_never_change ON {table}")
    op.execute("DROP FUNCTION refuse_change()")
    op.drop_index(op.f("ix_training_job_pairs_qa_pair_id"), table_name="training_job_pairs")
    op.drop_index(op.f("ix_training_job_pairs_job_id_split_position"), table_name="training_job_pairs")
    op.drop_index(op.f("ix_training_job_pairs_canonical_label_id"), table_name="training_job_pairs")
    op.drop_table("training_job_pairs")
    op.drop_table("training_job_metrics")
    op.drop_table("training_job_metric_points")
    op.drop_index(op.f("ix_training_job_lineage_training_sheet_id"), table_name="training_job_lineage")
    op.drop_index(op.f("ix_training_job_lineage_template_id"), table_name="training_job_lineage")
    op.drop_index(op.f("ix_training_job_lineage_sheet_id"), table_name="training_job_lineage")
    op.drop_index(op.f("ix_training_job_lineage_model_name_model_version"), table_name="training_job_lineage")
    op.drop_table("training_job_lineage")
    op.drop_index(op.f("ix_training_job_events_job_id_event_type_sequence"), table_name="training_job_events")
    op.drop_index(op.f("ix_training_job_events_event_type"), table_name="training_job_events")
    op.drop_index(op.f("ix_training_job_events_created_at"), table_name="training_job_events")
    op.drop_table("training_job_events")
    op.drop_index(op.f("ix_training_jobs_training_sheet_id_created_at_id"), table_name="training_jobs")
    op.drop_index(op.f("ix_training_jobs_trainer_job_id"), table_name="training_jobs")
    op.drop_index(op.f("ix_training_jobs_trainer_created_at_id"), table_name="training_jobs")
    op.drop_index(op.f("ix_training_jobs_status_created_at_id"), table_name="training_jobs")
    op.drop_index(op.f("ix_training_jobs_model_name_created_at_id"), table_name="training_jobs")
    op.drop_index(
        "ix_training_jobs_due",
        table_name="training_jobs",
        postgresql_where=sa.text("status IN ('PENDING', 'QUEUED', 'RUNNING')"),
    )
    op.drop_index(op.f("ix_training_jobs_created_by_created_at_id"), table_name="training_jobs")
    op.drop_index(op.f("ix_training_jobs_created_at_id"), table_name="training_jobs")
    op.drop_index(
        "ix_training_jobs_active",
        table_name="training_jobs",
        postgresql_where=sa.text("status IN ('PENDING', 'QUEUED', 'RUNNING')"),
    )
    op.drop_table("training_jobs")
    op.drop_index(op.f("ix_qa_pairs_training_sheet_id_status_created_at_id"), table_name="qa_pairs")
    op.drop_index(op.f("ix_qa_pairs_training_sheet_id_created_at_id"), table_name="qa_pairs")
    op.drop_index(op.f("ix_qa_pairs_canonical_label_id"), table_name="qa_pairs")
    op.drop_table("qa_pairs")
    op.drop_index(op.f("ix_training_sheets_template_id"), table_name="training_sheets")
    op.drop_index(op.f("ix_training_sheets_sheet_id"), table_name="training_sheets")
    op.drop_index(op.f("ix_training_sheets_created_at_id"), table_name="training_sheets")
    op.drop_table("training_sheets")
    op.drop_index(op.f("ix_canonical_labels_sheet_id_created_at_id"), table_name="canonical_labels")
    op.drop_index(op.f("ix_canonical_labels_created_at_id"), table_name="canonical_labels")
    op.drop_table("canonical_labels")
    op.drop_index(op.f("ix_templates_created_at_id"), table_name="templates")
    op.drop_table("templates")
    op.drop_index(op.f("ix_sheets_created_at_id"), table_name="sheets")
    op.drop_table("sheets")
