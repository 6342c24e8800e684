"""`demo`: imports a sample, starts a server as its own process, and from then on is one of its clients."""

import argparse
import asyncio
from contextlib import suppress

from rich.console import Console

from server import logs
from server.commands import database, listener, running
from server.commands.demo import answers, child, facts, job, report, scenario
from server.commands.demo.checks import Check, checks
from server.commands.demo.client import Client, RequestFailed
from server.commands.importing import import_with_progress
from server.domain.errors import Unavailable
from server.settings import Settings

QUESTIONS = 2
PLAIN_WIDTH = 110  # of what is not a terminal


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Import, train, register and ask a model. The exit status: with `--exit`, whether every check held."""
    logs.configure(settings.model_copy(update={"log_level": "warning"}))
    chosen = scenario.of_file(options.data, options.name) if options.data else scenario.sample()
    return running.run(_demo(settings, chosen, stay=not options.exit))


async def _demo(settings: Settings, chosen: scenario.Scenario, *, stay: bool) -> int:
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=PLAIN_WIDTH)
    listener.listen(settings).close()  # better told now than by the server, after the import
    async with database.migrated(settings) as url:
        await import_with_progress(settings, url, chosen.file, chosen.target, console)
    log = settings.data_dir / "server.log"
    async with child.serving(log) as server:
        console.print(f"The server is ready (its log: {log})", markup=False, soft_wrap=True)
        async with Client.open(server.authority) as client:
            results = await _show(settings, chosen, client, console)
        report.outcome(console, results)
        report.addresses(console, server.authority)
        if stay:
            console.print("The server goes on until you press Ctrl-C.")
            with suppress(asyncio.CancelledError):
                raise running.Cannot(f"The server ended with status {await server.process.wait()}; see {log}")
    return 0 if all(check.held for check in results) else running.FAILED


async def _show(settings: Settings, chosen: scenario.Scenario, client: Client, console: Console) -> list[Check]:
    try:
        sheet = await job.find_training_sheet(client, chosen.target.training_sheet)
        report.gates(console, sheet["eligibility"])
        job_id = await job.create(client, sheet["id"], chosen)
        console.print(f"Created by mutation, followed by subscription: {job_id}", markup=False)
        await job.follow(client, job_id, console)
        finished = await facts.gather(client, job_id)
    except RequestFailed as error:
        raise running.Cannot(str(error)) from error
    report.learning(console, finished)
    report.origin(console, finished)
    given = await _answers(settings, finished)
    report.answers(console, given)
    return checks(finished, given, chosen, questions=QUESTIONS)


async def _answers(settings: Settings, finished: facts.Facts) -> list[answers.Answer]:
    name, version = finished.job["ucModelName"], finished.job["ucModelVersion"]
    if not (name and version):
        return []
    try:
        return await answers.ask(settings, name, version, finished.questions(QUESTIONS))
    except Unavailable as error:
        running.complain(str(error))
        return []
