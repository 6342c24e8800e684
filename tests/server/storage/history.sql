-- 20,000 jobs, one a second, number 1 the newest. What is rare is old: whoever walks the dates reads them all.
-- Sheet, template and training sheet 20 have the ten oldest jobs, 21 none. Label 1 and pair 1 were used by every job,
-- label 2 and pair 2 by the oldest alone. Job 50 has 10,000 events, of which the first 3 were asked to cancel.
SET session_replication_role = replica;
INSERT INTO sheets (id, name, source) SELECT 'sheet_' || n, 's' || n, 'EXTERNAL' FROM generate_series(1, 21) n;
INSERT INTO templates (id, name, version, user_prompt)
  SELECT 'tmpl_' || n, 't', n, '{q}' FROM generate_series(1, 21) n;
INSERT INTO training_sheets (id, name, sheet_id, template_id)
  SELECT 'tsheet_' || n, 'ts' || n, 'sheet_' || n, 'tmpl_' || n FROM generate_series(1, 21) n;
INSERT INTO canonical_labels
  (id, sheet_id, item_ref, label_type, label_data, version, allowed_uses, prohibited_uses, created_at)
  SELECT 'label_' || n, 'sheet_' || n % 20 + 1, 'i' || n, 'x', '{}', 1, '{TRAINING}', '{}',
    timestamptz '2026-02-06T10:00:00Z' - n * interval '1 s'
  FROM generate_series(1, 2000) n;
INSERT INTO qa_pairs (id, training_sheet_id, canonical_label_id, messages, status, allowed_uses, prohibited_uses,
    question_digest, line_digest, created_at)
  SELECT 'qa_' || n, 'tsheet_' || n % 20 + 1, CASE WHEN n % 5 = 0 THEN 'label_' || n / 5 END,
    '[{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]',
    CASE WHEN n > 9980 THEN 'FLAGGED' ELSE 'LABELED' END, '{TRAINING}', '{}', '', '',
    timestamptz '2026-02-06T10:00:00Z' - n * interval '1 s'
  FROM generate_series(1, 10000) n;
INSERT INTO training_jobs (id, training_sheet_id, model_name, base_model, trainer, status, training_config,
    train_val_split, split_seed, progress_percent, total_pairs, train_pairs, val_pairs, excluded_not_labeled,
    excluded_use_prohibited, excluded_use_not_allowed, excluded_malformed, trainer_job_id, register_to_uc, created_by,
    created_at, completed_at)
  SELECT 'job_' || n, 'tsheet_' || CASE WHEN n > 19990 THEN 20 ELSE n % 19 + 1 END,
    CASE WHEN n % 2 = 0 THEN 'common' WHEN n > 19980 THEN 'rare' ELSE 'm' || n % 500 END, 'b',
    CASE WHEN n > 19985 THEN 'FMAPI' ELSE 'LOCAL' END, status, '{}', 0.8, 0, 100, 2, 1, 1, 3, 0, 2, 0, 'run', false,
    CASE WHEN n > 19980 THEN 'rare' ELSE 'p' || n % 50 END, timestamptz '2026-02-06T10:00:00Z' - n * interval '1 s',
    CASE WHEN status IN ('RUNNING', 'QUEUED') THEN NULL ELSE now() END
  FROM (SELECT n, CASE WHEN n > 19985 THEN 'FAILED' WHEN n % 5000 = 7 THEN 'RUNNING' WHEN n = 9 THEN 'QUEUED'
    ELSE 'SUCCEEDED' END AS status FROM generate_series(1, 20000) n) AS numbered;
INSERT INTO training_job_claims (job_id, lane, due_at) SELECT id, trainer, created_at FROM training_jobs
  WHERE completed_at IS NULL;
INSERT INTO training_job_lineage (job_id, training_sheet_id, training_sheet_name, sheet_id, sheet_name, template_id,
    template_name, template_version, model_name, model_version, created_at)
  SELECT id, training_sheet_id, '', 'sheet_' || substr(training_sheet_id, 8), '',
    'tmpl_' || substr(training_sheet_id, 8), '', 1, model_name, CASE WHEN id = 'job_20000' THEN '2' ELSE '1' END,
    created_at
  FROM training_jobs;
INSERT INTO training_job_pairs (job_id, position, split, qa_pair_id, digest, created_at)
  SELECT job.id, place, CASE WHEN place < 160 THEN 'TRAIN' ELSE 'VALIDATION' END, 'qa_' || (n * 50 + place) % 9000 + 3,
    '', job.created_at
  FROM generate_series(1, 100) n JOIN training_jobs AS job ON job.id = 'job_' || n * 200, generate_series(0, 199) place;
INSERT INTO training_job_pairs (job_id, position, split, qa_pair_id, digest, created_at)
  SELECT id, 200, 'VALIDATION', 'qa_1', '', created_at FROM training_jobs
  UNION ALL SELECT id, 201, 'VALIDATION', 'qa_2', '', created_at FROM training_jobs WHERE id = 'job_20000';
INSERT INTO training_job_labels (canonical_label_id, created_at, job_id)
  SELECT 'label_1', created_at, id FROM training_jobs
  UNION ALL SELECT 'label_2', created_at, id FROM training_jobs WHERE id = 'job_20000'
  UNION ALL SELECT 'label_' || n, created_at, id
    FROM generate_series(3, 2000) n, unnest(ARRAY[n, 9 * n, 10 * n]) used JOIN training_jobs ON id = 'job_' || used;
INSERT INTO training_job_events (id, job_id, sequence, event_type, message, created_at)
  SELECT 'evt_' || n || '_' || place, 'job_' || n * 100, place,
    CASE WHEN place % 40 = 1 THEN 'ERROR' ELSE 'PROGRESS_UPDATE' END, '', timestamptz '2026-02-06T10:00:00Z'
  FROM generate_series(1, 200) n, generate_series(1, 100) place
  UNION ALL SELECT 'evt_first_' || id, id, 1, 'CREATED', '', created_at FROM training_jobs
    WHERE id <> 'job_50' AND id NOT LIKE '%00'
  UNION ALL SELECT 'evt_many_' || place, 'job_50', place,
    CASE WHEN place <= 3 THEN 'CANCEL_REQUESTED' ELSE 'PROGRESS_UPDATE' END, '', now()
  FROM generate_series(1, 10000) place;
INSERT INTO training_job_metric_points (job_id, key, step, value, recorded_at)
  SELECT 'job_' || n * 100, key, step, 0.5, now()
  FROM generate_series(1, 100) n, unnest(ARRAY['train_loss', 'val_loss']) key, generate_series(1, 100) step;
