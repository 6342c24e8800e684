select convert_to(row_to_json(answer)::text, 'UTF8') from (
  select (select row_to_json(root) from (
    select (select row_to_json(job) from (
      select
        j.id,
        j.model_name as "modelName",
        j.base_model as "baseModel",
        j.trainer,
        j.status,
        j.status in ('SUCCEEDED', 'FAILED', 'CANCELLED') as "isTerminal",
        case when j.status in ('PENDING', 'QUEUED', 'RUNNING') and j.cancel_requested_at is null
          then array['CANCEL'] else array[]::text[] end as "availableActions",
        j.training_config as "trainingConfig",
        j.train_val_split as "trainValSplit",
        j.split_seed as "splitSeed",
        j.progress_percent as "progressPercent",
        j.current_epoch as "currentEpoch",
        j.total_epochs as "totalEpochs",
        j.total_pairs as "totalPairs",
        j.train_pairs as "trainPairs",
        j.val_pairs as "valPairs",
        j.trainer_job_id as "trainerJobId",
        j.mlflow_run_id as "mlflowRunId",
        j.register_to_uc as "registerToUc",
        j.uc_model_name as "ucModelName",
        j.uc_model_version as "ucModelVersion",
        j.dataset_digest as "datasetDigest",
        j.error_code as "errorCode",
        j.error_message as "errorMessage",
        j.created_by as "createdBy",
        to_char(j.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as "createdAt",
        to_char(j.started_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as "startedAt",
        to_char(j.completed_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as "completedAt",
        to_char(j.updated_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as "updatedAt",
        extract(epoch from coalesce(j.completed_at, j.updated_at) - j.started_at)::float8 as "durationSeconds",
        (select coalesce(json_agg(refused), '[]') from (
          select r.verdict, r.count
          from (values
            ('NOT_LABELED', j.excluded_not_labeled, 1),
            ('USE_PROHIBITED', j.excluded_use_prohibited, 2),
            ('USE_NOT_ALLOWED', j.excluded_use_not_allowed, 3),
            ('MALFORMED', j.excluded_malformed, 4)
          ) r(verdict, count, place)
          where r.count > 0 order by r.place
        ) refused) as excluded,
        (select row_to_json(training_sheet) from (
          select
            t.id,
            t.name,
            to_char(t.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as "createdAt",
            (select row_to_json(sheet) from (
              select s.id, s.name, s.source, s.source_location as "sourceLocation" from sheets s where s.id = t.sheet_id
            ) sheet) as sheet,
            (select row_to_json(template) from (
              select
                p.id, p.name, p.version, p.system_prompt as "systemPrompt", p.user_prompt as "userPrompt"
              from templates p where p.id = t.template_id
            ) template) as template
          from training_sheets t where t.id = j.training_sheet_id
        ) training_sheet) as "trainingSheet",
        (select row_to_json(lineage) from (
          select
            l.training_sheet_name as "trainingSheetName",
            l.sheet_name as "sheetName",
            l.template_name as "templateName",
            l.template_version as "templateVersion",
            l.model_name as "modelName",
            l.model_version as "modelVersion",
            (select row_to_json(page) from (
              select
                coalesce(json_agg(pair.item order by pair.position) filter (where pair.place <= 20), '[]') as nodes,
                json_build_object('hasNextPage', count(*) > 20) as "pageInfo"
              from (
                select
                  f.position,
                  row_number() over (order by f.position) as place,
                  (select row_to_json(item) from (
                    select
                      f.position,
                      f.split,
                      f.digest,
                      (select row_to_json(qa_pair) from (
                        select q.id, q.status, q.item_ref as "itemRef" from qa_pairs q where q.id = f.qa_pair_id
                      ) qa_pair) as "qaPair"
                  ) item) as item
                from training_job_pairs f where f.job_id = l.job_id order by f.position limit 21
              ) pair
            ) page) as pairs
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
            m.cost_dbu as "costDbu",
            m.custom_metrics as "customMetrics",
            to_char(m.recorded_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as "recordedAt"
          from training_job_metrics m where m.job_id = j.id
        ) metrics) as metrics,
        (select coalesce(json_agg(series order by series.key), '[]') from (
          select
            kept.key,
            array_agg(kept.step order by kept.step) as steps,
            array_agg(kept.value order by kept.step) as values,
            array_agg(to_char(kept.recorded_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') order by kept.step)
              as timestamps
          from (
            select
              cut.*,
              row_number() over (partition by cut.key, cut.stretch order by cut.value nulls last, cut.step) as low,
              row_number() over (partition by cut.key, cut.stretch order by cut.value desc nulls last, cut.step) as high
            from (
              select numbered.*, (numbered.place - 1) * 249 / numbered.total as stretch from (
                select
                  p.*,
                  row_number() over (partition by p.key order by p.step) as place,
                  count(*) over (partition by p.key) as total
                from training_job_metric_points p where p.job_id = j.id
              ) numbered
            ) cut
          ) kept
          where kept.total <= 500 or kept.place = 1 or kept.place = kept.total or kept.low = 1 or kept.high = 1
          group by kept.key
        ) series) as "metricHistory",
        (select row_to_json(page) from (
          select
            coalesce(json_agg(event.item order by event.sequence) filter (where event.place <= 20), '[]') as nodes,
            json_build_object('hasPreviousPage', count(*) > 20) as "pageInfo"
          from (
            select
              e.sequence,
              row_number() over (order by e.sequence desc) as place,
              (select row_to_json(item) from (
                select
                  e.id,
                  e.sequence,
                  e.event_type as "eventType",
                  e.old_status as "oldStatus",
                  e.new_status as "newStatus",
                  e.message,
                  e.event_data as "eventData",
                  e.actor,
                  to_char(e.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as "createdAt"
              ) item) as item
            from training_job_events e where e.job_id = j.id order by e.sequence desc limit 21
          ) event
        ) page) as events
      from training_jobs j where j.id = $1
    ) job) as "trainingJob"
  ) root) as data
) answer
