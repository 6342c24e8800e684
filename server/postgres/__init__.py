"""Where the database comes from: a server of one's own, or an embedded Postgres that this process owns or joins."""

from server.postgres.errors import PostgresError
from server.postgres.ownership import database

__all__ = ["PostgresError", "database"]
