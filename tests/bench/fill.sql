-- $JOBS jobs, one a second, number 1 the newest; the newest are the same however many there are.
-- Each has a lineage and its latest metrics. The newest 10,000 have 20 events each, the newest 1,000 frozen pairs and
-- series as well. The oldest 15 have values that no other job has.
SET session_replication_role = replica;
SET synchronous_commit = off;
INSERT INTO sheets (id, name, source, source_location)
  SELECT 'sheet_' || n, 'Invoices of region ' || n, 'UC_TABLE', 'main.finance.invoices_' || n
  FROM generate_series(1, 20) n;
INSERT INTO templates (id, name, version, system_prompt, user_prompt)
  SELECT 'tmpl_' || n, 'Invoice desk', n, 'You answer questions about invoices.', '{question}'
  FROM generate_series(1, 20) n;
INSERT INTO training_sheets (id, name, sheet_id, template_id)
  SELECT 'tsheet_' || n, 'Invoice desk of region ' || n, 'sheet_' || n, 'tmpl_' || n FROM generate_series(1, 20) n;
INSERT INTO qa_pairs (id, training_sheet_id, item_ref, messages, status, allowed_uses, prohibited_uses,
    question_digest, line_digest, created_at)
  SELECT 'qa_' || md5(n::text), 'tsheet_' || n % 20 + 1, 'invoice ' || n, '[]', 'LABELED', '{TRAINING}', '{}', md5('q' || n),
    md5('l' || n), timestamptz '$NEWEST' - n * interval '1 s'
  FROM generate_series(1, 2000) n;
CREATE UNLOGGED TABLE numbered AS
  SELECT n, 'job_' || lpad(to_hex(1770372000000 - n * 1000), 12, '0') || '70008' || lpad(to_hex(n), 15, '0') AS id,
    n > $JOBS - 15 AS rare, timestamptz '$NEWEST' - n * interval '1 s' AS created_at,
    CASE WHEN n > $JOBS - 15 THEN 'CANCELLED' WHEN n % 5000 = 7 THEN 'RUNNING' WHEN n % 20 = 4 THEN 'FAILED'
      ELSE 'SUCCEEDED' END AS status
  FROM generate_series($JOBS, 1, -1) n;
INSERT INTO training_jobs (id, training_sheet_id, model_name, base_model, trainer, status, training_config,
    train_val_split, split_seed, progress_percent, current_epoch, total_epochs, total_pairs, train_pairs, val_pairs,
    excluded_not_labeled, excluded_use_prohibited, excluded_use_not_allowed, excluded_malformed, trainer_job_id,
    mlflow_run_id, register_to_uc, dataset_digest, error_code, error_message, created_by, created_at, started_at,
    completed_at, updated_at, last_sequence)
  SELECT id, 'tsheet_' || n % 20 + 1, CASE WHEN rare THEN 'rare-model' ELSE 'invoice-desk-' || n % 500 END,
    'local/retriever-small', CASE WHEN rare THEN 'FMAPI' ELSE 'LOCAL' END, status,
    '{"epochs": 3, "batch_size": 16, "learning_rate": 1e-05}', 0.8, n, CASE status WHEN 'SUCCEEDED' THEN 100 ELSE 40 END,
    2, 3, 20, 16, 4, n % 7, 0, n % 3, 0, 'run-' || n, md5('run' || n), false, md5('a' || n) || md5('b' || n),
    CASE status WHEN 'FAILED' THEN 'TRAINER_FAILED' END, CASE status WHEN 'FAILED' THEN 'The loss is not finite.' END,
    CASE WHEN rare THEN 'rare@example.com' ELSE 'expert-' || n % 50 || '@example.com' END, created_at,
    created_at + interval '2 s', CASE WHEN status <> 'RUNNING' THEN created_at + interval '93.5 s' END,
    created_at + interval '93.5 s', CASE WHEN n <= 10000 THEN 20 ELSE 0 END
  FROM numbered;
INSERT INTO training_job_lineage (job_id, training_sheet_id, training_sheet_name, sheet_id, sheet_name, template_id,
    template_name, template_version, model_name, model_version, created_at)
  SELECT id, 'tsheet_' || n % 20 + 1, 'Invoice desk of region ' || n % 20 + 1, 'sheet_' || n % 20 + 1,
    'Invoices of region ' || n % 20 + 1, 'tmpl_' || n % 20 + 1, 'Invoice desk', n % 20 + 1,
    CASE WHEN rare THEN 'rare-model' ELSE 'invoice-desk-' || n % 500 END, CASE WHEN n % 3 = 0 THEN '1' END,
    created_at
  FROM numbered;
INSERT INTO training_job_metrics (job_id, train_loss, val_loss, train_accuracy, val_accuracy, learning_rate,
    epochs_completed, training_duration_seconds, tokens_processed, custom_metrics, recorded_at)
  SELECT id, 0.25 + n % 10 / 100.0, 0.5 + n % 7 / 100.0, 0.96875, 0.875, 1e-05, 3, 91.5, 1000000 + n, '{"recall_at_5": 0.9375}',
    created_at + interval '93 s'
  FROM numbered;
INSERT INTO training_job_events (id, job_id, sequence, event_type, old_status, new_status, message, event_data, actor,
    created_at)
  SELECT 'evt_' || md5(n || ' ' || place), id, place,
    CASE WHEN place = 1 THEN 'CREATED' WHEN place IN (2, 3, 20) THEN 'STATUS_CHANGE' WHEN place % 2 = 0
      THEN 'METRIC_UPDATE' ELSE 'PROGRESS_UPDATE' END,
    CASE place WHEN 2 THEN 'PENDING' WHEN 3 THEN 'QUEUED' WHEN 20 THEN 'RUNNING' END,
    CASE place WHEN 2 THEN 'QUEUED' WHEN 3 THEN 'RUNNING' WHEN 20 THEN 'SUCCEEDED' END,
    'Epoch ' || place / 6 || ' of 3: train loss 0.2' || place || ', validation loss 0.5' || place,
    json_build_object('epoch', place / 6, 'percent', place * 5), CASE place WHEN 1 THEN 'expert@example.com' END,
    created_at + place * interval '4.5 s'
  FROM numbered, generate_series(1, 20) place WHERE n <= 10000;
INSERT INTO training_job_pairs (job_id, position, split, qa_pair_id, digest, created_at)
  SELECT id, place, CASE WHEN place < 16 THEN 'TRAIN' ELSE 'VALIDATION' END, 'qa_' || md5(((n * 20 + place) % 2000 + 1)::text),
    md5('t' || place) || md5('u' || n), created_at
  FROM numbered, generate_series(0, 19) place WHERE n <= 1000;
INSERT INTO training_job_metric_points (job_id, key, step, value, recorded_at)
  SELECT id, key, step, 1.0 / step, created_at + step * interval '9 s'
  FROM numbered, unnest(ARRAY['train_loss', 'val_accuracy', 'val_loss']) key, generate_series(1, 10) step WHERE n <= 1000;
DROP TABLE numbered;
