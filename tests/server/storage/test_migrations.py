"""Migrations carry the rows along, and lead back."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from server.reconciler.findings import event_digest
from server.storage import migrations
from server.trainers.trainer import TrainerEvent
from tests.server.scripted_trainer import NOON

pytestmark = pytest.mark.database

FIRST = datetime(2026, 2, 6, 10, 0, 0, 123456, tzinfo=UTC)
BEFORE = """
INSERT INTO sheets (id, name, source) VALUES ('sheet_1', 's', 'EXTERNAL');
INSERT INTO templates (id, name, version, user_prompt) VALUES ('tmpl_1', 't', 1, '{question}');
INSERT INTO training_sheets (id, name, sheet_id, template_id) VALUES ('tsheet_1', 'ts', 'sheet_1', 'tmpl_1');
INSERT INTO canonical_labels (id, sheet_id, item_ref, label_type, label_data, version, allowed_uses, prohibited_uses)
  SELECT 'label_' || n, 'sheet_1', 'item', 'answer', '{}', n, '{}', '{}' FROM generate_series(1, 3) n;
INSERT INTO qa_pairs (id, training_sheet_id, messages, status, allowed_uses, prohibited_uses, question_digest,
    line_digest)
  SELECT 'qa_' || n, 'tsheet_1', '[]', 'LABELED', '{}', '{}', '', '' FROM generate_series(1, 4) n;
INSERT INTO training_jobs (id, training_sheet_id, model_name, base_model, trainer, status, training_config,
    train_val_split, split_seed, total_pairs, train_pairs, val_pairs, excluded_not_labeled, excluded_use_prohibited,
    excluded_use_not_allowed, excluded_malformed, register_to_uc, created_by, created_at)
  SELECT 'job_' || n, 'tsheet_1', 'm', 'b', 'LOCAL', 'PENDING', '{}', 0.8, 0, 4, 3, 1, 0, 0, 0, 0, false, 'local',
    timestamptz '2026-02-06T10:00:00.123456Z' + (n - 1) * interval '1 h'
  FROM generate_series(1, 3) n;
INSERT INTO training_job_lineage (job_id, training_sheet_id, training_sheet_name, sheet_id, sheet_name, template_id,
    template_name, template_version, model_name)
  SELECT 'job_' || n, 'tsheet_1', 'ts', 'sheet_1', 's', 'tmpl_1', 't', 1, 'm' FROM generate_series(1, 3) n;
INSERT INTO training_job_pairs (job_id, position, split, qa_pair_id, digest, canonical_label_id,
    canonical_label_version) VALUES
  ('job_1', 0, 'TRAIN', 'qa_1', '', 'label_1', 1), ('job_1', 1, 'TRAIN', 'qa_2', '', 'label_1', 1),
  ('job_1', 2, 'TRAIN', 'qa_3', '', NULL, NULL), ('job_1', 3, 'VALIDATION', 'qa_4', '', 'label_2', 2),
  ('job_2', 0, 'TRAIN', 'qa_1', '', 'label_1', 1), ('job_2', 1, 'VALIDATION', 'qa_2', '', NULL, NULL);
"""
FINISHED_AND_NOT = """
INSERT INTO training_jobs (id, training_sheet_id, model_name, base_model, trainer, status, training_config,
    train_val_split, split_seed, progress_percent, total_pairs, train_pairs, val_pairs, excluded_not_labeled,
    excluded_use_prohibited, excluded_use_not_allowed, excluded_malformed, register_to_uc, created_by, trainer_job_id,
    mlflow_run_id, completed_at)
  SELECT 'job_' || name, 'tsheet_1', 'm', 'b', trainer, status, '{}', 0.8, 0, 100, 4, 3, 1, 0, 0, 0, 0, false, 'local',
    'run', CASE WHEN status <> 'QUEUED' THEN 'mlflow' END, CASE WHEN status <> 'QUEUED' THEN now() END
  FROM (VALUES ('queued', 'LOCAL', 'QUEUED'), ('cancelled', 'LOCAL', 'CANCELLED'), ('given_up', 'LOCAL', 'SUCCEEDED'),
    ('complete', 'LOCAL', 'SUCCEEDED'), ('theirs', 'FMAPI', 'FAILED'), ('under_way', 'FMAPI', 'QUEUED'),
    ('waiting', 'AI_RUNTIME', 'QUEUED')) AS given (name, trainer, status);
INSERT INTO training_job_events (id, job_id, sequence, event_type, message, event_data)
  VALUES ('evt_1', 'job_given_up', 1, 'ERROR', '', '{"code": "REGISTRATION_GIVEN_UP"}'),
    ('evt_2', 'job_under_way', 1, 'PROGRESS_UPDATE', 'The trainer: it übt',
      '{"trainer_event": "UPDATED", "at": "2026-11-23T12:00:00+00:00"}'),
    ('evt_3', 'job_under_way', 2, 'ERROR', 'The trainer: FAILED',
      '{"trainer_event": "FAILED", "at": "2026-11-23T12:00:01.500000+00:00", "code": "TRAINER_EVENT"}'),
    ('evt_4', 'job_waiting', 1, 'PROGRESS_UPDATE', 'The trainer: Waiting for GPU capacity',
      '{"trainer_event": "WAITING_FOR_GPU", "at": "2026-11-23T12:00:00+00:00"}');
"""
TIMES = "SELECT job_id, created_at FROM {} ORDER BY job_id, {}"
LABELS = "SELECT canonical_label_id, job_id, created_at FROM training_job_labels ORDER BY 1, 2"
INDEXES = "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1, 2"
TRIGGERS = "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1"
COLUMNS = """
SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns
WHERE table_schema = 'public' ORDER BY 1, 2
"""
CONSTRAINTS = "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint ORDER BY 1, 2"


@pytest.fixture
async def connection(empty_database_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(empty_database_url)
    yield connection
    await connection.close()


async def shape(connection: "asyncpg.Connection[asyncpg.Record]") -> list[list[tuple[object, ...]]]:
    """Everything that a migration may change of the tables."""
    return [[tuple(row) for row in await connection.fetch(of)] for of in (COLUMNS, INDEXES, CONSTRAINTS, TRIGGERS)]


def created(number: int) -> datetime:
    return FIRST + timedelta(hours=number - 1)


async def test_what_jobs_used_before_is_found_under_their_own_time(
    empty_database_url: str, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await migrations.upgrade(empty_database_url, "0001")
    await connection.execute(BEFORE)

    await migrations.upgrade(empty_database_url, "0002")

    lineage = await connection.fetch(TIMES.format("training_job_lineage", "job_id"))
    assert [tuple(row) for row in lineage] == [(f"job_{number}", created(number)) for number in (1, 2, 3)]
    pairs = await connection.fetch(TIMES.format("training_job_pairs", "position"))
    assert [tuple(row) for row in pairs] == [("job_1", created(1))] * 4 + [("job_2", created(2))] * 2
    assert [tuple(row) for row in await connection.fetch(LABELS)] == [
        ("label_1", "job_1", created(1)),
        ("label_1", "job_2", created(2)),
        ("label_2", "job_1", created(1)),
    ]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE training_job_lineage SET created_at = now()",
        "UPDATE training_job_pairs SET created_at = now()",
        "UPDATE training_job_labels SET created_at = now()",
        "DELETE FROM training_job_labels",
        "DELETE FROM training_job_pairs",
    ],
)
async def test_what_was_carried_along_never_changes(
    empty_database_url: str, connection: "asyncpg.Connection[asyncpg.Record]", change: str
) -> None:
    await migrations.upgrade(empty_database_url, "0001")
    await connection.execute(BEFORE)
    await migrations.upgrade(empty_database_url)
    with pytest.raises(asyncpg.RestrictViolationError, match="never change once stored"):
        await connection.execute(change)


LIVE = """
INSERT INTO training_jobs (id, training_sheet_id, model_name, base_model, trainer, status, training_config,
    train_val_split, split_seed, total_pairs, train_pairs, val_pairs, excluded_not_labeled, excluded_use_prohibited,
    excluded_use_not_allowed, excluded_malformed, register_to_uc, created_by, trainer_job_id, progress_percent,
    completed_at, cancel_requested_at, cancel_requested_by, trained_at, next_poll_at, lease_until, fence, failures,
    registration_failures)
  SELECT id, 'tsheet_1', 'm', 'b', trainer, status, '{}', 0.8, 0, 4, 3, 1, 0, 0, 0, 0, false, 'local', run,
    CASE WHEN status = 'SUCCEEDED' THEN 100 ELSE 0 END,
    CASE WHEN status IN ('SUCCEEDED', 'FAILED', 'CANCELLED') THEN now() END,
    CASE WHEN cancelled THEN now() END, CASE WHEN cancelled THEN 'anna' END, CASE WHEN trained THEN now() END,
    timestamptz '2026-02-06T12:00:00Z', CASE WHEN leased THEN timestamptz '2026-02-06T12:00:30Z' END, fence, 2, 5
  FROM (VALUES
    ('live_pending', 'LOCAL', 'PENDING', NULL, false, false, false, 0),
    ('live_submitting', 'FMAPI', 'PENDING', NULL, false, false, true, 7),
    ('live_queued', 'LOCAL', 'QUEUED', 'local-5f0c12ab-live_queued', false, false, false, 3),
    ('live_observed', 'FMAPI', 'RUNNING', 'ft-1', false, false, true, 9),
    ('live_cancelling', 'LOCAL', 'RUNNING', 'local-5f0c12ab-live_cancelling', true, false, false, 4),
    ('live_registering', 'AI_RUNTIME', 'RUNNING', '17', false, true, true, 8),
    ('live_succeeded', 'LOCAL', 'SUCCEEDED', 'local-5f0c12ab-x', false, true, false, 20),
    ('live_failed', 'LOCAL', 'FAILED', NULL, false, false, false, 2),
    ('live_cancelled', 'LOCAL', 'CANCELLED', NULL, false, false, false, 1)
  ) AS live(id, trainer, status, run, cancelled, trained, leased, fence);
"""
CLAIMS = "SELECT * FROM training_job_claims WHERE job_id LIKE 'live%' ORDER BY fence"
WAITING = """
SELECT id, next_poll_at, lease_until, fence, failures, registration_failures FROM training_jobs
WHERE id LIKE 'live%' ORDER BY id
"""


async def test_live_jobs_take_their_claims_along_and_back(
    empty_database_url: str, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await migrations.upgrade(empty_database_url, "0001")
    await connection.execute(BEFORE)
    await migrations.upgrade(empty_database_url, "0003")
    await connection.execute(LIVE)
    before = {row["id"]: tuple(row)[1:] for row in await connection.fetch(WAITING)}
    await migrations.upgrade(empty_database_url, "0004")
    due, leased = datetime(2026, 2, 6, 12, tzinfo=UTC), datetime(2026, 2, 6, 12, 0, 30, tzinfo=UTC)
    assert [tuple(row) for row in await connection.fetch(CLAIMS)] == [
        ("live_pending", "LOCAL", 0, due, None, 2),
        ("live_queued", "LOCAL 5f0c12ab", 3, None, None, 2),
        ("live_cancelling", "LOCAL 5f0c12ab", 4, due, None, 2),
        ("live_submitting", "FMAPI", 7, due, leased, 2),
        ("live_registering", "AI_RUNTIME", 8, due, leased, 5),
        ("live_observed", "FMAPI", 9, None, leased, 2),
    ]
    await migrations.downgrade(empty_database_url, "0003")
    after = {row["id"]: tuple(row)[1:] for row in await connection.fetch(WAITING)}
    assert after.keys() == before.keys()
    for job_id in ("live_pending", "live_submitting", "live_cancelling"):
        assert after[job_id] == (*before[job_id][:4], 0)
    assert after["live_registering"] == (*before["live_registering"][:3], 0, 5)
    assert after["live_observed"][1:] == (leased, 9, 2, 0)
    for job_id in ("live_queued", "live_observed"):
        assert datetime.now(UTC) - after[job_id][0] < timedelta(minutes=5), "due at once"
    for job_id in ("live_succeeded", "live_failed", "live_cancelled"):
        assert after[job_id][1:] == (None, 0, 0, 0)


async def test_each_migration_leads_back_to_where_it_came_from(
    empty_database_url: str, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await migrations.upgrade(empty_database_url, "0001")
    await connection.execute(BEFORE)
    before = await shape(connection)
    await migrations.upgrade(empty_database_url)
    after = await shape(connection)
    await migrations.downgrade(empty_database_url, "0001")
    assert await shape(connection) == before
    await migrations.upgrade(empty_database_url)
    assert await shape(connection) == after
    assert await connection.fetchval("SELECT count(*) FROM training_job_labels") == 3
    await migrations.downgrade(empty_database_url, "base")
    left = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert [row["tablename"] for row in left] == ["alembic_version"]


async def test_what_mlflow_lacks_and_what_trainers_told_is_carried_along(
    empty_database_url: str, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await migrations.upgrade(empty_database_url, "0001")
    await connection.execute(BEFORE)
    await migrations.upgrade(empty_database_url, "0003")
    await connection.execute(FINISHED_AND_NOT)
    await migrations.upgrade(empty_database_url)
    due = await connection.fetch("SELECT job_id FROM mlflow_mirrors WHERE due_at <= now() ORDER BY 1")
    assert [row[0] for row in due] == ["job_cancelled", "job_given_up", "job_queued"]
    told = await connection.fetch(
        "SELECT id, trainer_events FROM training_jobs WHERE trainer_events <> '{}' ORDER BY id"
    )
    assert [tuple(row) for row in told] == [
        (
            "job_under_way",
            [
                event_digest(TrainerEvent(NOON, "UPDATED", "it übt")),
                event_digest(TrainerEvent(NOON + timedelta(seconds=1.5), "FAILED", "", bad=True)),
            ],
        ),
        ("job_waiting", [event_digest(TrainerEvent(NOON, "WAITING_FOR_GPU", "anything", identity="WAITING_FOR_GPU"))]),
    ]
    await connection.execute("DELETE FROM mlflow_mirrors WHERE job_id <> 'job_queued'")
    await connection.execute("UPDATE mlflow_mirrors SET due_at = NULL")
    await connection.execute("UPDATE training_jobs SET status = 'FAILED', completed_at = now() WHERE id = 'job_queued'")
    assert await connection.fetchval("SELECT due_at <= clock_timestamp() FROM mlflow_mirrors")
