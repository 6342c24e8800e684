"""What a statement looks at: rows are counted, not seconds."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import asyncpg

EXECUTIONS = 10  # after five, Postgres may settle on a plan for all values


async def scans(
    connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record] | asyncpg.Connection[asyncpg.Record]",
    statement: str,
    values: Sequence[object],
) -> list[dict[str, Any]]:
    """The scans of the plan that Postgres has for a statement after ten executions, which are rolled back."""
    call = "EXECUTE explained" + (f"({', '.join(map(literal, values))})" if values else "")
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(f"PREPARE explained AS {statement}")
    for _ in range(EXECUTIONS):
        await connection.execute("SAVEPOINT before")
        await connection.execute(call)
        await connection.execute("ROLLBACK TO SAVEPOINT before")
    [found] = json.loads(await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {call}"))
    await connection.execute("DEALLOCATE explained")
    await transaction.rollback()
    return list(_scans(found["Plan"]))


def _scans(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if plan["Node Type"].endswith("Scan") and ("Relation Name" in plan or "Index Name" in plan):
        yield plan
    for below in plan.get("Plans", ()):
        yield from _scans(below)


def looked_at(scan: dict[str, Any]) -> float:
    """Rows that a scan produced or threw away, over all its executions."""
    thrown_away = scan.get("Rows Removed by Filter", 0) + scan.get("Rows Removed by Index Recheck", 0)
    return float((scan["Actual Rows"] + thrown_away) * scan["Actual Loops"])


def literal(value: object) -> str:
    """A value in SQL, as EXECUTE takes it."""
    match value:
        case str():
            return "'" + value.replace("'", "''") + "'"
        case int():
            return str(value)
        case datetime():
            return f"'{value.isoformat()}'"
        case timedelta():
            return f"'{value.total_seconds()} s'"
        case [int(), *_]:
            return f"ARRAY[{', '.join(map(literal, value))}]::integer[]"
        case list():
            return f"ARRAY[{', '.join(map(literal, value))}]::text[]"
    raise TypeError(f"{value!r} is no argument of these statements")
