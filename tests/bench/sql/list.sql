select convert_to(row_to_json(answer)::text, 'UTF8') from (
  select (select row_to_json(root) from (
    select (select row_to_json(page) from (
      select coalesce(json_agg(job), '[]') as nodes from (
        select
          j.id,
          j.model_name as "modelName",
          j.base_model as "baseModel",
          j.trainer,
          j.status,
          j.progress_percent as "progressPercent",
          j.current_epoch as "currentEpoch",
          j.total_epochs as "totalEpochs",
          j.total_pairs as "totalPairs",
          j.train_pairs as "trainPairs",
          j.val_pairs as "valPairs",
          j.created_by as "createdBy",
          to_char(j.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as "createdAt",
          to_char(j.started_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as "startedAt",
          to_char(j.completed_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as "completedAt",
          to_char(j.updated_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as "updatedAt",
          (select row_to_json(lineage) from (
            select
              l.training_sheet_id as "trainingSheetId",
              l.training_sheet_name as "trainingSheetName",
              l.sheet_id as "sheetId",
              l.sheet_name as "sheetName",
              l.template_id as "templateId",
              l.template_name as "templateName",
              l.template_version as "templateVersion",
              l.model_name as "modelName",
              l.model_version as "modelVersion"
            from training_job_lineage l where l.job_id = j.id
          ) lineage) as lineage,
          (select row_to_json(metrics) from (
            select
              m.train_loss as "trainLoss",
              m.val_loss as "valLoss",
              m.train_accuracy as "trainAccuracy",
              m.val_accuracy as "valAccuracy",
              m.learning_rate as "learningRate",
              m.epochs_completed as "epochsCompleted",
              m.training_duration_seconds as "trainingDurationSeconds",
              m.tokens_processed as "tokensProcessed",
              to_char(m.recorded_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as "recordedAt"
            from training_job_metrics m where m.job_id = j.id
          ) metrics) as metrics,
          (select row_to_json(events) from (
            select coalesce(json_agg(event order by event.sequence), '[]') as nodes from (
              select
                e.id,
                e.sequence,
                e.event_type as "eventType",
                e.new_status as "newStatus",
                e.message,
                to_char(e.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as "createdAt"
              from training_job_events e where e.job_id = j.id order by e.sequence desc limit 10
            ) event
          ) events) as events
        from training_jobs j order by j.created_at desc, j.id desc limit 20
      ) job
    ) page) as "trainingJobs"
  ) root) as data
) answer
