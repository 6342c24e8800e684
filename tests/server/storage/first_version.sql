-- A database as the first version wrote it, with jobs in every status and in the middle of every step. Each job's name
-- says how it stands. The server that worked on them was killed: leases have ended, but for one that has some time left.
INSERT INTO sheets (id, name, source, source_location, created_at)
  VALUES ('sheet_1', 'old invoices', 'UC_TABLE', 'main.finance.invoices', '2026-02-01T10:00:00Z');
INSERT INTO templates (id, name, version, system_prompt, user_prompt)
  VALUES ('tmpl_1', 'old desk', 1, NULL, '{q}'), ('tmpl_2', 'old desk', 2, 'Be brief.', '{q}');
INSERT INTO training_sheets (id, name, sheet_id, template_id) VALUES ('tsheet_1', 'old desk', 'sheet_1', 'tmpl_2');
INSERT INTO canonical_labels (id, sheet_id, item_ref, label_type, label_data, version, allowed_uses, prohibited_uses)
  SELECT 'label_' || n, 'sheet_1', 'item 1', 'answer', '{"b": 1.0, "a": [1]}', n, '{TRAINING,VALIDATION}', '{FEW_SHOT}'
  FROM generate_series(1, 2) n;
INSERT INTO qa_pairs (id, training_sheet_id, canonical_label_id, item_ref, messages, status, allowed_uses,
    prohibited_uses, defect, question_digest, line_digest, reviewed_by, reviewed_at)
  SELECT 'qa_' || n, 'tsheet_1', CASE WHEN n = 1 THEN 'label_2' END, CASE WHEN n = 1 THEN 'item 1' END, messages,
    'LABELED', '{TRAINING,VALIDATION}', '{}', defect, 'question ' || n,
    encode(sha256(convert_to('{"messages":[{"role":"system","content":"Be brief."},'
      || substr(messages::text, 2) || '}', 'UTF8')), 'hex'), 'anna', '2026-02-02T10:00:00Z'
  FROM (VALUES
    (1, '[{"role":"user","content":"Who signs?"},{"role":"assistant","content":"Anna."}]'::json, NULL),
    (2, ('[{"role":"user","content":"Who pays?"},{"role":"assistant","content":"Ben.' || chr(8232) || '"}]')::json, NULL),
    (3, '[{"role":"user","content":"a"},{"role":"user","content":"b"},{"role":"assistant","content":"c"}]',
      'WRONG_ORDER'),
    (4, ('[{"role":"user","content":"Nothing?"},{"role":"assistant","content":"' || chr(8203) || '"}]')::json, NULL)
  ) AS pair (n, messages, defect);
INSERT INTO training_jobs (id, training_sheet_id, model_name, base_model, trainer, status, training_config,
    train_val_split, split_seed, progress_percent, current_epoch, total_epochs, total_pairs, train_pairs, val_pairs,
    excluded_not_labeled, excluded_use_prohibited, excluded_use_not_allowed, excluded_malformed, register_to_uc,
    uc_catalog, uc_schema, uc_model_name, created_by, client_mutation_id, input_digest, created_at, updated_at,
    trainer_job_id, mlflow_run_id, dataset_digest, uc_model_version, error_code, error_message, cancel_requested_at,
    cancel_requested_by, cancel_reason, started_at, completed_at, submit_started_at, trained_at, next_poll_at,
    lease_until, fence, failures, registration_failures, unreachable_since, last_metric_step, last_sequence)
  SELECT 'job_' || name, 'tsheet_1', 'desk', 'scripted/small', 'LOCAL', status, '{"epochs": 3, "rate": 1e-4}', 0.5, n,
    CASE WHEN status = 'SUCCEEDED' OR trained THEN 100 WHEN status = 'RUNNING' THEN 33 ELSE 0 END,
    CASE WHEN status = 'RUNNING' THEN 1 END, 3, 2, 1, 1, 0, 0, 0, 1, registers,
    CASE WHEN registers THEN 'main' END, CASE WHEN registers THEN 'desk' END,
    CASE WHEN registers THEN 'main.desk.desk' END, 'anna@example.com', 'once ' || n, 'input ' || n,
    timestamptz '2026-02-03T10:00:00.123456Z' + n * interval '1 min', now() - interval '1 min',
    CASE WHEN status <> 'PENDING' AND name <> 'failed_unsubmitted' THEN 'run-job_' || name END,
    CASE WHEN status IN ('RUNNING', 'SUCCEEDED') THEN 'mlflow-job_' || name END,
    CASE WHEN status <> 'PENDING' OR name = 'pending_lost' THEN repeat('d', 64) END,
    CASE WHEN status = 'SUCCEEDED' AND registers THEN '7' END,
    CASE WHEN status = 'FAILED' THEN 'TRAINER_CRASHED' END, CASE WHEN status = 'FAILED' THEN 'out of memory' END,
    CASE WHEN cancelled THEN now() - interval '5 s' END, CASE WHEN cancelled THEN 'ben' END,
    CASE WHEN cancelled THEN 'wrong data' END,
    CASE WHEN status IN ('RUNNING', 'SUCCEEDED') THEN timestamptz '2026-02-03T11:00:00Z' END,
    CASE WHEN status IN ('SUCCEEDED', 'FAILED', 'CANCELLED') THEN timestamptz '2026-02-03T12:00:00Z' END,
    CASE WHEN status <> 'PENDING' OR name = 'pending_lost' THEN now() - interval '1 h' END,
    CASE WHEN trained THEN now() - interval '10 s' END, now() - interval '1 min',
    CASE held WHEN 'ended' THEN now() - interval '20 s' WHEN 'held' THEN now() + interval '1 s' END, n, failures,
    CASE WHEN trained THEN 1 ELSE 0 END, CASE WHEN failures > 0 THEN now() - interval '2 min' END,
    CASE WHEN status = 'RUNNING' THEN 2 END, CASE WHEN status = 'PENDING' THEN 1 ELSE 2 END
  FROM (VALUES
    (1, 'pending', 'PENDING', false, false, false, NULL, 0),
    (2, 'pending_claimed', 'PENDING', false, false, false, 'ended', 0),
    (3, 'pending_lost', 'PENDING', false, false, false, 'ended', 0),
    (4, 'pending_cancelled', 'PENDING', false, true, false, NULL, 0),
    (5, 'queued', 'QUEUED', false, false, false, NULL, 0),
    (6, 'queued_unreachable', 'QUEUED', false, false, false, NULL, 4),
    (7, 'queued_held', 'QUEUED', false, false, false, 'held', 0),
    (8, 'running', 'RUNNING', false, false, false, NULL, 0),
    (9, 'running_claimed', 'RUNNING', false, false, false, 'ended', 0),
    (10, 'running_cancelled', 'RUNNING', false, true, false, NULL, 0),
    (11, 'running_trained', 'RUNNING', true, false, true, 'ended', 0),
    (12, 'succeeded', 'SUCCEEDED', true, false, false, NULL, 0),
    (13, 'failed', 'FAILED', false, false, false, NULL, 0),
    (14, 'failed_unsubmitted', 'FAILED', false, false, false, NULL, 0),
    (15, 'cancelled', 'CANCELLED', false, true, false, NULL, 0)
  ) AS job (n, name, status, registers, cancelled, trained, held, failures);
INSERT INTO training_job_events (id, job_id, sequence, event_type, new_status, message, event_data, actor, created_at)
  SELECT 'evt_1_' || id, id, 1, 'CREATED', 'PENDING', 'Created', '{"train_pairs": 1}'::json, 'anna@example.com', created_at
  FROM training_jobs
  UNION ALL SELECT 'evt_2_' || id, id, 2, 'STATUS_CHANGE', status, 'It moved', NULL, NULL, created_at
  FROM training_jobs WHERE last_sequence = 2;
INSERT INTO training_job_lineage (job_id, training_sheet_id, training_sheet_name, sheet_id, sheet_name, template_id,
    template_name, template_version, model_name, model_version)
  SELECT id, 'tsheet_1', 'old desk', 'sheet_1', 'old invoices', 'tmpl_2', 'old desk', 2, 'desk', uc_model_version
  FROM training_jobs;
INSERT INTO training_job_pairs (job_id, position, split, qa_pair_id, digest, canonical_label_id,
    canonical_label_version)
  SELECT job.id, n - 1, CASE n WHEN 1 THEN 'TRAIN' ELSE 'VALIDATION' END, pair.id, pair.line_digest,
    CASE n WHEN 1 THEN 'label_1' END, CASE n WHEN 1 THEN 1 END
  FROM training_jobs AS job, generate_series(1, 2) n JOIN qa_pairs AS pair ON pair.id = 'qa_' || n;
INSERT INTO training_job_metrics (job_id, train_loss, val_loss, learning_rate, epochs_completed, tokens_processed,
    custom_metrics)
  SELECT id, 0.5, 0.25, 1e-4, 1, 5000000000, '{"device": "cpu"}' FROM training_jobs
  WHERE status IN ('RUNNING', 'SUCCEEDED');
INSERT INTO training_job_metric_points (job_id, key, step, value, recorded_at)
  SELECT id, key, step, CASE WHEN step < 2 THEN 0.5 END, '2026-02-03T11:30:00Z'
  FROM training_jobs, unnest(ARRAY['train_loss', 'val_loss']) key, generate_series(0, 2) step
  WHERE status IN ('RUNNING', 'SUCCEEDED');
