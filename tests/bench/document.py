"""The page that `--write` leaves behind."""

import os
import platform
from datetime import datetime

from tests.bench import postgraphile, strawchemy
from tests.bench.report import markdown
from tests.bench.results import Results, lines_table
from tests.bench.tables import of_all

INTRODUCTION = """\
# What reading, watching, waiting and asking cost

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
- **Watching**: the bare broadcast is one Starlette WebSocket endpoint under the same uvicorn. It hears of the same
  commits, and sends a ready-made frame of the same size to one socket after another; it reads, checks, queues and
  resumes nothing. Both are measured by turns, each over a database of its own, and each subscriber compares every
  message with what the others were sent. CPU is that of the server's process for a message that was delivered; memory
  is what it has to itself after the rounds, less what it had before the subscribers came; latency is from when the
  commit is known to the last delivery. Others ask at a steady rate from another process; a request that has to wait
  makes those behind it late as well.
- **Waiting** is measured at the program as `serve` starts it. Postgres counts what is written. For the jobs in line,
  the only slot is held by a training that was stopped (SIGSTOP). For those of FMAPI, an emulated workspace in a process
  of its own says what it was asked, and when it listed which run; most of its jobs are copies of rows that the program
  wrote.
- **Asking**: a tiny query is asked every 5 ms from another process, and the longest that one took is how long others
  were held up. A hostile request that is not answered in 30 s is given up. Memory is the most that the process was seen
  to hold (RSS).

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
