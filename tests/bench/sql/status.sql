select convert_to(row_to_json(answer)::text, 'UTF8') from (
  select (select row_to_json(root) from (
    select (select row_to_json(job) from (
      select j.id, j.status, j.progress_percent as "progressPercent" from training_jobs j where j.id = $1
    ) job) as "trainingJob"
  ) root) as data
) answer
