"""The database that operations are drawn for: the same rows, ids and moments each time."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import asyncpg

from server.storage import tables
from tests.differential import curated, trained
from tests.schema.rows import Row


def rows() -> Mapping[str, Sequence[Row]]:
    """All rows by table, parents first. Columns that hold JSON have it as text, so that its spelling is ours."""
    jobs = trained.jobs()
    return {
        tables.sheets.name: curated.sheets(),
        tables.templates.name: curated.templates(),
        tables.canonical_labels.name: curated.labels(),
        tables.training_sheets.name: curated.training_sheets(),
        tables.qa_pairs.name: curated.pairs(),
        tables.training_jobs.name: jobs,
        tables.training_job_lineage.name: trained.lineages(jobs),
        tables.training_job_pairs.name: trained.frozen(jobs),
        tables.training_job_metrics.name: trained.metrics(jobs),
        tables.training_job_metric_points.name: trained.points(jobs),
        tables.training_job_events.name: trained.events(jobs),
    }


async def fill(url: str) -> None:
    """Write the rows into an empty, migrated database."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            for table, all_rows in rows().items():
                for columns, alike in _by_columns(all_rows).items():
                    await connection.copy_records_to_table(
                        table, columns=columns, records=[tuple(row[name] for name in columns) for row in alike]
                    )
        await connection.execute("ANALYZE")
    finally:
        await connection.close()


def _by_columns(all_rows: Sequence[Row]) -> Mapping[tuple[str, ...], Sequence[Row]]:
    """Rows in groups that give the same columns; the others keep what the table gives them."""
    groups: defaultdict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in all_rows:
        groups[tuple(sorted(row))].append(row)
    return groups
