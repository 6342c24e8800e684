"""What it costs to watch over very many jobs of FMAPI, and whether those that end are told to have ended.

First a few jobs that all make progress, then very many that stand still, then some of them end. The emulated workspace
says what it was asked, and when it listed which run.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Final

from server.commands.demo.client import Client
from server.domain import ids
from tests.bench import copies, counters, cpu, data, endings, probe, workspace
from tests.bench.copies import Run
from tests.bench.postgres import Postgres
from tests.bench.servers import TUNEGRAPH, Server, serving
from tests.bench.workspace import BASE_MODEL, Listing, Workspace
from tests.e2e.jobs import CREATE_JOB, changed, make_training_sheet
from tests.waiting import until

FEW: Final = 1_000
MANY: Final = 10_000
ENDING: Final = 1_000
FAILING: Final = 100  # of those that end
INTERVAL_SECONDS: Final = 30.0
WINDOW_SECONDS: Final = 32.0
ENDING_SECONDS: Final = 30.0
SETTLE_SECONDS: Final = 2.0  # until what was observed last is written, and counted
OBSERVED_TIMEOUT_SECONDS: Final = 120.0
ENDED_TIMEOUT_SECONDS: Final = 120.0
BETWEEN_COUNTS_SECONDS: Final = 2.0
RATES: Final = {"list": 20.0}
IDLE_SECONDS: Final = 10.0
SUBMITTED: Final = "query($id: ID!) { trainingJob(id: $id) { status trainerJobId } }"
OUT_OF_MEMORY: Final = "CUDA out of memory."


@dataclass(frozen=True, slots=True)
class Standing:
    """Very many jobs that stand still, over a while.

    `gap` is the longest time in seconds for which a run was not listed; `list_calls` is how many pages a pass over all
    took, `calls` how many requests Databricks was sent in a second; `rows` were written in all, `rows_of_jobs` in the
    tables of jobs; `busy` and `idle` are the list's 95th percentile in seconds, with the poller and without it.
    """

    jobs: int
    gap: float
    list_calls: float
    calls: float
    rows: int
    rows_of_jobs: int
    cpu: float
    busy: float
    idle: float


@dataclass(frozen=True, slots=True)
class Ending:
    """Of `jobs` that ended, so many ended `right`; `late` seconds after the last of their runs, all had ended."""

    jobs: int
    right: int
    late: float


@dataclass(frozen=True, slots=True)
class Active:
    """`calls` is how many requests a second Databricks was sent for `few` jobs that make progress."""

    few: int
    calls: float
    standing: Standing
    ending: Ending


async def run(postgres: Postgres, folder: Path) -> Active:
    """All parts, on one server process. Raises TimeoutError when jobs are not observed at all."""
    url = await data.make_empty(postgres.url, "bench_active")
    with cpu.pinned(cpu.load_cores()):
        async with (
            workspace.emulated(folder / "emulator.log") as emulated,
            serving(workspace.training_there(emulated.url), url, folder) as server,
        ):
            pattern = await _submitted(server)
            few = [pattern[1], *await _add(url, emulated, pattern, FEW - 1)]
            calls = await _calls_for_progress(emulated, few)
            names = [*few, *await _add(url, emulated, pattern, MANY - FEW)]
            standing = await _stand_still(server, url, emulated, names)
            ending = await _end(url, emulated, names[:ENDING])
        async with serving(TUNEGRAPH, url, folder) as idle:
            return Active(FEW, calls, await _with_idle(idle, standing), ending)


async def _submitted(server: Server) -> tuple[str, str]:
    """A job that was created and submitted as usual: its id, and its run."""
    async with Client.open(f"127.0.0.1:{server.port}") as client:
        sheet = await make_training_sheet(client)
        given = {"trainingSheetId": sheet, "modelName": "office", "baseModel": BASE_MODEL, "trainer": "FMAPI"}
        job_id = str((await changed(client, CREATE_JOB, input={**given, "trainingConfig": {"epochs": 1}}))["id"])

        async def run_of_job() -> str | None:
            job = (await client.ask(SUBMITTED, id=job_id))["trainingJob"]
            return str(job["trainerJobId"]) if job["status"] == "QUEUED" else None

        await until(run_of_job)
        return job_id, str(await run_of_job())


async def _add(url: str, emulated: Workspace, pattern: tuple[str, str], count: int) -> list[str]:
    """More runs like that of the pattern, each with its job; their names, once each run was listed."""
    job_id, name = pattern
    made = await emulated.make(name, count)
    began = await emulated.now()
    await copies.copy(url, job_id, [Run(ids.new(ids.Kind.JOB), run, mlflow_run) for run, mlflow_run in made])
    names = [run for run, _ in made]

    async def all_listed() -> bool:
        return listed_since(await emulated.listings(), names, began)

    await until(all_listed, OBSERVED_TIMEOUT_SECONDS, every=BETWEEN_COUNTS_SECONDS)
    await asyncio.sleep(SETTLE_SECONDS)
    return names


def listed_since(listings: dict[str, Listing], names: Sequence[str], began: float) -> bool:
    """Whether each of these runs was listed since then."""
    return all(listings[name].listed and listings[name].listed[-1] >= began for name in names)


async def _calls_for_progress(emulated: Workspace, names: Sequence[str]) -> float:
    """Requests a second while every job makes a step."""
    await emulated.forget_requests()
    began = time.monotonic()
    await emulated.step(names, INTERVAL_SECONDS)
    await asyncio.sleep(INTERVAL_SECONDS)
    requests, _ = await emulated.requests()
    return requests / (time.monotonic() - began)


async def _stand_still(server: Server, url: str, emulated: Workspace, names: Sequence[str]) -> Standing:
    await probe.run(server.port, RATES, 1.0)
    pid = server.process.pid
    before, used, began = await counters.written(url), cpu.precise_cpu_seconds(pid), await emulated.now()
    await emulated.forget_requests()
    times = (await probe.run(server.port, RATES, WINDOW_SECONDS))["list"]
    requests, list_calls = await emulated.requests()
    ended, used = await emulated.now(), cpu.precise_cpu_seconds(pid) - used
    grown = (await counters.written(url)).since(before)
    listings = await emulated.listings()
    chosen = [listings[name].listed for name in names]
    return Standing(
        len(names),
        max(longest_gap(moments, began, ended) for moments in chosen),
        calls_of_a_pass(list_calls, chosen, began, ended),
        requests / (ended - began),
        grown.total_rows,
        grown.rows_of_jobs,
        used / (ended - began),
        times.p95,
        float("nan"),
    )


def longest_gap(moments: Sequence[float], began: float, ended: float) -> float:
    """The longest time until `ended` for which a run was not listed, from its last listing before `began` on."""
    first = max((moment for moment in moments if moment <= began), default=began)
    places = [first, *(moment for moment in moments if began < moment <= ended), ended]
    return max(later - earlier for earlier, later in pairwise(places))


def calls_of_a_pass(calls: int, listed: Sequence[Sequence[float]], began: float, ended: float) -> float:
    """Pages for listing every run once: `calls` listed each of them as often as its moments say. NaN when none was."""
    times = sum(began < moment <= ended for moments in listed for moment in moments)
    return calls * len(listed) / times if times else float("nan")


async def _end(url: str, emulated: Workspace, names: Sequence[str]) -> Ending:
    """Let runs end, the last of them as FAILED, and wait until their jobs have."""
    failing, completing = names[-FAILING:], names[:-FAILING]
    over = time.monotonic() + ENDING_SECONDS
    await emulated.end(completing, ENDING_SECONDS)
    await emulated.end(failing, ENDING_SECONDS, OUT_OF_MEMORY)

    async def all_ended() -> bool:
        return await endings.count_ended(url, names) == len(names)

    with suppress(TimeoutError):
        await until(all_ended, ENDING_SECONDS + ENDED_TIMEOUT_SECONDS, every=BETWEEN_COUNTS_SECONDS)
    late = time.monotonic() - over
    histories = await endings.histories(url, names)
    right = sum(
        histories[name].ended_as(status)
        for status, of_status in (("SUCCEEDED", completing), ("FAILED", failing))
        for name in of_status
    )
    return Ending(len(names), right, late)


async def _with_idle(server: Server, standing: Standing) -> Standing:
    """What was measured, with what the list takes on a server that does not poll."""
    await probe.run(server.port, RATES, 1.0)
    idle = (await probe.run(server.port, RATES, IDLE_SECONDS))["list"].p95
    return replace(standing, idle=idle)
