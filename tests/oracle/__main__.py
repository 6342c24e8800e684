"""`python -m tests.oracle --database URL --port N` serves the oracle on loopback."""

import argparse

import uvicorn

from tests.oracle.app import create


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tests.oracle", description=__doc__)
    parser.add_argument("--database", required=True, help="the address of a migrated Postgres database")
    parser.add_argument("--port", type=int, required=True, help="where to listen on 127.0.0.1")
    asked = parser.parse_args()
    uvicorn.run(
        create(asked.database),
        host="127.0.0.1",
        port=asked.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
