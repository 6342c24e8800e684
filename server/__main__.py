"""The program: `python -m server {serve,demo,import,migrate}`."""

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import ValidationError

from server import settings

USAGE_ERROR = 2

Arguments = Callable[[argparse.ArgumentParser], None]


def main(arguments: Sequence[str]) -> int:
    """Run one sub-command; the exit status is 0, 1 when it failed, or 2 when what was asked can't be done."""
    options = parser().parse_args(arguments)
    try:
        chosen = settings.Settings()
    except ValidationError as error:
        sys.stderr.write(_explained(error))
        return USAGE_ERROR
    for name in settings.unknown(os.environ):
        sys.stderr.write(f"tunegraph: {name} is no setting, and is ignored.\n")
    # A command brings in what it alone needs, so that the help of all of them is quick.
    command = importlib.import_module(options.module)
    status: int = command.run(chosen, options)
    return status


def parser() -> argparse.ArgumentParser:
    """What the command line may say."""
    top = argparse.ArgumentParser(
        prog="python -m server",
        description="Tunegraph turns labelled Training Sheets into fine-tuned, registered, traceable models.",
        epilog=_environment(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, module: str, description: str, arguments: Arguments | None = None) -> None:
        command = commands.add_parser(
            name,
            help=description.partition(":")[0],
            description=description[0].upper() + description[1:] + ".",
            epilog=_environment(),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.set_defaults(module=f"server.commands.{module}")
        if arguments:
            arguments(command)

    add("serve", "serve", "start the server: migrates its database first, and ends on Ctrl-C or SIGTERM")
    add("demo", "demo", "watch a model train: import a sample, start a server, and act as its client", _demo)
    add("import", "importing", "fill a Training Sheet from a JSONL file: all of it, or nothing", _import)
    add("migrate", "migrate", "bring the database to the tables of this version")
    return top


def _demo(command: argparse.ArgumentParser) -> None:
    command.add_argument("--data", type=Path, metavar="FILE", help="a JSONL file to train on instead of the sample")
    command.add_argument("--name", help="what to call the sheet and the model of --data (default: the file's name)")
    command.add_argument(
        "--exit", action="store_true", help="end after the report, with status 0 only if all of it held"
    )


def _import(command: argparse.ArgumentParser) -> None:
    command.add_argument("file", type=Path, metavar="FILE.jsonl", help="one question-and-answer pair a line")
    command.add_argument("--sheet", required=True, metavar="NAME", help="the Sheet the pairs are about; made if new")
    command.add_argument("--template", required=True, metavar="NAME", help="the Template they came from; made if new")
    command.add_argument("--training-sheet", required=True, metavar="NAME", help="the Training Sheet to make")
    command.add_argument("--system-prompt", metavar="TEXT", help="the system prompt of a new Template")
    command.add_argument("--user-prompt", metavar="TEXT", help="the user prompt of a new Template")


def _environment() -> str:
    lines = ["settings, read from the environment:"]
    for variable in settings.variables():
        default = f" [{variable.default}]" if variable.default else ""
        lines += [f"  {variable.name}{default}", f"      {variable.description}"]
    return "\n".join(lines)


def _explained(error: ValidationError) -> str:
    """One line a variable, without its value: it may hold a password."""
    lines = []
    for problem in error.errors(include_input=False, include_url=False):
        field = str(problem["loc"][0]) if problem["loc"] else ""
        name = field if field.isupper() else f"TUNEGRAPH_{field.upper()}"
        lines.append(f"tunegraph: {name}: {problem['msg']}\n")
    return "".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
