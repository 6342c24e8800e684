"""`migrate`: brings the database to the tables of this version."""

import argparse
import sys

from server import logs
from server.commands import database, running
from server.settings import Settings


def run(settings: Settings, _options: argparse.Namespace) -> int:
    """Migrate."""
    logs.configure(settings)
    return running.run(_migrate(settings))


async def _migrate(settings: Settings) -> int:
    async with database.migrated(settings):
        sys.stdout.write("The database has the tables of this version.\n")
    return 0
