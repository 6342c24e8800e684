"""The real program, `serve`, with everything in front of its reads but without the poller, over a filled database.

The poller would take the jobs for its own, and go on with them. Before it ends it says on its last line which of the
heavy libraries it has imported.
"""

import argparse
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from unittest import mock

from server.commands import serve
from server.reconciler import poller
from server.settings import Settings

HEAVY = ("mlflow", "databricks.sdk", "sklearn")


@asynccontextmanager
async def _no_poller(*_: object) -> AsyncIterator[None]:
    yield


def main() -> int:
    """Serve until SIGINT or SIGTERM; settings come from the environment, as always."""
    with mock.patch.object(poller, "running", _no_poller):
        status = serve.run(Settings(), argparse.Namespace())
    sys.stdout.write(f"heavy: {' '.join(name for name in HEAVY if name in sys.modules)}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
