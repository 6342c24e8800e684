"""The demo through Databricks: `python -m tests.emulator.demo` trains through FMAPI, then through AI Runtime.

Both run in an emulated workspace, each in a server and an emulator of their own processes. At the end FMAPI is gone.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from unittest import mock

import httpx
from rich.console import Console

from server import logs
from server.commands import database, running
from server.commands.demo import child, facts, job, report, scenario
from server.commands.demo.checks import Check, lineage_is_complete, loss_fell
from server.commands.demo.client import Client, RequestFailed
from server.commands.importing import import_with_progress
from server.settings import Settings
from tests.database import throwaway_folder

TOKEN = "dapi-of-the-demo"  # noqa: S105  (opens nothing but the emulator beside it)
ALIAS = "champion"
PACE = 25.0  # seconds of a training
START_TIMEOUT = 60.0
MODELS = {"FMAPI": "meta-llama/Llama-3.2-1B-Instruct", "AI_RUNTIME": "meta-llama/Llama-3.2-1B-Instruct"}
WIDTH = 110


def scenarios() -> Iterator[scenario.Scenario]:
    """The same sheet for both trainers, each making a model of its own."""
    for trainer, base_model in MODELS.items():
        name = f"invoice-desk-{trainer.lower().replace('_', '-')}"
        yield replace(
            scenario.sample(), trainer=trainer, base_model=base_model, model_name=name, catalog="main", schema="ft"
        )


@asynccontextmanager
async def workspace(pace: float, log: Path) -> AsyncIterator[str]:
    """The address of an emulated workspace, which ends with the context."""
    command = [sys.executable, "-m", "tests.emulator", "--token", TOKEN, "--pace", str(pace)]
    with log.open("wb") as sink:
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=sink)
    try:
        async with asyncio.timeout(START_TIMEOUT):
            line = await process.stdout.readline() if process.stdout is not None else b""
        if b"http" not in line:
            raise running.Cannot(f"The emulator did not start; see {log}")
        yield line.split()[-1].decode()
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@contextmanager
def environment(url: str, folder: Path) -> Iterator[Settings]:
    """The settings of a server that trains in the workspace; its process inherits them."""
    variables = {
        "DATABRICKS_HOST": url,
        "DATABRICKS_TOKEN": TOKEN,
        "TUNEGRAPH_DATABRICKS_VOLUME": "/Volumes/main/ft/data/tunegraph",
        "TUNEGRAPH_DATABRICKS_ALIAS": ALIAS,
        "TUNEGRAPH_AI_RUNTIME_MODELS": MODELS["AI_RUNTIME"],
        "TUNEGRAPH_DATA_DIR": str(folder),
        "TUNEGRAPH_PORT": "0",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TUNEGRAPH_", "DATABRICKS_"))}
    with mock.patch.dict(os.environ, kept | variables, clear=True):
        yield Settings()


async def aliased(url: str, model: str) -> str | None:
    """The version of a model that has the alias."""
    async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False) as http:
        response = await http.get(f"/api/2.1/unity-catalog/models/{model}/aliases/{ALIAS}")
    return str(response.json()["version"]) if response.status_code == httpx.codes.OK else None


async def train(client: Client, what: scenario.Scenario, url: str, console: Console) -> list[Check]:
    """One job from its creation to its registered model."""
    console.rule(f"{what.trainer}: {what.base_model}")
    sheet = await job.find_training_sheet(client, what.target.training_sheet)
    job_id = await job.create(client, sheet["id"], what)
    await job.follow(client, job_id, console)
    known = await facts.gather(client, job_id)
    report.learning(console, known)
    report.origin(console, known)
    version = known.job["ucModelVersion"]
    return [
        Check(f"{what.trainer}: the job has SUCCEEDED", known.job["status"] == "SUCCEEDED"),
        Check(f"{what.trainer}: its loss fell", loss_fell(known)),
        Check(f"{what.trainer}: it has an MLflow run", bool(known.job["mlflowRunId"])),
        Check(
            f"{what.trainer}: version {version} of {known.job['ucModelName']} is its {ALIAS}",
            version is not None and await aliased(url, known.job["ucModelName"]) == version,
        ),
        Check(f"{what.trainer}: its lineage is complete, down to each pair", lineage_is_complete(known)),
    ]


async def refused(client: Client, what: scenario.Scenario, url: str, console: Console) -> list[Check]:
    """A job for a trainer that the workspace no longer has."""
    console.rule("FMAPI is gone")
    fault = {"kind": "feature_disabled", "path": "/api/2.0/genai-mapi/*", "times": None}
    async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
        (await http.post("/emulator/faults", json=fault)).raise_for_status()
    sheet = await job.find_training_sheet(client, what.target.training_sheet)
    job_id = await job.create(client, sheet["id"], what)
    await job.follow(client, job_id, console)
    ended = (await facts.gather(client, job_id)).job
    console.print(f"  {ended['errorCode']}: {ended['errorMessage']}", markup=False)
    return [
        Check(
            "FMAPI gone: the job FAILED with TRAINER_UNAVAILABLE, and its message names AI Runtime",
            (ended["status"], ended["errorCode"]) == ("FAILED", "TRAINER_UNAVAILABLE")
            and "AI_RUNTIME" in (ended["errorMessage"] or ""),
        )
    ]


async def show(settings: Settings, url: str, console: Console) -> list[Check]:
    """All of it, over HTTP."""
    found: list[Check] = []
    what = list(scenarios())
    async with database.migrated(settings) as postgres:
        await import_with_progress(settings, postgres, what[0].file, what[0].target, console)
    async with child.serving(settings.data_dir / "server.log") as server, Client.open(server.authority) as client:
        for each in what:
            found += await train(client, each, url, console)
        found += await refused(client, what[0], url, console)
    return found


async def run(pace: float) -> int:
    """Everything that is needed, for as long as it is."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDTH)
    with throwaway_folder() as folder:
        async with workspace(pace, folder / "emulator.log") as url:
            console.print(f"A Databricks workspace is emulated at {url}", markup=False)
            with environment(url, folder) as settings:
                logs.configure(settings.model_copy(update={"log_level": "warning"}))
                try:
                    found = await show(settings, url, console)
                except RequestFailed as error:
                    raise running.Cannot(str(error)) from error
    report.outcome(console, found)
    return 0 if all(check.held for check in found) else running.FAILED


def main() -> int:
    """The exit status says whether all of it held."""
    parser = argparse.ArgumentParser(prog="python -m tests.emulator.demo", description=__doc__)
    parser.add_argument("--pace", type=float, default=PACE, help="how many seconds a training takes")
    return running.run(run(parser.parse_args().pace))


if __name__ == "__main__":
    sys.exit(main())
