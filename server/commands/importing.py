"""`import`: fills a training sheet from a file of JSON lines, with a progress bar."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from server import logs
from server.commands import database, running
from server.domain.caller import LOCAL
from server.imports.import_file import ImportReport, import_file
from server.imports.target import Target
from server.settings import Settings
from server.storage.database import connect


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Import a file."""
    logs.configure(settings.model_copy(update={"log_level": "warning"}))
    target = Target(options.sheet, options.template, options.training_sheet, options.system_prompt, options.user_prompt)
    return running.run(_import(settings, options.file, target))


async def _import(settings: Settings, file: Path, target: Target) -> int:
    console = Console(highlight=False)
    async with database.migrated(settings) as url:
        await import_with_progress(settings, url, file, target, console)
    return 0


async def import_with_progress(
    settings: Settings, url: str, file: Path, target: Target, console: Console
) -> ImportReport:
    """Import `file` and say on `console` how far it is and what came of it. Raises `Refused`; see `import_file`."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[pairs]} pairs"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    async with connect(
        url,
        connections=settings.database_connections,
        statement_timeout=settings.statement_timeout,
        lock_timeout=settings.import_timeout,
        write_timeout=settings.import_timeout,
    ) as opened:
        with bar:
            task = bar.add_task(file.name, total=None, pairs=0)
            report = await import_file(
                opened.engine,
                file,
                sheet=target.sheet,
                template=target.template,
                training_sheet=target.training_sheet,
                system_prompt=target.system_prompt,
                user_prompt=target.user_prompt,
                caller=LOCAL,
                progress=lambda done, total, pairs: bar.update(task, completed=done, total=total, pairs=pairs),
            )
    outcome = f"{file.name}: {_outcome(report)} into the Training Sheet {target.training_sheet!r}"
    for line in (outcome, *_remarks(report)):
        console.print(line, markup=False, soft_wrap=True)
    return report


def _outcome(report: ImportReport) -> str:
    parts = [f"{_pairs(report.pairs)} imported"]
    if report.already_there:
        parts.append(f"{report.already_there} there already")
    if report.labels:
        parts.append(f"{report.labels} canonical labels written")
    verdicts = ", ".join(f"{count} {verdict.value}" for verdict, count in report.verdicts.items())
    return ", ".join(parts) + (f" ({verdicts})" if verdicts else "")


def _remarks(report: ImportReport) -> Iterator[str]:
    """A line for each defect, and one for marks of chat templates."""
    for pairs, line, defect in report.defects:
        yield f"  {defect.code}: {_pairs(pairs)} can't be trained on; in line {line}, {defect.reason}"
    if tokens := report.control_tokens:
        quoting = "1 pair quotes" if tokens.pairs == 1 else f"{tokens.pairs} pairs quote"
        yield (
            f"  {quoting} a control token of a chat template; in line {tokens.first_line}, {tokens.token}. The trainers"
            " LOCAL and AI_RUNTIME read it as text"
        )


def _pairs(number: int) -> str:
    return "1 pair" if number == 1 else f"{number} pairs"
