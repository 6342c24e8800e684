"""Lakebase's short-lived passwords, and statements that need no table."""

import sqlite3
from contextlib import closing
from typing import Any

from tests.emulator.clock import iso
from tests.emulator.errors import text
from tests.emulator.routing import Answer, Call, Routes

LIFETIME = 3600


def _password(call: Call, expires: str) -> Answer:
    return {"token": f"eo-{call.world.ids.hexadecimal(40)}", expires: iso(call.world.clock.now() + LIFETIME)}


def _provisioned(call: Call) -> Answer:
    return _password(call, "expiration_time")


def _autoscaling(call: Call) -> Answer:
    text(call.json(), "endpoint")
    return _password(call, "expire_time")


def _instance(call: Call) -> Answer:
    name = call.parts["name"]
    return {
        "name": name,
        "state": "AVAILABLE",
        "read_write_dns": f"{name}.database.example.com",
        "pg_version": "PG_VERSION_17",
    }


def _statement(call: Call) -> Answer:
    """Run it on an empty database."""
    statement = text(call.json(), "statement")
    answer: dict[str, Any] = {"statement_id": call.world.ids.hexadecimal()}
    with closing(sqlite3.connect(":memory:")) as database:
        try:
            cursor = database.execute(statement)
        except sqlite3.Error as error:
            return answer | {
                "status": {"state": "FAILED", "error": {"error_code": "BAD_REQUEST", "message": str(error)}}
            }
        rows = [[None if value is None else str(value) for value in row] for row in cursor]
        columns = [{"name": column[0], "position": at} for at, column in enumerate(cursor.description or ())]
    schema = {"column_count": len(columns), "columns": columns}
    manifest = {"format": "JSON_ARRAY", "schema": schema, "total_row_count": len(rows)}
    result = {"chunk_index": 0, "row_count": len(rows), "row_offset": 0, "data_array": rows}
    return answer | {"status": {"state": "SUCCEEDED"}, "manifest": manifest, "result": result}


ROUTES: Routes = (
    ("POST", "/api/2.0/database/credentials", _provisioned),
    ("GET", "/api/2.0/database/instances/{name}", _instance),
    ("POST", "/api/2.0/postgres/credentials", _autoscaling),
    ("POST", "/api/2.0/sql/statements", _statement),
)
