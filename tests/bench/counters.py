"""What Postgres has written so far, counted by itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import asyncpg

ROWS: Final = "SELECT relname, n_tup_ins + n_tup_upd + n_tup_del AS rows FROM pg_stat_user_tables"
WAL: Final = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint"
TABLES_OF_JOBS: Final = "training_job"  # how their names begin


@dataclass(frozen=True, slots=True)
class Written:
    """Rows inserted, updated or deleted, by table, and bytes of WAL. A session tells of them up to a second late."""

    rows: Mapping[str, int]
    wal_bytes: int

    def since(self, before: "Written") -> "Written":
        """What has come since then."""
        changed = {name: rows - before.rows.get(name, 0) for name, rows in self.rows.items()}
        return Written({name: rows for name, rows in changed.items() if rows}, self.wal_bytes - before.wal_bytes)

    @property
    def total_rows(self) -> int:
        return sum(self.rows.values())

    @property
    def rows_of_jobs(self) -> int:
        """Those in tables that say something about a job."""
        return sum(rows for name, rows in self.rows.items() if name.startswith(TABLES_OF_JOBS))


async def written(url: str) -> Written:
    """All that was written into the database at `url`; the bytes are those of its whole server."""
    connection = await asyncpg.connect(url)
    try:
        rows = {row["relname"]: row["rows"] for row in await connection.fetch(ROWS)}
        return Written(rows, await connection.fetchval(WAL))
    finally:
        await connection.close()
