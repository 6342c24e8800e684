"""Why there is no embedded Postgres."""


class PostgresError(Exception):
    """The embedded Postgres can't be found, made, started, joined or stopped; the message says what to do about it."""
