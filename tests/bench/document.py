"""The page that `--write` leaves behind."""

import os
import platform
from datetime import datetime

from tests.bench import postgraphile, strawchemy
from tests.bench.report import markdown
from tests.bench.results import Results, lines_table
from tests.bench.tables import of_all

INTRODUCTION = """\
# What reads cost

`{command}` wrote this page on {date}: {machine}.

## How to read it

- All servers are measured in one run, by turns, round after round, and medians are taken. So **trust the ratios**: what
  else the machine does meets all of them. Absolute figures are of this machine and this day. Less than 15 % is noise.
- Server CPU is the user and system time of the server's process per request. Postgres is not in it; its own time stands
  beside it. Each server runs on one core, and those who ask (8 connections, kept alive) on the other{s}.
- The **hand-written endpoint** is what an expert would write who wants nothing but speed: one Starlette route, one
  prepared statement in which Postgres assembles the JSON, asyncpg, uvloop and httptools. It checks nothing, knows no
  GraphQL and logs nothing. All ratios of reads are to it.
- **Tunegraph** is the program as `serve` starts it, with all that stands in front of a read, but without the poller.
  The same with a line in the log for each request (`TUNEGRAPH_LOG_REQUESTS=true`) stands beside it.
- **Tuned resolvers** are the oracle of the tests: the same schema under graphql-core, with plain resolvers that read
  in batches.
- **PostGraphile 5** ({postgraphile}) makes a schema of the tables by itself. It is asked for the same data in its own
  names; what it has no field for (such as `isTerminal`) is left out.
- **strawchemy** ({strawchemy}) makes Strawberry types of SQLAlchemy models, and one statement of each root field, whose
  rows Strawberry resolves. It is asked likewise. It joins the lists of a job into one result: their lengths multiply.
- Before anything is measured, all but these two must give the same answers about {jobs} jobs. While it is measured,
  every answer must equal the first one to the same request.

"""
END = """

The rows are written for the purpose (`tests/bench/fill.sql`): every job has a lineage and its latest metrics, the
newest 10,000 have 20 events each, and the newest 1,000 have frozen pairs and metric series. All of it is in memory.
`totalCount` is in none of the questions: it counts exactly, and costs what there is to count.
"""


def written(results: Results, *, command: str, machine: str, jobs: int, moment: datetime) -> str:
    """The whole page."""
    introduction = INTRODUCTION.format(
        command=command,
        date=moment.strftime("%Y-%m-%d"),
        machine=machine,
        jobs=jobs,
        s=_plural(),
        postgraphile=postgraphile.version(),
        strawchemy=strawchemy.version(),
    )
    parts = [markdown(lines_table(results)).replace("###", "##", 1), "## What was measured"]
    return introduction + "\n\n".join([*parts, *map(markdown, of_all(results))]) + END


def machine(postgres: str) -> str:
    """The machine in one line, without its name."""
    cores = os.cpu_count() or 1
    python = platform.python_version()
    return f"{cores} cores ({platform.machine()}), {platform.system()}, Python {python}, Postgres {postgres}"


def _plural() -> str:
    return "s" if (os.cpu_count() or 1) > 2 else ""
